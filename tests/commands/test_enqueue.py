"""Enqueueing: what is refused, what is one command, and many targets."""

from dataclasses import replace
from datetime import timedelta

import pytest

from mdmserver.commands.enqueue import CHUNK, MAXIMUM_REFERENCES, Enqueued
from mdmserver.commands.model import ItemState
from mdmserver.commands.request import CommandRequest
from mdmserver.errors import Conflict, Invalid, NotFound, ScopeMissing
from mdmserver.events import Hint
from mdmserver.protocol import DESTRUCTIVE_REQUEST_TYPES, CommandUUID, EnrollmentID, EnrollmentType, loads
from mdmserver.transaction import Transaction
from mdmserver.web.services import Services
from tests.fleet import ADMIN, START, TOPIC, Fleet, certificate, device_id, plist_command

MANY = 2_500
PAYLOAD = CommandRequest(payload={"RequestType": "ProfileList"}, idempotency_key="key")


async def enqueue(fleet: Fleet, request: CommandRequest, *targets: EnrollmentID) -> Enqueued:
    return await fleet.services.commands.enqueue(request, [str(target) for target in targets], actor=ADMIN)


async def actions(services: Services) -> list[str]:
    return [record.action for record in (await services.audit.records(cursor=None, limit=1000)).items]


async def enroll_many(services: Services, number: int) -> list[EnrollmentID]:
    ids = [device_id(n) for n in range(number)]

    async def body(tx: Transaction) -> None:
        await tx.execute_many(
            "INSERT INTO enrollment (key, external_id, type, device_id, life, enabled, topic, created_at) "
            "VALUES (?, ?, 'Device', ?, 1, 1, ?, 0)",
            [(id.key, str(id), id.device, TOPIC) for id in ids],
        )

    await services.storage.run(body)
    return ids


async def test_unknown_and_ended_targets_are_refused_one_by_one(fleet: Fleet) -> None:
    live, gone = await fleet.enroll(1), await fleet.enroll(2)
    await fleet.check_out(gone, certificate(2))

    outcome = await fleet.enqueue("C1", live, gone, device_id(3))

    assert (outcome.uuid, outcome.request_type, outcome.queued) == ("C1", "ProfileList", 1)
    assert outcome.refused == {str(gone): "not_enrolled", str(device_id(3)): "not_found"}


async def test_with_no_usable_target_nothing_is_kept(fleet: Fleet) -> None:
    outcome = await fleet.enqueue("C1", device_id(3))

    assert outcome.queued == 0
    assert await actions(fleet.services) == []
    with pytest.raises(NotFound):
        await fleet.services.commands.show(CommandUUID("C1"))


async def test_a_device_takes_commands_before_its_first_token_update(fleet: Fleet) -> None:
    await fleet.authenticate(1)

    assert (await fleet.enqueue("C1", device_id(1))).queued == 1


async def test_a_target_named_twice_gets_the_command_once(fleet: Fleet) -> None:
    device = await fleet.enroll(1)

    assert (await fleet.enqueue("C1", device, device)).queued == 1


@pytest.mark.parametrize("number", [0, MAXIMUM_REFERENCES + 1])
async def test_none_and_too_many_targets_are_invalid(services: Services, number: int) -> None:
    with pytest.raises(Invalid):
        await services.commands.enqueue(PAYLOAD, ["x"] * number, actor=ADMIN)


@pytest.mark.parametrize("request_type", sorted(DESTRUCTIVE_REQUEST_TYPES))
async def test_destructive_commands_are_not_offered_without_their_scope(fleet: Fleet, request_type: str) -> None:
    device = await fleet.enroll(1)

    with pytest.raises(ScopeMissing):
        await fleet.enqueue("C1", device, request_type=request_type)
    with pytest.raises(ScopeMissing):
        await enqueue(fleet, CommandRequest(payload={"RequestType": request_type}), device)

    assert await fleet.states(device) == {}


async def test_removing_the_enrollment_profile_needs_the_scope_and_removing_another_does_not(fleet: Fleet) -> None:
    device = await fleet.enroll(1)
    own = CommandRequest(payload={"RequestType": "RemoveProfile", "Identifier": "ip-127-0-0-1.enrollment"})
    other = CommandRequest(payload={"RequestType": "RemoveProfile", "Identifier": "com.example.wifi"})

    with pytest.raises(ScopeMissing):
        await enqueue(fleet, own, device)

    assert (await enqueue(fleet, other, device)).queued == 1


async def test_a_payload_becomes_a_whole_command(fleet: Fleet) -> None:
    device = await fleet.enroll(1)

    outcome = await enqueue(fleet, CommandRequest(payload={"RequestType": "DeviceInformation", "Queries": []}), device)

    assert loads(await fleet.services.commands.command_body(outcome.uuid)) == {
        "CommandUUID": outcome.uuid,
        "Command": {"RequestType": "DeviceInformation", "Queries": []},
    }


