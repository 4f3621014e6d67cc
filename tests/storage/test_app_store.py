"""The AppStore's contract: the catalogue, who gets an app, and revisions that never change."""

import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from mdmserver.apps.model import App, Assignment, Configuration, Effect, NewApp, PreferenceForm, Revision
from mdmserver.apps.store import AppStore
from mdmserver.assignments.model import AppRow, Platform, RevisionRow, Scope, ScopeKind
from mdmserver.storage.apps import SQLAppStore
from mdmserver.storage.vault import Vault, VaultBroken
from mdmserver.transaction import Storage
from tests.fleet import START

ALL = Scope(kind=ScopeKind.ALL)
PILOT = Scope(kind=ScopeKind.TAG, value="pilot")
PILOTS = Scope(kind=ScopeKind.GROUP, value="pilot")
ONE = NewApp(
    key="one", name="Öne", app_store_id=2**63 - 1, bundle_id="com.example.one", manifest_url="https://example.com/ü",
    platforms=frozenset({Platform.IOS, Platform.MACOS}), preference_domain="com.example.domain",
    preference_form=PreferenceForm.BOTH,
)  # fmt: skip
TWO = NewApp(key="two", name="Two", bundle_id="com.example.two")
VALUES: dict[str, Any] = {
    "text": "ü<&>", "number": -1, "real": 0.5, "flag": False, "data": b"\x00\xff", "list": [1, [2]], "empty": {},
    "date": datetime(2026, 1, 1, 12, tzinfo=UTC),
}  # fmt: skip


class Shelf:
    """The store and short ways to use it."""

    def __init__(self, storage: Storage, apps: AppStore) -> None:
        self.storage = storage
        self.apps = apps

    async def add(self, new: NewApp) -> AppRow:
        row = await self.storage.run(partial(self.apps.insert_app, app=new, at=START))
        assert row is not None
        return row

    async def app(self, key: str) -> App | None:
        return await self.storage.read(partial(self.apps.app, key=key))

    async def assign(self, app: AppRow, scope: Scope, effect: Effect = Effect.INSTALL) -> bool:
        assignment = Assignment(app=app, scope=scope, effect=effect)
        return await self.storage.run(partial(self.apps.assign, assignment=assignment, at=START))

    async def revise(self, app: AppRow, scope: Scope, values: Mapping[str, Any] | None = None) -> Revision:
        return await self.storage.run(
            partial(
                self.apps.revise, app=app, scope=scope, values=values or {"T": "v"}, secret_keys=frozenset({"T"}),
                fingerprint="f", created_by="me", at=START + timedelta(microseconds=1),
            )
        )  # fmt: skip

    async def configurations(self, app: AppRow | None = None) -> list[Configuration]:
        return await self.storage.read(partial(self.apps.configurations, app=app))

    async def revision(self, row: RevisionRow) -> Revision | None:
        return await self.storage.read(partial(self.apps.revision, row=row))

    async def execute(self, sql: str) -> None:
        await self.storage.run(lambda tx: tx.execute(sql))


@pytest.fixture
def shelf(storage: Storage, vault: Vault) -> Shelf:
    """An empty catalogue."""
    return Shelf(storage, SQLAppStore(vault))


async def test_an_app_comes_back_as_it_was_put_in(shelf: Shelf) -> None:
    rows = {new.key: await shelf.add(new) for new in (TWO, ONE)}

    for new in (ONE, TWO):
        kept = await shelf.app(new.key)
        assert kept is not None
        assert kept.row == rows[new.key]
        assert all(getattr(kept, name) == getattr(new, name) for name in NewApp.__slots__)
        assert await shelf.storage.read(partial(shelf.apps.app_by_row, row=kept.row)) == kept
    assert [app.key for app in await shelf.storage.read(shelf.apps.apps)] == ["one", "two"]
    assert await shelf.app("three") is None
    assert await shelf.storage.read(partial(shelf.apps.app_by_row, row=AppRow(99))) is None


