"""Rules that hold in the schema itself, whatever the code above it does."""

import sqlite3

import pytest

from mdmserver.transaction import Storage, Transaction

SETUP = (
    "INSERT INTO enrollment (id, key, external_id, type, device_id, life, created_at) "
    "VALUES (1, 'A', 'A', 'Device', 'A', 1, 0)",
    "INSERT INTO enrollment (id, key, external_id, type, device_id, life, created_at) "
    "VALUES (2, 'B', 'B', 'Device', 'B', 1, 0)",
    "INSERT INTO command (id, uuid, request_type, body_sealed, content_hash, priority, created_at, created_by) "
    "VALUES (1, 'C', 'ProfileList', x'00', x'00', 0, 0, 'me')",
    "INSERT INTO queue_item (id, enrollment_id, command_id, state, priority, queued_at) "
    "VALUES (1, 1, 1, 'queued', 0, 0)",
    "INSERT INTO identity (fingerprint, enrollment_id, state, authority, certificate, not_after, bound_at, changed_at) "
    "VALUES (x'01', 1, 'active', 'ca', x'00', 0, 0, 0)",
)
FINAL_STATES = ("acknowledged", "error", "format_error", "cancelled", "expired", "superseded")
STATES = ("queued", "sent", "not_now", "withdrawn", *FINAL_STATES)


@pytest.fixture
async def filled(storage: Storage) -> Storage:
    """Two devices, a certificate and an open item."""
    for statement in SETUP:
        await execute(storage, statement)
    return storage


async def execute(storage: Storage, statement: str) -> None:
    async def body(tx: Transaction) -> None:
        await tx.execute(statement)

    await storage.run(body)


async def refused(storage: Storage, statement: str, *, match: str = "constraint failed") -> None:
    with pytest.raises(sqlite3.IntegrityError, match=match):
        await execute(storage, statement)


@pytest.mark.parametrize("state", ["active", "grace"])
async def test_a_device_has_one_active_certificate_and_one_in_grace(filled: Storage, state: str) -> None:
    insert = (
        "INSERT INTO identity (fingerprint, enrollment_id, state, authority, certificate, not_after, bound_at, "
        "changed_at) VALUES (x'{}', 1, '{}', 'ca', x'00', 0, 0, 0)"
    )
    if state == "grace":
        await execute(filled, insert.format("02", state))

    await refused(filled, insert.format("03", state))
    await execute(filled, insert.format("04", "superseded"))
    await execute(filled, insert.format("05", "superseded"))


async def test_a_certificate_belongs_to_one_device(filled: Storage) -> None:
    await refused(
        filled,
        "INSERT INTO identity (fingerprint, enrollment_id, state, authority, certificate, not_after, bound_at, "
        "changed_at) VALUES (x'01', 2, 'active', 'ca', x'00', 0, 0, 0)",
    )


async def test_an_enrollment_is_not_enabled_and_ended_at_once(filled: Storage) -> None:
    await refused(filled, "UPDATE enrollment SET enabled = 1, ended_at = 5 WHERE id = 1")


async def test_two_enrollments_have_two_keys(filled: Storage) -> None:
    await refused(filled, "UPDATE enrollment SET key = 'B' WHERE id = 1")


async def test_a_user_channel_has_a_parent_and_a_device_has_none(filled: Storage) -> None:
    await refused(filled, "UPDATE enrollment SET parent_id = 2 WHERE id = 1")
    await refused(filled, "UPDATE enrollment SET user_id = 'user' WHERE id = 1")


@pytest.mark.parametrize("final", FINAL_STATES)
async def test_a_final_state_never_changes(filled: Storage, final: str) -> None:
    await execute(filled, f"UPDATE queue_item SET state = '{final}', finished_at = 1 WHERE id = 1")

    for other in STATES:
        finished_at = "1" if other in FINAL_STATES else "NULL"
        await refused(
            filled,
            f"UPDATE queue_item SET state = '{other}', finished_at = {finished_at}, withdrawn_as = 'expired'",
            match="a finished queue item never changes",
        )


async def test_an_item_is_finished_exactly_when_its_state_is_final(filled: Storage) -> None:
    for state in STATES:
        wrong = "NULL" if state in FINAL_STATES else "1"
        await refused(
            filled, f"UPDATE queue_item SET state = '{state}', finished_at = {wrong}, withdrawn_as = 'expired'"
        )


async def test_a_withdrawn_item_knows_what_it_ends_as(filled: Storage) -> None:
    await refused(filled, "UPDATE queue_item SET state = 'withdrawn'")
    await refused(filled, "UPDATE queue_item SET state = 'withdrawn', withdrawn_as = 'acknowledged'")
    await execute(filled, "UPDATE queue_item SET state = 'withdrawn', withdrawn_as = 'cancelled'")


async def test_an_enrollment_has_a_command_once(filled: Storage) -> None:
    await refused(
        filled,
        "INSERT INTO queue_item (enrollment_id, command_id, state, priority, queued_at) VALUES (1, 1, 'queued', 0, 0)",
    )


async def test_nothing_refers_to_what_is_not_there(filled: Storage) -> None:
    await refused(filled, "UPDATE queue_item SET enrollment_id = 99", match="FOREIGN KEY")
    await refused(filled, "UPDATE queue_item SET command_id = 99", match="FOREIGN KEY")
    await refused(filled, "UPDATE identity SET enrollment_id = 99", match="FOREIGN KEY")
