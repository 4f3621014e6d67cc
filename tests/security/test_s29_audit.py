"""S29: every change has exactly one audit record in its transaction, in a hash chain in which tampering is found.

A chain vouches for what stands before a record, not for what came after it: rows cut off at the very end leave a chain
that is whole, so a cut tail is not found by the chain alone. Whoever must notice that compares the last sequence number
and hash with a copy kept elsewhere.
"""

import inspect
from collections.abc import Awaitable, Callable

import pytest

from mdmserver.access.model import Scope
from mdmserver.access.service import AccessService
from mdmserver.audit.model import AuditRecord, chain_hash
from mdmserver.commands.request import CommandRequest
from mdmserver.commands.service import CommandService
from mdmserver.devices.service import DeviceService
from mdmserver.errors import MDMError
from mdmserver.protocol import CommandUUID, EnrollmentType
from mdmserver.transaction import Transaction
from mdmserver.web.services import Services
from tests.fleet import ADMIN, Fleet, device_id, plist_command

DEVICE = device_id(1)
Verb = Callable[[Fleet], Awaitable[object]]


async def _create_key(fleet: Fleet) -> str:
    key, _ = await fleet.services.access.create_key(
        name="new", scopes=[Scope.DEVICES_READ], expires_at=None, actor=ADMIN
    )
    return key.id


async def _revoke_key(fleet: Fleet) -> None:
    [key] = await fleet.services.access.list_keys()
    await fleet.services.access.revoke_key(key.id, actor=ADMIN)


async def _clear_queue(fleet: Fleet) -> None:
    row = await fleet.services.devices.resolve(str(DEVICE))
    await fleet.services.commands.clear_queue_of(row, actor=ADMIN)


async def _enqueue_for_everyone(fleet: Fleet) -> None:
    request = CommandRequest(plist=plist_command("C2"))
    await fleet.services.commands.enqueue_for_everyone(request, types=frozenset({EnrollmentType.DEVICE}), actor=ADMIN)


async def _quarantined(fleet: Fleet) -> None:
    request = CommandRequest(plist=plist_command("C1", "DeviceLock"), may_destroy=True)
    await fleet.services.commands.enqueue(request, [str(DEVICE)], actor=ADMIN)
    await fleet.services.commands.quarantine()


# Service and verb, what must be so before, the change, its action and its subject (None: one that is made up).
CHANGES: dict[tuple[type, str], tuple[Verb | None, Verb, str, str | None]] = {
    (AccessService, "create_key"): (None, _create_key, "key.create", None),
    (AccessService, "revoke_key"): (_create_key, _revoke_key, "key.revoke", None),
    (DeviceService, "allow_reenroll"): (
        None,
        lambda fleet: fleet.services.devices.allow_reenroll(str(DEVICE), actor=ADMIN),
        "device.allow_reenroll",
        str(DEVICE),
    ),
    (CommandService, "enqueue"): (None, lambda fleet: fleet.enqueue("C1", DEVICE), "command.enqueue", "C1"),
    (CommandService, "enqueue_for_everyone"): (None, _enqueue_for_everyone, "command.enqueue", "C2"),
    (CommandService, "cancel"): (
        lambda fleet: fleet.enqueue("C1", DEVICE),
        lambda fleet: fleet.cancel("C1"),
        "command.cancel",
        "C1",
    ),
    (CommandService, "release"): (
        _quarantined,
        lambda fleet: fleet.services.commands.release(CommandUUID("C1"), actor=ADMIN),
        "command.release",
        "C1",
    ),
    (CommandService, "clear_queue_of"): (
        lambda fleet: fleet.enqueue("C1", DEVICE),
        _clear_queue,
        "queue.clear",
        str(DEVICE),
    ),
}


async def records(services: Services) -> list[AuditRecord]:
    return (await services.audit.records(cursor=None, limit=1000)).items


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change[1])
async def test_every_change_has_exactly_one_record(fleet: Fleet, change: tuple[type, str]) -> None:
    before_it, verb, action, subject = CHANGES[change]
    await fleet.enroll(1)
    if before_it is not None:
        await before_it(fleet)
    before = await records(fleet.services)

    await verb(fleet)

    [record] = (await records(fleet.services))[len(before) :]
    assert (record.action, record.actor) == (action, ADMIN)
    assert subject is None or record.subject == subject
    assert (await fleet.services.audit.verify()).broken_at is None


@pytest.mark.parametrize("service", [AccessService, DeviceService, CommandService])
def test_no_verb_that_names_an_actor_is_missing_here(service: type) -> None:
    verbs = {
        name
        for name, verb in inspect.getmembers(service, inspect.iscoroutinefunction)
        if not name.startswith("_") and "actor" in inspect.signature(verb).parameters
    }

    assert verbs == {name for owner, name in CHANGES if owner is service}


async def test_a_change_that_fails_leaves_no_record(fleet: Fleet) -> None:
    device = await fleet.enroll(1)
    await fleet.enqueue("C1", device)
    before = await records(fleet.services)
    user = await fleet.log_in(1)
    access, commands, devices = fleet.services.access, fleet.services.commands, fleet.services.devices

    for attempt in (
        fleet.enqueue("C1", device, request_type="SecurityInfo"),
        commands.cancel(CommandUUID("unknown"), None, actor=ADMIN),
        access.revoke_key("unknown", actor=ADMIN),
        access.create_key(name="", scopes=[Scope.AUDIT_READ], expires_at=None, actor=ADMIN),
        devices.allow_reenroll(str(user), actor=ADMIN),
        devices.allow_reenroll("unknown", actor=ADMIN),
    ):
        with pytest.raises(MDMError):
            await attempt

    assert await records(fleet.services) == before