async def test_a_key_is_taken_once(shelf: Shelf) -> None:
    await shelf.add(ONE)

    assert await shelf.storage.run(partial(shelf.apps.insert_app, app=replace(TWO, key="one"), at=START)) is None
    kept = await shelf.app("one")
    assert kept is not None
    assert kept.name == ONE.name


async def test_an_app_is_changed_in_every_field(shelf: Shelf) -> None:
    row = await shelf.add(ONE)
    await shelf.add(replace(TWO, key="three"))

    await shelf.storage.run(partial(shelf.apps.update_app, row=row, app=TWO))

    kept = await shelf.app("two")
    assert kept is not None
    assert kept.row == row
    assert all(getattr(kept, name) == getattr(TWO, name) for name in NewApp.__slots__)
    assert await shelf.app("one") is None


async def test_assigning_says_whether_anything_changed(shelf: Shelf) -> None:
    one, two = await shelf.add(ONE), await shelf.add(TWO)

    assert await shelf.assign(one, ALL)
    assert not await shelf.assign(one, ALL)
    assert await shelf.assign(one, ALL, Effect.REMOVE)
    assert await shelf.assign(one, PILOT)
    assert await shelf.assign(one, PILOTS)
    assert await shelf.assign(two, ALL)

    of_one = await shelf.storage.read(partial(shelf.apps.assignments, app=one))
    assert {(each.scope, each.effect) for each in of_one} == {
        (ALL, Effect.REMOVE), (PILOT, Effect.INSTALL), (PILOTS, Effect.INSTALL),
    }  # fmt: skip
    assert len(await shelf.storage.read(shelf.apps.assignments)) == 4
    assert await shelf.storage.run(partial(shelf.apps.unassign, app=one, scope=PILOT))
    assert not await shelf.storage.run(partial(shelf.apps.unassign, app=one, scope=PILOT))
    assert len(await shelf.storage.read(shelf.apps.assignments)) == 3


async def test_a_revision_comes_back_as_it_was_made(shelf: Shelf) -> None:
    app = await shelf.add(ONE)

    made = await shelf.revise(app, ALL, VALUES | {"T": "v"})

    assert await shelf.revision(made.row) == made
    assert made.values == VALUES | {"T": "v"}
    assert [type(made.values[key]) for key in VALUES] == [type(value) for value in VALUES.values()]
    assert (made.number, made.app, made.fingerprint, made.created_by) == (1, app, "f", "me")
    assert (made.secret_keys, made.created_at) == (frozenset({"T"}), START + timedelta(microseconds=1))
    assert await shelf.revision(RevisionRow(99)) is None


async def test_each_scope_has_a_configuration_and_its_newest_revision_is_in_force(shelf: Shelf) -> None:
    one, two = await shelf.add(ONE), await shelf.add(TWO)
    first = await shelf.revise(one, ALL, {"T": "1"})
    other = await shelf.revise(one, PILOT, {"T": "2"})
    second = await shelf.revise(one, ALL, {"T": "3"})
    third = await shelf.revise(two, ALL, {"T": "4"})

    assert [first.number, second.number, other.number, third.number] == [1, 2, 1, 1]
    assert [(each.scope, each.revision, each.number) for each in await shelf.configurations(one)] == [
        (ALL, second.row, 2), (PILOT, other.row, 1),
    ]  # fmt: skip
    assert len(await shelf.configurations()) == 3
    older = await shelf.revision(first.row)
    assert older is not None
    assert older.values == {"T": "1"}
    revisions = partial(shelf.apps.revisions, configuration=first.configuration, limit=1)
    assert [each.row for each in await shelf.storage.read(revisions)] == [second.row]


