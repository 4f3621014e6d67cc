"""The PKI is made once for all tests of this folder."""

import pytest

from tests.web.device.serving import PKI


@pytest.fixture(scope="session")
def pki() -> PKI:
    return PKI()
