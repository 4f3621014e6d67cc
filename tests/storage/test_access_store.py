"""The AccessStore's contract."""

from datetime import timedelta
from functools import partial

import pytest

from mdmserver.access.model import ApiKey, Scope, StoredKey
from mdmserver.access.store import AccessStore
from mdmserver.storage.access import SQLAccessStore
from mdmserver.storage.migration import migrate, migrations, statements
from mdmserver.transaction import Storage, Transaction
from tests.fleet import START, FakeClock


def _key(id: str, *, age_seconds: int = 0) -> StoredKey:
    key = ApiKey(
        id=id,
        name=f"key {id}",
        scopes=frozenset({Scope.DEVICES_READ, Scope.AUDIT_READ}),
        created_at=START - timedelta(seconds=age_seconds),
        created_by="init",
        expires_at=START + timedelta(days=1),
        last_used_at=None,
        revoked_at=None,
    )
    return StoredKey(key=key, secret_hash=b"hash of " + id.encode())


async def _insert(storage: Storage, access: AccessStore, key: StoredKey) -> None:
    await storage.run(lambda tx: access.insert_key(tx, key))


@pytest.fixture
async def one_key(storage: Storage, access: AccessStore) -> StoredKey:
    """A key that is stored."""
    await _insert(storage, access, _key("one"))
    return _key("one")


async def test_a_key_comes_back_whole(storage: Storage, access: AccessStore, one_key: StoredKey) -> None:
    assert await storage.read(partial(access.key, key_id="one")) == one_key


async def test_an_unknown_key_is_none(storage: Storage, access: AccessStore) -> None:
    assert await storage.read(partial(access.key, key_id="one")) is None


async def test_keys_are_listed_oldest_first_revoked_ones_too(
    storage: Storage, access: AccessStore, one_key: StoredKey
) -> None:
    await _insert(storage, access, _key("elder", age_seconds=9))
    await storage.run(partial(access.revoke_key, key_id="elder", at=START))

    assert [key.id for key in await storage.read(access.keys)] == ["elder", "one"]


async def test_revoking_says_whether_it_changed_anything(
    storage: Storage, access: AccessStore, one_key: StoredKey
) -> None:
    later = START + timedelta(hours=1)

    outcomes = [await storage.run(partial(access.revoke_key, key_id=id, at=START)) for id in ("one", "one", "none")]
    await storage.run(partial(access.revoke_key, key_id="one", at=later))

    assert outcomes == [True, False, False]
    [key] = await storage.read(access.keys)
    assert key.revoked_at == START


async def test_the_time_of_use_moves_forward_and_never_back(
    storage: Storage, access: AccessStore, one_key: StoredKey
) -> None:
    for seconds in (10, 30, 20):
        used = {"one": START + timedelta(seconds=seconds), "unknown": START}
        await storage.run(partial(access.keys_used, last_used=used))

    [key] = await storage.read(access.keys)
    assert key.last_used_at == START + timedelta(seconds=30)


async def test_a_scope_of_a_newer_version_grants_nothing(
    storage: Storage, access: AccessStore, one_key: StoredKey
) -> None:
    async def newer(tx: Transaction) -> None:
        await tx.execute("UPDATE api_key SET scopes = 'audit:read world:rule'")

    await storage.run(newer)

    [key] = await storage.read(access.keys)
    assert key.scopes == {Scope.AUDIT_READ}


async def test_the_first_key_of_an_older_database_gets_the_scopes_that_came_since(
    empty_storage: Storage, engine: str, clock: FakeClock
) -> None:
    before = [migration for migration in migrations(engine) if migration.name < "0004"]
    old = "audit:read devices:read devices:write keys:manage"

    async def as_it_was(tx: Transaction) -> None:
        for migration in before:
            for statement in statements(migration.sql):
                await tx.execute(statement)
        await tx.execute("CREATE TABLE schema_migration (number INTEGER, name TEXT, hash TEXT, applied_at INTEGER)")
        for migration in before:
            await tx.execute(
                "INSERT INTO schema_migration VALUES (?, ?, ?, 0)", migration.number, migration.name, migration.hash
            )
        for at, name in enumerate(("first", "second")):
            await tx.execute(
                "INSERT INTO api_key (id, name, secret_hash, scopes, created_at, created_by) "
                "VALUES (?, ?, x'00', ?, ?, 'x')",
                name,
                name,
                old,
                at,
            )

    await empty_storage.run(as_it_was)

    await migrate(empty_storage, engine, clock=clock)

    first, second = await empty_storage.read(SQLAccessStore().keys)
    assert first.scopes == frozenset(Scope)
    assert second.scopes == {Scope(scope) for scope in old.split()}