async def test_a_withdrawn_configuration_has_no_revision_and_counts_on_when_it_comes_back(shelf: Shelf) -> None:
    app = await shelf.add(ONE)
    made = await shelf.revise(app, ALL)
    await shelf.storage.run(partial(shelf.apps.withdraw_configuration, configuration=made.configuration))
    [withdrawn] = await shelf.configurations(app)
    assert (withdrawn.revision, withdrawn.number) == (None, None)

    again = await shelf.revise(app, ALL)

    assert (again.configuration, again.number) == (made.configuration, 2)


async def test_an_app_goes_with_its_configurations(shelf: Shelf) -> None:
    one, two = await shelf.add(ONE), await shelf.add(TWO)
    gone = await shelf.revise(one, ALL)
    stays = await shelf.revise(two, ALL)

    await shelf.storage.run(partial(shelf.apps.delete_app, row=one))

    assert await shelf.revision(gone.row) is None
    assert await shelf.revision(stays.row) == stays
    assert [each.app for each in await shelf.configurations()] == [two]


async def test_an_app_that_is_meant_for_somebody_cannot_go(shelf: Shelf) -> None:
    app = await shelf.add(ONE)
    await shelf.assign(app, ALL)

    with pytest.raises(sqlite3.IntegrityError):
        await shelf.storage.run(partial(shelf.apps.delete_app, row=app))


@pytest.mark.parametrize(
    "column",
    ["values_sealed = x'00'", "secret_keys = '[]'", "fingerprint = 'other'", "number = 9", "created_by = 'other'",
     "created_at = 0"],
)  # fmt: skip
async def test_a_revision_never_changes(shelf: Shelf, column: str) -> None:
    made = await shelf.revise(await shelf.add(ONE), ALL)

    with pytest.raises(sqlite3.IntegrityError, match="a revision never changes"):
        await shelf.execute(f"UPDATE app_configuration_revision SET {column}")

    assert await shelf.revision(made.row) == made


async def test_values_are_sealed_for_their_place(shelf: Shelf) -> None:
    app = await shelf.add(ONE)
    await shelf.revise(app, ALL, {"T": "CANARY-of-values"})
    await shelf.revise(app, PILOT, {"T": "another"})

    async def moved(tx: Any) -> None:
        [sealed] = await tx.fetch_one("SELECT values_sealed FROM app_configuration_revision WHERE id = 1")
        assert b"CANARY" not in bytes(sealed)
        await tx.execute("DROP TRIGGER app_configuration_revision_never_changes")
        await tx.execute("UPDATE app_configuration_revision SET values_sealed = ? WHERE id = 2", sealed)

    await shelf.storage.run(moved)

    with pytest.raises(VaultBroken):
        await shelf.revision(RevisionRow(2))


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO app_assignment (app_id, scope_kind, scope_value, effect, created_at) "
        "VALUES (1, 'everyone', '', 'install', 0)",
        "INSERT INTO app_assignment (app_id, scope_kind, scope_value, effect, created_at) "
        "VALUES (1, 'all', '', 'erase', 0)",
        "INSERT INTO app_assignment (app_id, scope_kind, scope_value, effect, created_at) "
        "VALUES (9, 'all', '', 'install', 0)",
        "UPDATE app SET preference_form = 'other'",
        "UPDATE app_configuration SET revision_id = 99",
        "UPDATE app_configuration SET scope_kind = 'other'",
        "INSERT INTO app_configuration (app_id, scope_kind, scope_value, created_at) VALUES (1, 'all', '', 0)",
        "INSERT INTO app_configuration_revision (configuration_id, number, values_sealed, secret_keys, fingerprint, "
        "created_at, created_by) VALUES (1, 1, x'00', '[]', 'f', 0, 'me')",
        "DELETE FROM app_configuration_revision",
    ],
)
async def test_the_schema_refuses_what_cannot_be(shelf: Shelf, statement: str) -> None:
    await shelf.revise(await shelf.add(ONE), ALL)

    with pytest.raises(sqlite3.IntegrityError):
        await shelf.execute(statement)
