"""What apps need stored."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from mdmserver.apps.model import App, Assignment, Configuration, ConfigurationRow, NewApp, Revision
from mdmserver.assignments.model import AppRow, RevisionRow, Scope
from mdmserver.transaction import Transaction


class AppStore(Protocol):
    """The catalogue, assignments, configurations and their revisions."""

    async def insert_app(self, tx: Transaction, app: NewApp, *, at: datetime) -> AppRow | None:
        """Add an app; None if its key is taken."""
        ...

    async def update_app(self, tx: Transaction, row: AppRow, app: NewApp) -> None:
        """Change what is known of an app."""
        ...

    async def delete_app(self, tx: Transaction, row: AppRow) -> None:
        """Forget an app that nothing refers to any more, with its configurations."""
        ...

    async def apps(self, tx: Transaction) -> list[App]:
        """All, by key."""
        ...

    async def app(self, tx: Transaction, key: str) -> App | None:
        """The app with this key, or None."""
        ...

    async def app_by_row(self, tx: Transaction, row: AppRow) -> App | None:
        """The app in this row, or None."""
        ...

    async def assignments(self, tx: Transaction, app: AppRow | None = None) -> list[Assignment]:
        """For whom each app is meant."""
        ...

    async def assign(self, tx: Transaction, assignment: Assignment, *, at: datetime) -> bool:
        """Mean the app for a scope; False if it was so."""
        ...

    async def unassign(self, tx: Transaction, app: AppRow, scope: Scope) -> bool:
        """Mean it for the scope no more; False if it was not."""
        ...

    async def configurations(self, tx: Transaction, app: AppRow | None = None) -> list[Configuration]:
        """Configurations, those taken back too, in the order in which they were made."""
        ...

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
        ...

    async def withdraw_configuration(self, tx: Transaction, configuration: ConfigurationRow) -> None:
        """No revision is in force any more."""
        ...

    async def revision(self, tx: Transaction, row: RevisionRow) -> Revision | None:
        """A revision with its values, or None."""
        ...

    async def revisions(self, tx: Transaction, configuration: ConfigurationRow, *, limit: int) -> list[Revision]:
        """A configuration's revisions, newest first."""
        ...
