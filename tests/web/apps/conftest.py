"""A server whose background work is done when a test says so, and the devices of its office."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.apps.conftest import office
from tests.apps.office import Office
from tests.web.api_server import RunningServer, running

__all__ = ["office"]


@pytest.fixture
async def server(office: Office, tmp_path: Path) -> AsyncIterator[RunningServer]:
    """The API over the office's services."""
    async with running(office.services, office.clock, tmp_path) as started:
        yield started
