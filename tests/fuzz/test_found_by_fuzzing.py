"""What fuzzing found, one test for each find."""

import pytest

from mdmserver.errors import Invalid
from mdmserver.web.api.sending import NewCommand
from mdmserver.web.endpoint import decode_json


def test_json_that_is_not_utf8_is_the_callers_fault() -> None:
    with pytest.raises(Invalid):
        decode_json(b'{"command": {"RequestType": "Profile\x93List"}}', NewCommand)
