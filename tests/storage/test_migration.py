"""Bringing a database to the present schema."""

import sqlite3

import pytest

from mdmserver.storage.migration import SchemaUnknown, migrate, migrations, statements
from mdmserver.transaction import Storage, Transaction
from tests.fleet import FakeClock


async def _tables(tx: Transaction) -> set[str]:
    return {row[0] for row in await tx.fetch_all("SELECT name FROM sqlite_master WHERE type = 'table'")}


async def test_an_empty_database_gets_every_migration(empty_storage: Storage, engine: str, clock: FakeClock) -> None:
    applied = await migrate(empty_storage, engine, clock=clock)

    assert applied == [migration.name for migration in migrations(engine)]
    assert {"enrollment", "queue_item", "audit_record"} <= await empty_storage.read(_tables)


async def test_a_migration_is_applied_once(storage: Storage, engine: str, clock: FakeClock) -> None:
    assert await migrate(storage, engine, clock=clock) == []


async def test_a_migration_that_was_edited_after_it_was_applied_is_refused(
    storage: Storage, engine: str, clock: FakeClock
) -> None:
    async def applied_another_text(tx: Transaction) -> None:
        await tx.execute("UPDATE schema_migration SET hash = ? WHERE number = 1", "0" * 64)

    await storage.run(applied_another_text)

    with pytest.raises(SchemaUnknown, match=r"0001_core.sql was changed"):
        await migrate(storage, engine, clock=clock)


async def test_a_database_of_a_newer_server_is_refused(storage: Storage, engine: str, clock: FakeClock) -> None:
    async def as_a_newer_server(tx: Transaction) -> None:
        await tx.execute("INSERT INTO schema_migration VALUES (9999, '9999_future.sql', 'hash', 0)")

    await storage.run(as_a_newer_server)

    with pytest.raises(SchemaUnknown, match="migration 9999"):
        await migrate(storage, engine, clock=clock)


async def test_a_failing_migration_leaves_nothing_behind(empty_storage: Storage, engine: str, clock: FakeClock) -> None:
    async def in_the_way(tx: Transaction) -> None:
        await tx.execute("CREATE TABLE audit_record (other INTEGER)")

    await empty_storage.run(in_the_way)

    with pytest.raises(sqlite3.OperationalError, match="audit_record already exists"):
        await migrate(empty_storage, engine, clock=clock)

    assert await empty_storage.read(_tables) == {"audit_record"}


def test_migrations_are_numbered_without_gaps(engine: str) -> None:
    numbers = [migration.number for migration in migrations(engine)]

    assert numbers == list(range(1, len(numbers) + 1))


def test_a_file_is_split_into_its_statements_and_a_trigger_stays_whole() -> None:
    sql = """-- what it is; with a semicolon
CREATE TABLE a (
    b INTEGER -- why
);

CREATE TRIGGER c
BEFORE UPDATE ON a
BEGIN
    SELECT 1;
END;
CREATE INDEX d ON a (b);
"""

    found = statements(sql)

    assert [statement.split(" (")[0].split("\n")[0] for statement in found] == [
        "CREATE TABLE a",
        "CREATE TRIGGER c",
        "CREATE INDEX d ON a",
    ]


def test_a_file_that_ends_in_the_middle_of_a_statement_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="in the middle"):
        statements("CREATE TABLE a (\n    b INTEGER\n")
