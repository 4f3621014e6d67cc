"""Messages that real devices sent, each device's as one enrollment, signed and sent to the real server.

The captures are anonymised: groups share UDIDs, so that each group gets a server and a certificate of its own. Results
name commands that were never ours; where the kind of command is known, it is queued under that CommandUUID first.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mdmserver.protocol import (
    DESTRUCTIVE_REQUEST_TYPES,
    CommandUUID,
    Status,
    build_command,
    enrollment_id_of,
    loads,
    parse_command_payload,
    parse_report,
)
from tests.journeys.devices import CHECKIN, COMMAND, Device, Reply, signed_by
from tests.journeys.fixtures import World

CAPTURES = Path(__file__).resolve().parents[3] / "shared" / "reference" / "captures"
FILES = sorted(path for path in CAPTURES.glob("*/*") if path.suffix in (".xml", ".plist"))
# Folders that are named after what the command asked for; the others hold what came of it.
REQUEST_TYPES = (
    "DeviceInformation",
    "DeviceLock",
    "InstallApplication",
    "InstalledApplicationList",
    "ManagedApplicationList",
)
# A placeholder stands where the base64 was.
WITHOUT_READABLE_TOKEN = ("iOS-11.3.1.xml",)

pytestmark = pytest.mark.skipif(not CAPTURES.is_dir(), reason="the captures are not on this machine")


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """One captured message."""

    path: Path
    body: bytes
    plist: dict[str, Any]

    @property
    def kind(self) -> str:
        """The folder."""
        return self.path.parent.name

    @property
    def request_type(self) -> str | None:
        """What the command was; None where the capture does not tell."""
        said: str | None = self.plist.get("RequestType")
        return said or (self.kind if self.kind in REQUEST_TYPES else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturedDevice:
    """The captures of one device; `authenticate` is None where none was captured."""

    authenticate: Capture | None
    token_updates: list[Capture]
    reports: list[Capture]
    check_outs: list[Capture]

    def __str__(self) -> str:
        return self.authenticate.path.stem if self.authenticate else self.reports[0].path.stem


def capture(path: Path) -> Capture:
    body = path.read_bytes()
    return Capture(path=path, body=body, plist=loads(body))


def captured_devices() -> list[CapturedDevice]:
    """By UDID and topic; results have no topic and go with the first device of their UDID."""
    captures = [capture(path) for path in FILES]
    begun = [one for one in captures if one.kind == "Authenticate"]
    devices, taken = [], set[str]()
    for first in begun:
        udid, topic = first.plist["UDID"], first.plist["Topic"]

        def of_this_device(one: Capture, udid: str = udid, topic: str = topic) -> bool:
            return bool(one.plist["UDID"] == udid and one.plist.get("Topic", topic) == topic)

        devices.append(
            device_of(first, [one for one in captures if of_this_device(one)], without_reports=udid in taken)
        )
        taken.add(udid)
    strangers = {one.plist["UDID"] for one in captures} - taken
    return devices + [
        device_of(None, [one for one in captures if one.plist["UDID"] == udid]) for udid in sorted(strangers)
    ]


def device_of(first: Capture | None, captures: list[Capture], *, without_reports: bool = False) -> CapturedDevice:
    token_updates = [one for one in captures if one.kind == "TokenUpdate"]
    return CapturedDevice(
        authenticate=first,
        # A Mac's user comes after its device.
        token_updates=sorted(token_updates, key=lambda one: "UserID" in one.plist),
        reports=[] if without_reports else [one for one in captures if "Status" in one.plist],
        check_outs=[] if without_reports else [one for one in captures if one.kind == "CheckOut"],
    )


DEVICES = captured_devices() if CAPTURES.is_dir() else []
every_device = pytest.mark.parametrize("device", DEVICES, ids=str)


def test_every_capture_belongs_to_a_device() -> None:
    grouped = [
        one.path
        for device in DEVICES
        for one in (*device.token_updates, *device.reports, *device.check_outs, device.authenticate)
        if one is not None
    ]

    assert sorted(grouped) == FILES
    assert len(DEVICES) == 6


@every_device
async def test_a_captured_device_enrolls_reports_and_leaves(world: World, device: CapturedDevice) -> None:
    sender = await enrolled(world, device)

    for report in device.reports:
        await check_report(world, sender, report)
    for message in device.check_outs:
        assert answer(await sender.send(message.body, CHECKIN)) == (200, b"")

    state = (await world.api.enrollment(sender.reference))["state"]
    assert state == ("ended" if device.check_outs else "enrolled")


@every_device
async def test_a_captured_device_is_known_by_what_it_said(world: World, device: CapturedDevice) -> None:
    sender = await enrolled(world, device)

    known = await world.api.enrollment(sender.reference)
    if device.authenticate is None:
        return
    said = device.authenticate.plist
    assert known["topic"] == said["Topic"]
    assert known["serial_number"] == said.get("SerialNumber")
    assert (known["os_version"], known["build_version"]) == (said.get("OSVersion"), said.get("BuildVersion"))
    assert (known["model"], known["product_name"]) == (said.get("Model"), said.get("ProductName"))
    for message in device.token_updates:
        channel = await world.api.enrollment(str(enrollment_id_of(message.plist)))
        assert channel["state"] == "enrolled"
        assert channel["user_short_name"] == message.plist.get("UserShortName")
        assert channel["has_push_token"] == (message.path.name not in WITHOUT_READABLE_TOKEN)


async def test_a_token_update_whose_token_cannot_be_read_is_not_lost(world: World) -> None:
    (device,) = [
        device for device in DEVICES if any(one.path.name in WITHOUT_READABLE_TOKEN for one in device.token_updates)
    ]
    sender = await enrolled(world, device)

    known = await world.api.enrollment(sender.reference)

    assert (known["state"], known["has_push_token"], known["token_update_tally"]) == ("enrolled", False, 1)
    assert "no_push_token" in [problem["code"] for problem in known["problems"]]


async def enrolled(world: World, device: CapturedDevice) -> Device:
    """The device after its own Authenticate and TokenUpdates, and ours where none was captured."""
    captures = [device.authenticate, *device.reports]
    plist = next(one.plist for one in captures if one is not None)
    sign = signed_by(world.server.devices.identity())
    sender = Device(world.session, world.server.url, enrollment_id_of({"UDID": plist["UDID"]}), sign)
    if device.authenticate is None:
        assert answer(await sender.authenticate()) == (200, b"")
    else:
        sender.topic = plist["Topic"]
        assert answer(await sender.send(device.authenticate.body, CHECKIN)) == (200, b"")
    if not device.token_updates:
        assert answer(await sender.token_update()) == (200, b"")
    for message in device.token_updates:
        assert answer(await sender.send(message.body, CHECKIN)) == (200, b"")
    return sender


async def check_report(world: World, sender: Device, report: Capture) -> None:
    """The report is taken; where its command can be queued it is, and ends as the device said."""
    uuid = report.plist["CommandUUID"]
    if not await queue(world, sender, uuid, report.request_type):
        assert answer(await sender.send(report.body, COMMAND)) == (200, b"")
        return
    served = await sender.idle()
    assert parse_command_payload(served.body)[0] == uuid

    reply = await sender.send(report.body, COMMAND)

    assert answer(reply) == (200, b"")
    status = parse_report(report.body).status
    found = await world.api.get(f"/commands/{uuid}/targets/{sender.reference}")
    assert found["item"]["state"] == STATES[status]
    if status is not Status.NOT_NOW:
        assert found["result"]["status"] == status
        assert found["result"]["result"].keys() == report.plist.keys()


STATES = {
    Status.ACKNOWLEDGED: "acknowledged",
    Status.ERROR: "error",
    Status.COMMAND_FORMAT_ERROR: "format_error",
    Status.NOT_NOW: "not_now",
}


async def queue(world: World, sender: Device, uuid: str, request_type: str | None) -> bool:
    """Whether the command of a report could be queued under its CommandUUID."""
    kind = request_type or "ProfileList"
    if kind in DESTRUCTIVE_REQUEST_TYPES:
        return False
    command = build_command(CommandUUID(uuid), {"RequestType": kind})
    status, _ = await world.api.enqueue_plist(command.body, [sender.reference])
    # Anonymised captures use one CommandUUID for different commands; the second is a conflict, and its result stray.
    assert status in (201, 409)
    return status == 201


def answer(reply: Reply) -> tuple[int, bytes]:
    return reply.status, reply.body
