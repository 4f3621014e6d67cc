"""The device endpoints over the real services and SQLite: what a device gets is what the queue holds."""

from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

import aiohttp
import pytest

from certs.pem import encode_certificate
from mdmserver.bootstrap import open_services
from mdmserver.commands.model import ItemState
from mdmserver.config import Config, DeviceCA, Identity, Limits, Listen
from mdmserver.protocol import EnrollmentID, Status, encode_checkin, encode_report
from mdmserver.web.app import build_application
from mdmserver.web.listener import ListenerKind
from mdmserver.web.server import serve
from tests.fleet import Fleet, authenticate, device_id, plist_command, token_update
from tests.web.device.serving import CHECKIN_TYPE, COMMAND_TYPE, NOW, PKI, DeviceIdentity

ID = device_id(1)
CAP = 20_000


class EnrolledDevice:
    """A device that talks to the server and keeps its certificate."""

    def __init__(self, url: str, session: aiohttp.ClientSession, identity: DeviceIdentity, fleet: Fleet) -> None:
        self._url, self._session, self._identity = url, session, identity
        self.fleet = fleet

    async def send(
        self, body: bytes, content_type: str = COMMAND_TYPE, *, identity: DeviceIdentity | None = None
    ) -> tuple[int, bytes]:
        headers = (identity or self._identity).headers(body, content_type)
        async with self._session.put(self._url, data=BytesIO(body), headers=headers) as response:
            return response.status, await response.read()

    async def idle(self) -> tuple[int, bytes]:
        return await self.send(encode_report(enrollment_id=ID, status=Status.IDLE))

    async def enroll(self) -> None:
        assert await self.send(encode_checkin(authenticate(ID)), CHECKIN_TYPE) == (200, b"")
        assert await self.send(encode_checkin(token_update(ID)), CHECKIN_TYPE) == (200, b"")


@pytest.fixture
async def device(pki: PKI, keys: Path, tmp_path: Path) -> AsyncIterator[EnrolledDevice]:
    """An enrolled device of a server with a small cap on results."""
    authority = keys.parent / "ca.pem"
    authority.write_bytes(encode_certificate(pki.ca))
    config = Config(
        listen=Listen(http="127.0.0.1:0", operations=""),
        identity=Identity(http=("signature",)),
        limits=Limits(result_bytes=CAP),
        device_ca=(DeviceCA(name="external", certificates=str(authority)),),
    )
    async with (
        open_services(config, tmp_path, clock=lambda: NOW) as services,
        serve(config, services, build_application=build_application) as listening,
        aiohttp.ClientSession() as session,
    ):
        host, port = listening.addresses[ListenerKind.HTTP]
        device = EnrolledDevice(f"http://{host}:{port}/mdm", session, pki.device, Fleet(services))
        await device.enroll()
        yield device


def result(uuid: str, **response: object) -> bytes:
    return encode_report(enrollment_id=ID, status=Status.ACKNOWLEDGED, command_uuid=uuid, response=response)


async def test_a_device_works_through_its_queue(device: EnrolledDevice) -> None:
    assert await device.idle() == (200, b"")
    await device.fleet.enqueue("C1", ID)
    await device.fleet.enqueue("C2", ID)

    assert await device.idle() == (200, plist_command("C1"))
    assert await device.send(result("C1", ProfileList=[])) == (200, plist_command("C2"))
    assert await device.send(result("C2")) == (200, b"")
    assert set((await device.fleet.states(ID)).values()) == {ItemState.ACKNOWLEDGED}


async def test_another_devices_certificate_is_refused_and_changes_nothing(device: EnrolledDevice, pki: PKI) -> None:
    await device.fleet.enqueue("C1", ID)
    idle = encode_report(enrollment_id=ID, status=Status.IDLE)

    assert await device.send(idle, identity=pki.other_device) == (403, b"")
    assert await device.send(encode_checkin(authenticate(ID)), CHECKIN_TYPE, identity=pki.other_device) == (403, b"")
    assert await device.fleet.states(ID) == {"C1": ItemState.QUEUED}
    assert await device.idle() == (200, plist_command("C1"))


async def test_an_unreadable_result_is_kept_and_ends_its_command(device: EnrolledDevice) -> None:
    await device.fleet.enqueue("C1", ID)
    await device.idle()
    body = result("C1").replace(b"</dict>", b"<key>Broken</key><string>&nothing;</string></dict>")

    assert await device.send(body) == (200, b"")

    page = await device.fleet.services.commands.results("C1", cursor=None, limit=10)
    [(item, stored)] = page.items
    assert (item.state, stored.is_readable, stored.body) == (ItemState.ACKNOWLEDGED, False, body)


async def test_a_command_whose_result_is_too_large_ends_after_the_third_time(device: EnrolledDevice) -> None:
    await device.fleet.enqueue("BIG", ID)
    await device.fleet.enqueue("NEXT", ID)
    too_large = result("BIG").replace(b"</dict>", b"<key>P</key><data>" + b"A" * CAP + b"</data></dict>")

    for _ in range(3):
        assert await device.idle() == (200, plist_command("BIG"))
        assert await device.send(too_large) == (413, b"")

    assert await device.idle() == (200, plist_command("NEXT"))
    item = (await device.fleet.items(ID))["BIG"]
    assert (item.state, item.reason) == (ItemState.ERROR, "result too large")


async def test_ids_in_the_body_do_not_override_the_certificate(device: EnrolledDevice) -> None:
    others: EnrollmentID = device_id(2)

    assert await device.send(encode_report(enrollment_id=others, status=Status.IDLE)) == (403, b"")
