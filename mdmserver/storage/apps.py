"""The catalogue, assignments and configurations in SQL. The values of a revision are sealed as a whole."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mdmserver.apps.model import (
    App,
    Assignment,
    Configuration,
    ConfigurationRow,
    Effect,
    NewApp,
    PreferenceForm,
    Revision,
)
from mdmserver.assignments.model import AppRow, Platform, RevisionRow, Scope, ScopeKind
from mdmserver.protocol import dumps, loads
from mdmserver.storage.times import loaded, stored
from mdmserver.storage.vault import Place, Vault
from mdmserver.transaction import Row, Transaction

_APP = (
    "SELECT id, key, name, app_store_id, bundle_id, manifest_url, platforms, preference_domain, preference_form "
    "FROM app"
)
_REVISION = (
    "SELECT r.id, r.configuration_id, c.app_id, r.number, r.values_sealed, r.secret_keys, r.fingerprint, r.created_at, "
    "r.created_by FROM app_configuration_revision r JOIN app_configuration c ON c.id = r.configuration_id WHERE "
)


class SQLAppStore:
    """The AppStore of SQLite."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def insert_app(self, tx: Transaction, app: NewApp, *, at: datetime) -> AppRow | None:
        """Add an app; None if its key is taken."""
        row = await tx.fetch_one(
            "INSERT INTO app (key, name, app_store_id, bundle_id, manifest_url, platforms, preference_domain, "
            "preference_form, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING id",
            *_values(app),
            stored(at),
        )
        return None if row is None else AppRow(row[0])

    async def update_app(self, tx: Transaction, row: AppRow, app: NewApp) -> None:
        """Change what is known of an app."""
        await tx.execute(
            "UPDATE app SET key = ?, name = ?, app_store_id = ?, bundle_id = ?, manifest_url = ?, platforms = ?, "
            "preference_domain = ?, preference_form = ? WHERE id = ?",
            *_values(app),
            row,
        )

    async def delete_app(self, tx: Transaction, row: AppRow) -> None:
        """Forget an app that nothing refers to any more, with its configurations."""
        await tx.execute("UPDATE app_configuration SET revision_id = NULL WHERE app_id = ?", row)
        await tx.execute(
            "DELETE FROM app_configuration_revision WHERE configuration_id IN "
            "(SELECT id FROM app_configuration WHERE app_id = ?)",
            row,
        )
        await tx.execute("DELETE FROM app_configuration WHERE app_id = ?", row)
        await tx.execute("DELETE FROM app WHERE id = ?", row)

    async def apps(self, tx: Transaction) -> list[App]:
        """All, by key."""
        return [_app_of(row) for row in await tx.fetch_all(f"{_APP} ORDER BY key")]

    async def app(self, tx: Transaction, key: str) -> App | None:
        """The app with this key, or None."""
        row = await tx.fetch_one(f"{_APP} WHERE key = ?", key)
        return None if row is None else _app_of(row)

    async def app_by_row(self, tx: Transaction, row: AppRow) -> App | None:
        """The app in this row, or None."""
        found = await tx.fetch_one(f"{_APP} WHERE id = ?", row)
        return None if found is None else _app_of(found)

    async def assignments(self, tx: Transaction, app: AppRow | None = None) -> list[Assignment]:
        """For whom each app is meant."""
        rows = await tx.fetch_all(
            "SELECT app_id, scope_kind, scope_value, effect FROM app_assignment WHERE ? IS NULL OR app_id = ? "
            "ORDER BY app_id, scope_kind, scope_value",
            app,
            app,
        )
        return [
            Assignment(app=AppRow(row[0]), scope=Scope(kind=ScopeKind(row[1]), value=row[2]), effect=Effect(row[3]))
            for row in rows
        ]

    async def assign(self, tx: Transaction, assignment: Assignment, *, at: datetime) -> bool:
        """Mean the app for a scope; False if it was so."""
        scope, effect = assignment.scope, assignment.effect.value
        changed = await tx.execute(
            "INSERT INTO app_assignment (app_id, scope_kind, scope_value, effect, created_at) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (app_id, scope_kind, scope_value) DO UPDATE SET effect = excluded.effect "
            "WHERE app_assignment.effect <> excluded.effect",
            assignment.app,
            scope.kind.value,
            scope.value,
            effect,
            stored(at),
        )
        return changed == 1

    async def unassign(self, tx: Transaction, app: AppRow, scope: Scope) -> bool:
        """Mean it for the scope no more; False if it was not."""
        changed = await tx.execute(
            "DELETE FROM app_assignment WHERE app_id = ? AND scope_kind = ? AND scope_value = ?",
            app,
            scope.kind.value,
            scope.value,
        )
        return changed == 1

    async def configurations(self, tx: Transaction, app: AppRow | None = None) -> list[Configuration]:
        """Configurations, those taken back too, in the order in which they were made."""
        rows = await tx.fetch_all(
            "SELECT c.id, c.app_id, c.scope_kind, c.scope_value, c.revision_id, r.number FROM app_configuration c "
            "LEFT JOIN app_configuration_revision r ON r.id = c.revision_id WHERE ? IS NULL OR c.app_id = ? "
            "ORDER BY c.id",
            app,
            app,
        )
        return [
            Configuration(
                row=ConfigurationRow(row[0]),
                app=AppRow(row[1]),
                scope=Scope(kind=ScopeKind(row[2]), value=row[3]),
                revision=None if row[4] is None else RevisionRow(row[4]),
                number=row[5],
            )
            for row in rows
        ]

    async def revise(
        self,
        tx: Transaction,
        app: AppRow,
        scope: Scope,
        *,
        values: Mapping[str, Any],
        secret_keys: frozenset[str],
        fingerprint: str,
        created_by: str,
        at: datetime,
    ) -> Revision:
        """A new revision of the app's configuration for this scope, in force from now on."""
        configuration = await tx.fetch_one(
            "INSERT INTO app_configuration (app_id, scope_kind, scope_value, created_at) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (app_id, scope_kind, scope_value) DO UPDATE SET created_at = app_configuration.created_at "
            "RETURNING id",
            app,
            scope.kind.value,
            scope.value,
            stored(at),
        )
        assert configuration is not None
        last = await tx.fetch_one(
            "SELECT coalesce(max(number), 0) FROM app_configuration_revision WHERE configuration_id = ?",
            configuration[0],
        )
        assert last is not None
        number = int(last[0]) + 1
        sealed = self._vault.seal(dumps(dict(values)), _place(configuration[0], number))
        row = await tx.fetch_one(
            "INSERT INTO app_configuration_revision (configuration_id, number, values_sealed, secret_keys, "
            "fingerprint, created_at, created_by) VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
            configuration[0],
            number,
            sealed,
            json.dumps(sorted(secret_keys)),
            fingerprint,
            stored(at),
            created_by,
        )
        assert row is not None
        await tx.execute("UPDATE app_configuration SET revision_id = ? WHERE id = ?", row[0], configuration[0])
        revision = await self.revision(tx, RevisionRow(row[0]))
        assert revision is not None
        return revision

    async def withdraw_configuration(self, tx: Transaction, configuration: ConfigurationRow) -> None:
        """No revision is in force any more."""
        await tx.execute("UPDATE app_configuration SET revision_id = NULL WHERE id = ?", configuration)

    async def revision(self, tx: Transaction, row: RevisionRow) -> Revision | None:
        """A revision with its values, or None."""
        found = await tx.fetch_one(f"{_REVISION}r.id = ?", row)
        return None if found is None else self._revision_of(found)

    async def revisions(self, tx: Transaction, configuration: ConfigurationRow, *, limit: int) -> list[Revision]:
        """A configuration's revisions, newest first."""
        rows = await tx.fetch_all(
            f"{_REVISION}r.configuration_id = ? ORDER BY r.number DESC LIMIT ?", configuration, limit
        )
        return [self._revision_of(row) for row in rows]

    def _revision_of(self, row: Row) -> Revision:
        return Revision(
            row=RevisionRow(row[0]),
            configuration=ConfigurationRow(row[1]),
            app=AppRow(row[2]),
            number=row[3],
            values=loads(self._vault.open(bytes(row[4]), _place(row[1], row[3]))),
            secret_keys=frozenset(json.loads(row[5])),
            fingerprint=row[6],
            created_at=loaded(row[7]),
            created_by=row[8],
        )


def _values(app: NewApp) -> tuple[Any, ...]:
    return (
        app.key, app.name, app.app_store_id, app.bundle_id, app.manifest_url, ",".join(sorted(app.platforms)),
        app.preference_domain, app.preference_form.value,
    )  # fmt: skip


def _app_of(row: Row) -> App:
    return App(
        row=AppRow(row[0]),
        key=row[1],
        name=row[2],
        app_store_id=row[3],
        bundle_id=row[4],
        manifest_url=row[5],
        platforms=frozenset(Platform(name) for name in row[6].split(",") if name),
        preference_domain=row[7],
        preference_form=PreferenceForm(row[8]),
    )


def _place(configuration: int, number: int) -> Place:
    return Place("app_configuration_revision", f"{configuration}.{number}", "values")
