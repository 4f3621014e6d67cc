"""Rules about push that hold in the schema, and what its migration makes of a database that was in use."""

import sqlite3
from pathlib import Path

import pytest

from mdmserver.devices.model import EnrollmentRow
from mdmserver.storage.migration import Migration, migrate, migrations, statements
from mdmserver.storage.times import stored
from mdmserver.storage.vault import Place, Vault
from mdmserver.storage.vault_keys import open_vault, read_wrapping_keys
from mdmserver.transaction import Storage, Transaction
from tests.fleet import START, TOPIC, FakeClock, device_id
from tests.push.bench import Bench, token

CERTIFICATE = (
    "INSERT INTO push_certificate (topic, certificate, key_sealed, fingerprint, not_before, not_after, installed_at, "
    "installed_by) VALUES ('{}', x'00', x'00', 'f', 0, 0, 0, 'me')"
)
PUSH = "0003_push.sql"


@pytest.fixture
def bench(storage: Storage, vault: Vault, clock: FakeClock) -> Bench:
    """Enrollments with push."""
    return Bench(storage, vault, clock)


async def execute(storage: Storage, statement: str, *parameters: object) -> None:
    async def body(tx: Transaction) -> None:
        await tx.execute(statement, *parameters)

    await storage.run(body)


async def test_a_topic_has_one_certificate_in_force(storage: Storage) -> None:
    await execute(storage, CERTIFICATE.format("T"))

    with pytest.raises(sqlite3.IntegrityError, match="constraint failed"):
        await execute(storage, CERTIFICATE.format("T"))

    await execute(storage, CERTIFICATE.format("U"))
    await execute(storage, "UPDATE push_certificate SET replaced_at = 1 WHERE topic = 'T'")
    await execute(storage, CERTIFICATE.format("T"))


async def test_only_enrollments_are_woken(storage: Storage) -> None:
    for statement in (
        "INSERT INTO push_target (enrollment_id) VALUES (999)",
        "INSERT INTO push_attempt (enrollment_id, at) VALUES (999, 0)",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="constraint failed"):
            await execute(storage, statement)


async def test_the_sweep_reads_an_index_that_is_as_large_as_what_waits(bench: Bench) -> None:
    await bench.enroll(1)
    plan = await bench.storage.read(
        lambda tx: tx.fetch_all(
            "EXPLAIN QUERY PLAN SELECT enrollment_id FROM push_target WHERE due_at <= 1 AND stopped_at IS NULL "
            "AND claimed_until <= 1 ORDER BY due_at LIMIT 5"
        )
    )

    assert "push_target_due" in str(plan)
    assert "TEMP B-TREE" not in str(plan)


def _before_push(engine: str) -> list[Migration]:
    found = migrations(engine)
    return found[: [migration.name for migration in found].index(PUSH)]


async def _as_before_push(storage: Storage, engine: str) -> None:
    async def body(tx: Transaction) -> None:
        await tx.execute(
            "CREATE TABLE schema_migration (number INTEGER PRIMARY KEY, name TEXT NOT NULL, hash TEXT NOT NULL, "
            "applied_at INTEGER NOT NULL)"
        )
        for migration in _before_push(engine):
            for statement in statements(migration.sql):
                await tx.execute(statement)
            await tx.execute(
                "INSERT INTO schema_migration VALUES (?, ?, ?, 0)", migration.number, migration.name, migration.hash
            )

    await storage.run(body)


async def _in_use(storage: Storage, vault: Vault) -> None:
    """Three enabled devices: something open for the first, something finished for the second; a fourth on its way."""

    async def body(tx: Transaction) -> None:
        for number in (1, 2, 3, 4):
            key = device_id(number).key
            from_device = number < 4
            await tx.execute(
                "INSERT INTO enrollment (id, key, external_id, type, device_id, life, created_at, enabled, topic, "
                "push_token_sealed, push_magic_sealed, last_seen_at) "
                "VALUES (?, ?, ?, 'Device', ?, 1, 0, ?, ?, ?, ?, ?)",
                number, key, key, key, int(from_device), TOPIC,
                vault.seal(token(number), Place("enrollment", key, "push_token")) if from_device else None,
                vault.seal(b"magic", Place("enrollment", key, "push_magic")) if from_device else None,
                stored(START),
            )  # fmt: skip
        for number, finished_at in ((1, None), (2, 5), (4, None)):
            await tx.execute(
                "INSERT INTO command (id, uuid, request_type, body_sealed, content_hash, priority, created_at, "
                "created_by) VALUES (?, ?, 'X', x'00', x'00', 0, 0, 'me')", number, f"C{number}",
            )  # fmt: skip
            await tx.execute(
                "INSERT INTO queue_item (enrollment_id, command_id, state, priority, queued_at, finished_at) "
                "VALUES (?, ?, ?, 0, 0, ?)", number, number, "acknowledged" if finished_at else "sent", finished_at,
            )  # fmt: skip

    await storage.run(body)


async def test_what_waited_before_there_was_push_is_told_of_at_once(
    empty_storage: Storage, engine: str, clock: FakeClock, keys: Path
) -> None:
    await _as_before_push(empty_storage, engine)
    vault = await open_vault(empty_storage, read_wrapping_keys(keys), clock=clock)
    await _in_use(empty_storage, vault)

    applied = await migrate(empty_storage, engine, clock=clock)

    bench = Bench(empty_storage, vault, clock)
    bench.rows = {number: EnrollmentRow(number) for number in (1, 2, 3, 4)}
    assert applied[0] == PUSH
    await bench.work()
    assert bench.gateway.tokens == [token(1)]
    # What was on its way is woken when it sends a token.
    await bench.token_update(4)
    await bench.work()
    assert bench.gateway.tokens == [token(1), token(4)]


async def test_a_token_from_before_there_was_push_is_as_old_as_the_device_was_last_seen(
    empty_storage: Storage, engine: str, clock: FakeClock, keys: Path
) -> None:
    await _as_before_push(empty_storage, engine)
    vault = await open_vault(empty_storage, read_wrapping_keys(keys), clock=clock)
    await _in_use(empty_storage, vault)
    await migrate(empty_storage, engine, clock=clock)

    (due,) = await Bench(empty_storage, vault, clock).claim()

    assert due.token_since == START
