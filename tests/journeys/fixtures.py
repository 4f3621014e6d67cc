"""What tests that talk to a real server start from; conftest files of several folders take it from here."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from mdmserver.protocol import EnrollmentID, EnrollmentType
from tests.journeys.api import Api
from tests.journeys.devices import Device, signed_by
from tests.journeys.servers import RunningServer, running_server

UDID = "0A0B0C0D-1111-2222-3333-444455556666"


class World:
    """A server, a client session, and ways to make devices for it."""

    def __init__(self, server: RunningServer, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.session = session
        self.api = Api(session, server.url, server.key)

    def device(self, udid: str = UDID) -> Device:
        """A device with a certificate of its own, not enrolled yet."""
        return Device(
            self.session,
            self.server.url,
            EnrollmentID(EnrollmentType.DEVICE, udid),
            signed_by(self.server.devices.identity(udid)),
        )

    async def enrolled(self, udid: str = UDID) -> Device:
        """A device that has enrolled."""
        device = self.device(udid)
        await device.enroll()
        return device


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A server that asks before a known device enrolls with a new certificate."""
    async with running_server(tmp_path) as server, aiohttp.ClientSession() as session:
        yield World(server, session)


@pytest.fixture
async def allowing_world(tmp_path: Path) -> AsyncIterator[World]:
    """A server that lets known devices enroll with new certificates of its CA."""
    async with running_server(tmp_path, reenrollment="allow") as server, aiohttp.ClientSession() as session:
        yield World(server, session)
