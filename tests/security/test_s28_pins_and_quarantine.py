"""S28: PINs are seen once, and what a restored backup brings back is held until a person lets it go."""

import re
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

import pytest

from mdmserver.bootstrap import DATABASE
from mdmserver.commands.enqueue import Enqueued
from mdmserver.commands.model import ItemState
from mdmserver.commands.request import CommandRequest
from mdmserver.errors import Conflict
from mdmserver.protocol import EnrollmentID, Status, loads
from tests.fleet import ADMIN, FakeClock, Fleet

ERASE = CommandRequest(payload={"RequestType": "EraseDevice"}, may_destroy=True)
LOCK = CommandRequest(payload={"RequestType": "DeviceLock"}, may_destroy=True)


async def send(fleet: Fleet, request: CommandRequest, targets: Sequence[EnrollmentID]) -> Enqueued:
    return await fleet.services.commands.enqueue(request, [str(target) for target in targets], actor=ADMIN)


def stored_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob(f"{DATABASE}*"))


async def enrolled(fleet: Fleet, number: int) -> list[EnrollmentID]:
    return [await fleet.enroll(n) for n in range(1, number + 1)]


async def test_a_pin_is_made_is_on_the_wire_and_nowhere_else(
    fleet: Fleet, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    device = await fleet.enroll(1)
    outcome = await send(fleet, LOCK, [device])
    assert outcome.pin is not None
    pin = outcome.pin.reveal()

    body = await fleet.report(device, Status.IDLE)
    await fleet.answer(device, outcome.uuid)

    assert re.fullmatch("[0-9]{6}", pin)
    assert body is not None
    assert loads(body)["Command"] == {"RequestType": "DeviceLock", "PIN": pin}
    assert pin not in repr(outcome)
    stored = stored_bytes(tmp_path)
    assert f"<string>{pin}".encode() not in stored
    assert b64encode(pin.encode()) not in stored
    records = (await fleet.services.audit.records(cursor=None, limit=1000)).items
    assert all(pin not in str(record.detail) for record in records)
    assert all(pin not in record.getMessage() for record in caplog.records)


async def test_pins_differ_and_one_that_was_given_is_kept(fleet: Fleet) -> None:
    device = await fleet.enroll(1)
    made = [(await send(fleet, ERASE, [device])).pin for _ in range(4)]
    given = CommandRequest(payload={"RequestType": "EraseDevice", "PIN": "012345"}, may_destroy=True)

    outcome = await send(fleet, given, [device])

    assert len({pin.reveal() for pin in made if pin is not None}) > 1
    assert outcome.pin is None


async def test_the_body_is_not_shown(fleet: Fleet) -> None:
    device = await fleet.enroll(1)
    outcome = await send(fleet, ERASE, [device])

    with pytest.raises(Conflict) as refused:
        await fleet.services.commands.command_body(outcome.uuid)

    assert refused.value.code == "body_not_shown"


async def test_one_audit_record_names_type_and_number_and_nothing_more(fleet: Fleet) -> None:
    devices = await enrolled(fleet, 3)

    outcome = await send(fleet, ERASE, devices)

    records = [
        record
        for record in (await fleet.services.audit.records(cursor=None, limit=1000)).items
        if record.subject == outcome.uuid
    ]
    assert [(record.action, record.detail) for record in records] == [
        ("command.enqueue", {"request_type": "EraseDevice", "targets": 3})
    ]


async def test_after_a_restore_open_ones_are_held_and_others_are_not(fleet: Fleet) -> None:
    device, other = await enrolled(fleet, 2)
    queued = await send(fleet, ERASE, [device])
    out = await send(fleet, LOCK, [other])
    await fleet.idle(other)
    await fleet.enqueue("harmless", device, other)

    held = await fleet.services.commands.quarantine()

    assert held == 2
    assert [await fleet.idle(each) for each in (device, other)] == ["harmless"] * 2
    row = await fleet.services.devices.resolve(device.key)
    assert (await fleet.services.commands.item(queued.uuid, row)).explanation.code == "held"
    assert (await fleet.states(other))[out.uuid] is ItemState.SENT
    assert await fleet.services.commands.quarantine() == 0


async def test_what_is_held_goes_when_it_is_released_and_dies_when_it_is_not(fleet: Fleet, clock: FakeClock) -> None:
    device, other = await enrolled(fleet, 2)
    released, forgotten = await send(fleet, ERASE, [device]), await send(fleet, ERASE, [other])
    await fleet.services.commands.quarantine()

    assert await fleet.services.commands.release(released.uuid, actor=ADMIN) == 1

    assert await fleet.idle(device) == released.uuid
    with pytest.raises(Conflict):
        await fleet.services.commands.release(released.uuid, actor=ADMIN)
    clock.advance(hours=24)
    await fleet.services.commands.expire_due()
    assert await fleet.states(other) == {forgotten.uuid: ItemState.EXPIRED}
    actions = [record.action for record in (await fleet.services.audit.records(cursor=None, limit=1000)).items]
    assert (actions.count("command.quarantine"), actions.count("command.release")) == (1, 1)


async def test_what_is_held_can_be_cancelled(fleet: Fleet) -> None:
    device = await fleet.enroll(1)
    outcome = await send(fleet, ERASE, [device])
    await fleet.services.commands.quarantine()

    await fleet.cancel(outcome.uuid)

    assert await fleet.states(device) == {outcome.uuid: ItemState.CANCELLED}