@pytest.mark.parametrize(
    "broken",
    [
        CommandRequest(),
        CommandRequest(plist=plist_command("C1"), payload={"RequestType": "ProfileList"}),
        CommandRequest(plist=b"not a plist"),
        CommandRequest(plist=b'<?xml version="1.0"?><plist version="1.0"><dict/></plist>'),
        CommandRequest(payload={}),
        CommandRequest(payload={"RequestType": ""}),
        CommandRequest(payload={"RequestType": "X", "Object": object()}),
        replace(PAYLOAD, priority=101),
        replace(PAYLOAD, priority=-101),
        replace(PAYLOAD, expires_at=START),
        replace(PAYLOAD, not_before=START + timedelta(hours=2), expires_at=START + timedelta(hours=1)),
        replace(PAYLOAD, idempotency_key=""),
        replace(PAYLOAD, idempotency_key="x" * 256),
        replace(PAYLOAD, idempotency_key="line\nbreak"),
    ],
)
async def test_what_cannot_be_right_is_invalid(fleet: Fleet, broken: CommandRequest) -> None:
    device = await fleet.enroll(1)

    with pytest.raises(Invalid):
        await enqueue(fleet, broken, device)


async def test_the_same_key_with_the_same_content_is_the_same_command(fleet: Fleet) -> None:
    device, other = await fleet.enroll(1), await fleet.enroll(2)
    first = await enqueue(fleet, PAYLOAD, device)

    again = await enqueue(fleet, PAYLOAD, device, other)

    assert again.uuid == first.uuid
    assert len(await fleet.items(device)) == 1
    assert list(await fleet.items(other)) == [first.uuid]


async def test_the_same_key_with_other_content_is_a_conflict(fleet: Fleet) -> None:
    device = await fleet.enroll(1)
    await enqueue(fleet, PAYLOAD, device)

    with pytest.raises(Conflict):
        await enqueue(fleet, replace(PAYLOAD, payload={"RequestType": "SecurityInfo"}), device)


async def test_the_same_uuid_is_the_same_command_or_a_conflict(fleet: Fleet) -> None:
    device = await fleet.enroll(1)
    await fleet.enqueue("C1", device)

    assert (await fleet.enqueue("C1", device)).uuid == "C1"
    with pytest.raises(Conflict):
        await fleet.enqueue("C1", device, request_type="SecurityInfo")
    assert len(await fleet.items(device)) == 1


async def test_a_finished_command_is_not_queued_again_by_its_repetition(fleet: Fleet) -> None:
    device = await fleet.enroll(1)
    await fleet.enqueue("C1", device)
    await fleet.idle(device)
    await fleet.answer(device, "C1")

    await fleet.enqueue("C1", device)

    assert await fleet.idle(device) is None
    assert await fleet.states(device) == {"C1": ItemState.ACKNOWLEDGED}


async def test_a_repetition_that_adds_nothing_is_not_audited_and_one_that_does_is(fleet: Fleet) -> None:
    device, other = await fleet.enroll(1), await fleet.enroll(2)
    await fleet.enqueue("C1", device)

    await fleet.enqueue("C1", device)
    assert await actions(fleet.services) == ["command.enqueue"]

    await fleet.enqueue("C1", device, other)
    assert await actions(fleet.services) == ["command.enqueue"] * 2


async def test_thousands_of_targets_are_queued_in_chunks_with_one_audit_record(fleet: Fleet) -> None:
    ids = await enroll_many(fleet.services, MANY)

    outcome = await fleet.enqueue("C1", *ids)

    progress = (await fleet.services.commands.show(CommandUUID("C1"))).progress
    assert CHUNK < MANY
    assert (outcome.queued, progress.counts) == (MANY, {ItemState.QUEUED: MANY})
    [record] = (await fleet.services.audit.records(cursor=None, limit=9)).items
    assert record.detail == {"request_type": "ProfileList", "targets": MANY}


async def test_everyone_means_every_enabled_enrollment_of_the_types(fleet: Fleet) -> None:
    await enroll_many(fleet.services, MANY)
    await fleet.authenticate(MANY + 1)
    device, user = await fleet.enroll(MANY + 2), await fleet.log_in(MANY + 2)

    outcome = await fleet.services.commands.enqueue_for_everyone(
        PAYLOAD, types=frozenset({EnrollmentType.DEVICE}), actor=ADMIN
    )

    assert outcome.queued == MANY + 1
    assert list(await fleet.items(device)) == [outcome.uuid]
    assert await fleet.items(user) == {}
    assert await fleet.items(device_id(MANY + 1)) == {}
    [record] = (await fleet.services.audit.records(cursor=None, limit=9)).items
    assert record.detail == {"request_type": "ProfileList", "targets": "everyone"}


async def test_for_everyone_again_reaches_only_those_who_came_since(fleet: Fleet) -> None:
    await fleet.enroll(1)
    everyone = frozenset({EnrollmentType.DEVICE})
    first = await fleet.services.commands.enqueue_for_everyone(PAYLOAD, types=everyone, actor=ADMIN)
    await fleet.enroll(2)

    again = await fleet.services.commands.enqueue_for_everyone(PAYLOAD, types=everyone, actor=ADMIN)

    assert (again.uuid, first.queued, again.queued) == (first.uuid, 1, 1)


async def test_enqueueing_hints_that_devices_may_be_woken(fleet: Fleet) -> None:
    device = await fleet.enroll(1)

    await fleet.enqueue("C1", device)

    assert await fleet.services.hints.wait(Hint.COMMANDS_QUEUED, at_most_seconds=0) is True
