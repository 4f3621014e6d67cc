"""What fuzzing found, one test for each find."""

from pathlib import Path

import pytest

from mdmserver.config import load_config
from mdmserver.errors import Invalid
from mdmserver.web.api.sending import NewCommand
from mdmserver.web.endpoint import decode_json


def test_json_that_is_not_utf8_is_the_callers_fault() -> None:
    with pytest.raises(Invalid):
        decode_json(b'{"command": {"RequestType": "Profile\x93List"}}', NewCommand)


def test_a_configuration_nested_too_deeply_is_invalid(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("a = " + "[" * 50_000)

    with pytest.raises(Invalid):
        load_config(path, {})
