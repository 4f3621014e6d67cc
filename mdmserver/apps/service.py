"""The catalogue, who gets an app, and with which configuration. How far that got is `progress`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mdmserver.apps.delivery import Deliveries
from mdmserver.apps.model import (
    LARGEST_CONFIGURATION,
    MOST_VALUES,
    PINGID_TOKEN,
    App,
    Assignment,
    Configuration,
    Effect,
    Fingerprint,
    NewApp,
    Revision,
    pingid,
    with_fingerprints,
)
from mdmserver.apps.store import AppStore
from mdmserver.assignments.model import AppRow, Scope, TargetRow
from mdmserver.assignments.store import AssignmentStore
from mdmserver.audit.model import Actor
from mdmserver.audit.store import AuditStore
from mdmserver.clock import Clock
from mdmserver.errors import Conflict, Invalid, NotFound
from mdmserver.events import Hint, Hints
from mdmserver.protocol import ProtocolError, dumps, loads
from mdmserver.transaction import Body, Storage, Transaction

_ALWAYS_SECRET = frozenset({PINGID_TOKEN})
_RESERVED = "Payload"


@dataclass(frozen=True, slots=True, kw_only=True)
class AppDetail:
    """An app with everything that is said about it. A configuration without a revision was taken back."""

    app: App
    assignments: list[Assignment]
    configurations: list[tuple[Configuration, Revision | None]]


class AppService:
    """Apps by key."""

    def __init__(
        self,
        *,
        storage: Storage,
        apps: AppStore,
        assignments: AssignmentStore,
        audit: AuditStore,
        deliveries: Deliveries,
        fingerprint: Fingerprint,
        hints: Hints,
        clock: Clock,
    ) -> None:
        self._storage = storage
        self._apps = apps
        self._assignments = assignments
        self._audit = audit
        self._deliveries = deliveries
        self._fingerprint = fingerprint
        self._hints = hints
        self._clock = clock

    async def add_built_in(self) -> None:
        """PingID is in every catalogue; what an administrator changed of it stays."""

        async def body(tx: Transaction) -> None:
            known = pingid()
            if await self._apps.app(tx, known.key) is None:
                await self._apps.insert_app(tx, known, at=self._clock())

        await self._storage.run(body)

    async def apps(self) -> list[App]:
        """All, by key."""
        return await self._storage.read(self._apps.apps)

    async def show(self, key: str) -> AppDetail:
        """An app, for whom it is, and its configurations. Raises NotFound."""

        async def body(tx: Transaction) -> AppDetail:
            app = await self._app(tx, key)
            configurations = await self._apps.configurations(tx, app.row)
            return AppDetail(
                app=app,
                assignments=await self._apps.assignments(tx, app.row),
                configurations=[
                    (each, None if each.revision is None else await self._apps.revision(tx, each.revision))
                    for each in configurations
                ],
            )

        return await self._storage.read(body)

    async def add(self, new: NewApp, *, actor: Actor) -> App:
        """Add an app. Raises Conflict if its key is taken."""

        async def body(tx: Transaction) -> App:
            at = self._clock()
            if await self._apps.insert_app(tx, new, at=at) is None:
                raise Conflict(f"there is an app {new.key!r} already", code="app_exists")
            await self._audit.append(
                tx, at=at, actor=actor, action="app.add", subject=new.key,
                detail={"name": new.name, "bundle_id": new.bundle_id, "app_store_id": new.app_store_id},
            )  # fmt: skip
            return await self._app(tx, new.key)

        return await self._storage.run(body)

    async def change(self, key: str, changed: NewApp, *, actor: Actor) -> App:
        """Change what is known of an app; devices are looked at again. Raises NotFound, Invalid for another key."""
        if changed.key != key:
            raise Invalid("an app's key never changes", code="invalid_app")

        async def body(tx: Transaction) -> App:
            app = await self._app(tx, key)
            if changed.preference_domain is not None:
                for each in await self._apps.configurations(tx, app.row):
                    revision = None if each.revision is None else await self._apps.revision(tx, each.revision)
                    _check_preferences(() if revision is None else revision.values)
            await self._apps.update_app(tx, app.row, changed)
            if _is_another(app, changed):
                # What was verified was verified for the app as it was: the next look would be a week away.
                await self._assignments.hurry(tx, app.row)
                await self._again_everywhere(tx, app.row)
            await self._audit.append(
                tx, at=self._clock(), actor=actor, action="app.change", subject=key,
                detail={"name": changed.name, "bundle_id": changed.bundle_id, "domain": changed.preference_domain},
            )  # fmt: skip
            return await self._app(tx, key)

        changed_app = await self._storage.run(body)
        self._hints.give(Hint.RECONCILE)
        return changed_app

    async def remove(self, key: str, *, actor: Actor) -> None:
        """Take an app out of the catalogue. Raises NotFound, Conflict while it is meant for anybody."""

        async def body(tx: Transaction) -> None:
            app = await self._app(tx, key)
            targets = await self._assignments.of_app(
                tx, app.row, kind=None, states=frozenset(), after=TargetRow(0), limit=1
            )
            if await self._apps.assignments(tx, app.row) or targets:
                raise Conflict(f"{app.name} is still assigned, or still being taken away", code="app_in_use")
            await self._assignments.forget_app(tx, app.row)
            await self._apps.delete_app(tx, app.row)
            await self._audit.append(tx, at=self._clock(), actor=actor, action="app.remove", subject=key, detail={})

        await self._storage.run(body)

    async def assign(self, key: str, scope: Scope, effect: Effect, *, actor: Actor) -> bool:
        """Mean the app for a scope; False if it was so. Raises NotFound."""

        async def body(tx: Transaction) -> bool:
            app = await self._app(tx, key)
            if not await self._apps.assign(tx, Assignment(app=app.row, scope=scope, effect=effect), at=self._clock()):
                return False
            await self._changed(tx, "app.assign", app, scope, actor, {"effect": effect.value})
            return True

        return await self._told(body)

    async def unassign(self, key: str, scope: Scope, *, actor: Actor) -> bool:
        """Mean it for the scope no more: its configuration is taken away there, the app stays. False if it was not."""

        async def body(tx: Transaction) -> bool:
            app = await self._app(tx, key)
            if not await self._apps.unassign(tx, app.row, scope):
                return False
            await self._changed(tx, "app.unassign", app, scope, actor, {})
            return True

        return await self._told(body)

    async def configure(
        self, key: str, scope: Scope, values: Mapping[str, Any], *, secret_keys: frozenset[str], actor: Actor
    ) -> tuple[Revision, bool]:
        """The app's configuration for a scope from now on, as a whole; the revision, and whether it is a new one.

        Raises NotFound, Invalid for what an app cannot be given.
        """
        secrets = secret_keys | (_ALWAYS_SECRET & values.keys())
        values = self._checked(values, secrets)
        fingerprint = self._fingerprint_of(values)

        async def body(tx: Transaction) -> tuple[Revision, bool]:
            app = await self._app(tx, key)
            if app.preference_domain is not None:
                _check_preferences(values)
            present = await self._in_force(tx, app, scope)
            if present is not None and (present.fingerprint, present.secret_keys) == (fingerprint, secrets):
                return present, False
            revision = await self._apps.revise(
                tx, app.row, scope, values=values, secret_keys=secrets, fingerprint=fingerprint,
                created_by=actor.name, at=self._clock(),
            )  # fmt: skip
            detail: dict[str, str | int | bool | None] = {"revision": revision.number, "fingerprint": fingerprint}
            await self._changed(tx, "app.configure", app, scope, actor, detail)
            return revision, True

        done = await self._storage.run(body)
        self._hints.give(Hint.RECONCILE)
        return done

    async def unconfigure(self, key: str, scope: Scope, *, actor: Actor) -> bool:
        """Take the configuration of a scope back; False if there was none."""

        async def body(tx: Transaction) -> bool:
            app = await self._app(tx, key)
            for each in await self._apps.configurations(tx, app.row):
                if each.scope == scope and each.revision is not None:
                    await self._apps.withdraw_configuration(tx, each.row)
                    await self._changed(tx, "app.unconfigure", app, scope, actor, {"revision": each.number})
                    return True
            return False

        return await self._told(body)

    async def again(self, key: str, *, actor: Actor) -> None:
        """Look at all devices of an app now, also those whose next try was planned for later. Raises NotFound."""

        async def body(tx: Transaction) -> None:
            app = await self._app(tx, key)
            await self._assignments.hurry(tx, app.row)
            await self._again_everywhere(tx, app.row)
            await self._audit.append(tx, at=self._clock(), actor=actor, action="app.again", subject=key, detail={})

        await self._storage.run(body)
        self._hints.give(Hint.RECONCILE)

    async def profile(self, key: str, scope: Scope, secrets: Mapping[str, Any], *, actor: Actor) -> bytes:
        """The signed profile for Macs of a scope's configuration, to be handed on as a file.

        A secret is never given out: the caller brings the values of secret keys, and they must be those in force.
        Raises NotFound, Invalid.
        """

        async def body(tx: Transaction) -> bytes:
            app = await self._app(tx, key)
            revision = await self._in_force(tx, app, scope)
            if revision is None or app.preference_domain is None:
                raise NotFound(f"{app.name} has no configuration for {scope} that Macs take", code="no_profile")
            values = {name: secrets.get(name, value) for name, value in revision.values.items()}
            missing = sorted(revision.secret_keys - secrets.keys())
            if missing:
                raise Invalid(f"give the value of {', '.join(missing)}", code="secret_missing")
            if not self._are_those_of(revision, values):
                raise Invalid("a value that was given is not the one in force", code="secret_differs")
            await self._audit.append(
                tx, at=self._clock(), actor=actor, action="profile.export", subject=key,
                detail={"scope": str(scope), "revision": revision.number},
            )  # fmt: skip
            return self._deliveries.profile(app, revision, values, is_user_enrollment=False)

        return self._deliveries.signed(await self._storage.run(body))

    async def _in_force(self, tx: Transaction, app: App, scope: Scope) -> Revision | None:
        for each in await self._apps.configurations(tx, app.row):
            if each.scope == scope and each.revision is not None:
                return await self._apps.revision(tx, each.revision)
        return None

    async def _told(self, body: Body[bool]) -> bool:
        done = await self._storage.run(body)
        if done:
            self._hints.give(Hint.RECONCILE)
        return done

    async def _changed(
        self, tx: Transaction, action: str, app: App, scope: Scope, actor: Actor,
        detail: dict[str, str | int | bool | None],
    ) -> None:  # fmt: skip
        """It is the turn of the devices of a scope; the audit record says why."""
        await self._assignments.ask_scope(tx, scope)
        await self._audit.append(
            tx, at=self._clock(), actor=actor, action=action, subject=app.key, detail={"scope": str(scope), **detail}
        )

    async def _again_everywhere(self, tx: Transaction, app: AppRow) -> None:
        for assignment in await self._apps.assignments(tx, app):
            await self._assignments.ask_scope(tx, assignment.scope)

    async def _app(self, tx: Transaction, key: str) -> App:
        app = await self._apps.app(tx, key)
        if app is None:
            raise NotFound(f"there is no app {key!r} in the catalogue", code="app_not_found")
        return app

    def _checked(self, values: Mapping[str, Any], secrets: frozenset[str]) -> Mapping[str, Any]:
        """The values as a plist has them, by which the device's answer will be judged."""
        if not values or len(values) > MOST_VALUES:
            raise Invalid(f"a configuration has 1 to {MOST_VALUES} keys", code="invalid_configuration")
        if not all(name and len(name) <= 255 for name in values):
            raise Invalid("a key of a configuration has 1 to 255 characters", code="invalid_configuration")
        if unknown := sorted(secrets - values.keys()):
            raise Invalid(f"{', '.join(unknown)} is marked secret and not there", code="invalid_configuration")
        if PINGID_TOKEN in values and not (isinstance(values[PINGID_TOKEN], str) and values[PINGID_TOKEN].strip()):
            raise Invalid(f"{PINGID_TOKEN} is a string, and not empty", code="invalid_configuration")
        try:
            written = dumps(dict(values))
            plain = loads(written)
        except ProtocolError as error:
            raise Invalid(f"the configuration cannot be sent: {error}", code="invalid_configuration") from None
        if len(written) > LARGEST_CONFIGURATION:
            raise Invalid("the configuration is over 1 MiB", code="invalid_configuration")
        return plain

    def _are_those_of(self, revision: Revision, values: Mapping[str, Any]) -> bool:
        try:
            return self._fingerprint_of(values) == revision.fingerprint
        except ProtocolError:
            return False  # It cannot even be written.

    def _fingerprint_of(self, values: Mapping[str, Any]) -> str:
        return self._fingerprint(dumps(with_fingerprints(dict(values), self._fingerprint)))


def _is_another(app: App, changed: NewApp) -> bool:
    """Whether a change is one for devices: a name is for people alone."""
    return any(getattr(app, name) != getattr(changed, name) for name in NewApp.__slots__ if name != "name")


def _check_preferences(names: Iterable[str]) -> None:
    """Raises Invalid for keys that a profile has for itself."""
    if any(name.startswith(_RESERVED) for name in names):
        raise Invalid(f"a key of preferences does not begin with {_RESERVED}", code="invalid_configuration")
