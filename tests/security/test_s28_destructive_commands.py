"""S28: what can cost somebody a device needs its scope, goes to few, waits, and dies."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from mdmserver.bootstrap import open_services
from mdmserver.commands.enqueue import Enqueued
from mdmserver.commands.model import ItemState
from mdmserver.commands.request import CommandRequest
from mdmserver.config import Config, Destructive
from mdmserver.errors import Conflict, Invalid, NotFound, ScopeMissing
from mdmserver.protocol import (
    DESTRUCTIVE_REQUEST_TYPES,
    CommandUUID,
    EnrollmentID,
    EnrollmentType,
    build_command,
)
from tests.fleet import ADMIN, START, FakeClock, Fleet, device_id, plist_command
from tests.push.fake_gateway import FakeGateway

OWN_PROFILE = {"RequestType": "RemoveProfile", "Identifier": "ip-127-0-0-1.enrollment"}
TYPES = sorted(DESTRUCTIVE_REQUEST_TYPES)
RACES = 12


def erasing(key: str | None = None, **options: object) -> CommandRequest:
    """An erase by somebody who may."""
    payload = {"RequestType": "EraseDevice"}
    return CommandRequest(payload=payload, idempotency_key=key, may_destroy=True, **options)  # type: ignore[arg-type]  # the tests' own


async def send(fleet: Fleet, request: CommandRequest, targets: Sequence[EnrollmentID]) -> Enqueued:
    return await fleet.services.commands.enqueue(request, [str(target) for target in targets], actor=ADMIN)


async def enrolled(fleet: Fleet, number: int, first: int = 1) -> list[EnrollmentID]:
    return [await fleet.enroll(n) for n in range(first, first + number)]


@pytest.mark.parametrize("request_type", TYPES)
async def test_no_form_of_a_destructive_command_is_taken_without_the_scope(fleet: Fleet, request_type: str) -> None:
    device = await fleet.enroll(1)
    payload = {"RequestType": request_type, "UnlockToken": b"token"}
    whole = build_command(CommandUUID("C1"), payload).body

    for request in (CommandRequest(plist=whole), CommandRequest(payload=payload)):
        with pytest.raises(ScopeMissing, match="commands:destroy") as refused:
            await send(fleet, request, [device])
        assert refused.value.code == "scope_missing"
        with pytest.raises(ScopeMissing):
            await fleet.services.commands.enqueue_for_everyone(
                request, types=frozenset({EnrollmentType.DEVICE}), actor=ADMIN
            )

    assert await fleet.states(device) == {}


@pytest.mark.parametrize("request_type", TYPES)
async def test_with_the_scope_it_is_queued(fleet: Fleet, request_type: str) -> None:
    device = await fleet.enroll(1)
    payload = {"RequestType": request_type, "UnlockToken": b"token"}

    outcome = await send(fleet, CommandRequest(payload=payload, may_destroy=True), [device])

    assert (outcome.queued, outcome.expires_at) == (1, START + timedelta(hours=24))
    assert await fleet.idle(device) == outcome.uuid


async def test_removing_the_enrollment_profile_is_under_the_same_rules(fleet: Fleet) -> None:
    device = await fleet.enroll(1)

    with pytest.raises(ScopeMissing):
        await send(fleet, CommandRequest(payload=OWN_PROFILE), [device])
    outcome = await send(fleet, CommandRequest(payload=OWN_PROFILE, may_destroy=True), [device])

    assert outcome.expires_at == START + timedelta(hours=24)


async def test_it_is_not_sent_to_everyone(fleet: Fleet) -> None:
    device = await fleet.enroll(1)

    with pytest.raises(Invalid, match="name the devices"):
        await fleet.services.commands.enqueue_for_everyone(
            erasing(), types=frozenset({EnrollmentType.DEVICE}), actor=ADMIN
        )

    assert await fleet.states(device) == {}


async def test_beyond_the_cap_nothing_is_queued_until_its_time(fleet: Fleet, clock: FakeClock) -> None:
    devices = await enrolled(fleet, 6)
    await send(fleet, erasing(), devices[:5])

    with pytest.raises(Conflict, match="00:10:01"):
        await send(fleet, erasing(), devices[5:])
    refused = await fleet.states(devices[5])
    clock.advance(minutes=10, seconds=1)
    await send(fleet, erasing(), devices[5:])

    assert (refused, len(await fleet.states(devices[5]))) == ({}, 1)


async def test_all_kinds_count_together_whoever_sends_them(fleet: Fleet) -> None:
    devices = await enrolled(fleet, 3)
    for request_type in ("EraseDevice", "DeviceLock"):
        await send(fleet, CommandRequest(payload={"RequestType": request_type}, may_destroy=True), devices[:2])

    await send(fleet, CommandRequest(plist=plist_command("C3", "DeviceLock"), may_destroy=True), devices[2:])

    with pytest.raises(Conflict):
        await send(fleet, CommandRequest(payload=OWN_PROFILE, may_destroy=True), devices[2:])


async def test_what_was_refused_leaves_neither_command_nor_audit_record_nor_count(fleet: Fleet) -> None:
    devices = await enrolled(fleet, 6)
    before = len((await fleet.services.audit.records(cursor=None, limit=1000)).items)

    with pytest.raises(Conflict, match="6 devices at once"):
        await send(fleet, CommandRequest(plist=plist_command("C1", "DeviceLock"), may_destroy=True), devices)

    assert len((await fleet.services.audit.records(cursor=None, limit=1000)).items) == before
    with pytest.raises(NotFound):
        await fleet.services.commands.show(CommandUUID("C1"))
    assert (await send(fleet, erasing(), devices[:5])).queued == 5


async def test_neither_cancelling_nor_deleting_a_device_makes_room(fleet: Fleet) -> None:
    devices = await enrolled(fleet, 6)
    outcome = await send(fleet, erasing(), devices[:5])

    await fleet.cancel(outcome.uuid)
    row = await fleet.services.devices.resolve(devices[0].key)
    await fleet.services.leaving.delete(row, actor=ADMIN)

    with pytest.raises(Conflict):
        await send(fleet, erasing(), devices[5:])


async def test_calls_at_the_same_time_never_pass_the_cap_together(fleet: Fleet) -> None:
    devices = await enrolled(fleet, 20)

    outcomes = await asyncio.gather(*(send(fleet, erasing(), [device]) for device in devices), return_exceptions=True)

    assert sum(isinstance(outcome, Enqueued) for outcome in outcomes) == 5
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 15
    assert sum([len(await fleet.states(device)) for device in devices]) == 5


@pytest.mark.usefixtures("keys")
async def test_the_count_survives_a_restart(tmp_path: Path, clock: FakeClock) -> None:
    async with open_services(Config(), tmp_path, clock=clock, push_gateway=FakeGateway()) as services:
        devices = await enrolled(Fleet(services), 6)
        await send(Fleet(services), erasing(), devices[:5])

    async with open_services(Config(), tmp_path, clock=clock, push_gateway=FakeGateway()) as services:
        with pytest.raises(Conflict):
            await send(Fleet(services), erasing(), devices[5:])


@pytest.mark.usefixtures("keys")
async def test_the_configuration_raises_the_cap(tmp_path: Path, clock: FakeClock) -> None:
    config = Config(destructive=Destructive(per_ten_minutes=7, hold_minutes=0, ttl_hours=2))
    async with open_services(config, tmp_path, clock=clock, push_gateway=FakeGateway()) as services:
        devices = await enrolled(Fleet(services), 8)

        outcome = await send(Fleet(services), erasing(), devices[:7])

        assert (outcome.queued, outcome.not_before) == (7, None)
        assert outcome.expires_at == START + timedelta(hours=2)
        with pytest.raises(Conflict):
            await send(Fleet(services), erasing(), devices[7:])


async def test_the_same_key_again_counts_once_and_shows_no_pin(fleet: Fleet) -> None:
    devices = await enrolled(fleet, 5)
    first = await send(fleet, erasing("key"), devices[:4])

    again = await send(fleet, erasing("key"), devices[:4])
    last = await send(fleet, erasing(), devices[4:])

    assert (again.uuid, again.queued, last.queued) == (first.uuid, 4, 1)
    assert first.pin is not None
    assert again.pin is None
    assert (again.not_before, again.expires_at) == (first.not_before, first.expires_at)


async def test_a_command_that_was_sent_takes_no_more_devices(fleet: Fleet) -> None:
    devices = await enrolled(fleet, 3)
    await send(fleet, erasing("key"), devices[:1])

    with pytest.raises(Conflict, match="no more devices"):
        await send(fleet, erasing("key"), devices)

    assert [len(await fleet.states(device)) for device in devices] == [1, 0, 0]


async def test_a_stale_one_dies_and_a_longer_life_is_refused(fleet: Fleet, clock: FakeClock) -> None:
    device = await fleet.enroll(1)
    with pytest.raises(Invalid):
        await send(fleet, erasing(expires_at=START + timedelta(hours=24, seconds=1)), [device])
    outcome = await send(fleet, erasing(), [device])

    clock.advance(hours=24)

    assert await fleet.idle(device) is None
    assert await fleet.services.commands.expire_due() == 1
    assert await fleet.states(device) == {outcome.uuid: ItemState.EXPIRED}


async def test_one_that_is_out_when_its_time_ends_is_offered_no_more(fleet: Fleet, clock: FakeClock) -> None:
    device = await fleet.enroll(1)
    outcome = await send(fleet, erasing(), [device])
    assert await fleet.idle(device) == outcome.uuid

    clock.advance(hours=24)
    await fleet.services.commands.expire_due()
    withdrawn = await fleet.states(device)

    assert withdrawn == {outcome.uuid: ItemState.WITHDRAWN}
    assert await fleet.idle(device) is None
    assert await fleet.states(device) == {outcome.uuid: ItemState.EXPIRED}


async def test_for_several_devices_it_waits_says_so_and_can_be_cancelled(fleet: Fleet, clock: FakeClock) -> None:
    devices = await enrolled(fleet, 2)
    outcome = await send(fleet, erasing(), devices)
    row = await fleet.services.devices.resolve(devices[0].key)

    explained = (await fleet.services.commands.item(outcome.uuid, row)).explanation
    clock.advance(minutes=4, seconds=59)
    offered = [await fleet.idle(device) for device in devices]
    cancelled = await fleet.cancel(outcome.uuid)
    clock.advance(minutes=1)

    assert outcome.not_before == START + timedelta(minutes=5)
    assert explained.code == "not_before"
    assert "cancelled until then" in explained.text
    assert (offered, cancelled) == ([None, None], 2)
    assert [await fleet.idle(device) for device in devices] == [None, None]


async def test_after_the_wait_it_goes(fleet: Fleet, clock: FakeClock) -> None:
    devices = await enrolled(fleet, 2)
    outcome = await send(fleet, erasing(), devices)

    clock.advance(minutes=5)

    assert [await fleet.idle(device) for device in devices] == [outcome.uuid] * 2


async def test_a_cancellation_that_meets_the_delivery_leaves_no_doubt(fleet: Fleet, clock: FakeClock) -> None:
    """Either the device never gets it, or the item stays open as withdrawn until the device has spoken."""
    seen = set()
    for number in range(1, RACES + 1):
        device = await fleet.enroll(number)
        outcome = await send(fleet, erasing(), [device])
        calls = [fleet.idle(device), fleet.cancel(outcome.uuid)]
        if number % 2:
            calls.reverse()

        answers = await asyncio.gather(*calls)

        was_handed_out = outcome.uuid in answers
        state = (await fleet.states(device))[outcome.uuid]
        assert state is (ItemState.WITHDRAWN if was_handed_out else ItemState.CANCELLED)
        assert await fleet.idle(device) is None
        assert (await fleet.states(device))[outcome.uuid] is ItemState.CANCELLED
        seen.add(was_handed_out)
        clock.advance(minutes=10)

    assert seen == {True, False}


async def test_an_erase_that_was_done_in_spite_of_its_cancellation_is_known_as_done(fleet: Fleet) -> None:
    device = await fleet.enroll(1)
    outcome = await send(fleet, erasing(), [device])
    await fleet.idle(device)
    await fleet.cancel(outcome.uuid)

    await fleet.answer(device, outcome.uuid)

    item = (await fleet.items(device))[outcome.uuid]
    assert item.state is ItemState.ACKNOWLEDGED
    assert item.reason == "answered after it was cancelled"


async def test_targets_that_are_unknown_are_refused_one_by_one(fleet: Fleet) -> None:
    device = await fleet.enroll(1)

    outcome = await send(fleet, erasing(), [device, device_id(9)])

    assert (outcome.queued, outcome.refused) == (1, {str(device_id(9)): "not_found"})
    assert outcome.not_before is None
