"""The PKI of the device endpoints' tests, made once, and a whole server for the API's."""

import pytest

from tests.enrollment.conftest import world
from tests.web.api_server import server
from tests.web.device.serving import PKI

__all__ = ["pki", "server", "world"]


@pytest.fixture(scope="session")
def pki() -> PKI:
    return PKI()