async def test_what_devices_do_is_not_in_the_audit(fleet: Fleet) -> None:
    await fleet.enroll(1)
    await fleet.idle(DEVICE)

    assert await records(fleet.services) == []


LENGTH = 5
TAMPERINGS = {
    "at": "UPDATE audit_record SET at = at + 1 WHERE sequence = 3",
    "actor_kind": "UPDATE audit_record SET actor_kind = 'cli' WHERE sequence = 3",
    "actor_name": "UPDATE audit_record SET actor_name = 'eve' WHERE sequence = 3",
    "action": "UPDATE audit_record SET action = 'key.create' WHERE sequence = 3",
    "subject": "UPDATE audit_record SET subject = 'C9' WHERE sequence = 3",
    "detail": "UPDATE audit_record SET detail = replace(detail, '1', '2') WHERE sequence = 3",
    "detail's spaces": "UPDATE audit_record SET detail = replace(detail, ':', ': ') WHERE sequence = 3",
    "previous_hash": "UPDATE audit_record SET previous_hash = zeroblob(32) WHERE sequence = 3",
    "hash": "UPDATE audit_record SET hash = zeroblob(32) WHERE sequence = 3",
    "a kind that is none": "UPDATE audit_record SET actor_kind = 'ghost' WHERE sequence = 3",
    "detail that is no JSON": "UPDATE audit_record SET detail = '{' WHERE sequence = 3",
    "detail that is no object": "UPDATE audit_record SET detail = '[]' WHERE sequence = 3",
    "a time that is none": "UPDATE audit_record SET at = 9223372036854775807 WHERE sequence = 3",
    "a row deleted": "DELETE FROM audit_record WHERE sequence = 3",
    "sequence": "UPDATE audit_record SET sequence = 30 WHERE sequence = 3",
}


@pytest.fixture
async def audited(fleet: Fleet) -> Services:
    """Five records."""
    device = await fleet.enroll(1)
    for number in range(LENGTH):
        await fleet.enqueue(f"C{number}", device)
    return fleet.services


async def tamper(services: Services, *statements: str) -> None:
    async def body(tx: Transaction) -> None:
        for statement in statements:
            await tx.execute(statement)

    await services.storage.run(body)


async def test_an_untouched_chain_verifies(audited: Services) -> None:
    verification = await audited.audit.verify()

    assert (verification.records, verification.broken_at) == (LENGTH, None)


@pytest.mark.parametrize("statement", TAMPERINGS.values(), ids=TAMPERINGS)
async def test_any_change_to_a_row_is_found_where_it_is(audited: Services, statement: str) -> None:
    await tamper(audited, statement)

    verification = await audited.audit.verify()

    assert (verification.records, verification.broken_at) == (2, 3)


async def test_a_row_written_anew_with_a_hash_of_its_own_is_found_at_the_next(audited: Services) -> None:
    third = (await records(audited))[2]
    hash_ = chain_hash(
        third.previous_hash,
        sequence=third.sequence,
        at=third.at,
        actor=third.actor,
        action="harmless",
        subject=third.subject,
        detail="{}",
    )
    await tamper(
        audited,
        f"UPDATE audit_record SET action = 'harmless', detail = '{{}}', hash = x'{hash_.hex()}' WHERE sequence = 3",
    )

    assert (await audited.audit.verify()).broken_at == 4


async def test_two_rows_that_changed_places_are_found(audited: Services) -> None:
    await tamper(
        audited,
        "UPDATE audit_record SET sequence = 99 WHERE sequence = 2",
        "UPDATE audit_record SET sequence = 2 WHERE sequence = 3",
        "UPDATE audit_record SET sequence = 3 WHERE sequence = 99",
    )

    assert (await audited.audit.verify()).broken_at == 2


@pytest.mark.parametrize("sequence", [-1, 0, LENGTH + 1])
async def test_a_row_that_was_put_in_is_found(audited: Services, sequence: int) -> None:
    await tamper(
        audited,
        "INSERT INTO audit_record (sequence, at, actor_kind, actor_name, action, subject, detail, previous_hash, hash) "
        f"SELECT {sequence}, at, actor_kind, actor_name, action, subject, detail, previous_hash, hash "
        "FROM audit_record WHERE sequence = 5",
    )

    assert (await audited.audit.verify()).broken_at is not None


async def test_a_tail_that_was_cut_off_is_not_found_by_the_chain_alone(audited: Services) -> None:
    await tamper(audited, "DELETE FROM audit_record WHERE sequence > 3")

    verification = await audited.audit.verify()

    assert (verification.records, verification.broken_at) == (3, None)


async def test_records_that_cannot_be_read_do_not_hide_the_others(audited: Services) -> None:
    await tamper(audited, "UPDATE audit_record SET actor_kind = 'ghost' WHERE sequence = 3")

    assert [record.sequence for record in await records(audited)] == [1, 2, 3, 4, 5]
