"""Tags and groups: by what devices are chosen for apps and settings."""

from collections.abc import Iterable
from functools import partial

from mdmserver.assignments.model import Scope, ScopeKind, checked_name
from mdmserver.assignments.store import AssignmentStore
from mdmserver.audit.model import Actor
from mdmserver.audit.store import AuditStore
from mdmserver.clock import Clock
from mdmserver.devices.model import Enrollment, EnrollmentRow
from mdmserver.devices.service import DeviceService
from mdmserver.devices.store import DeviceStore
from mdmserver.errors import Conflict, Invalid
from mdmserver.events import Hint, Hints
from mdmserver.paging import Page, checked_limit, decode_cursor, page_of
from mdmserver.transaction import Storage, Transaction

MOST_MEMBERS = 1_000


class AssignmentService:
    """Who is meant. `kind` is `tag` or `group`: a tag is put on a device, a group is given its members."""

    def __init__(
        self,
        *,
        storage: Storage,
        assignments: AssignmentStore,
        devices: DeviceStore,
        names: DeviceService,
        audit: AuditStore,
        hints: Hints,
        clock: Clock,
    ) -> None:
        self._storage = storage
        self._assignments = assignments
        self._devices = devices
        self._names = names
        self._audit = audit
        self._hints = hints
        self._clock = clock

    async def labels_of(self, enrollment: EnrollmentRow) -> tuple[frozenset[str], frozenset[str]]:
        """A device's tags and groups."""
        return await self._storage.read(partial(self._assignments.labels, enrollment=enrollment))

    async def counts(self, kind: ScopeKind) -> dict[str, int]:
        """All tags or groups, with how many devices each has."""
        return await self._storage.read(partial(self._assignments.label_counts, kind=kind.value))

    async def members(self, kind: ScopeKind, name: str, *, cursor: str | None, limit: int) -> Page[Enrollment]:
        """Devices with a tag or in a group, in the order in which they first came."""

        async def body(tx: Transaction) -> list[tuple[int, Enrollment]]:
            rows = await self._assignments.members(tx, kind=kind.value, name=name, after=after, limit=limit + 1)
            found = [(row, await self._devices.enrollment(tx, row)) for row in rows]
            return [(row, enrollment) for row, enrollment in found if enrollment is not None]

        after = EnrollmentRow(decode_cursor(cursor) or 0)
        checked_limit(limit)
        return page_of(await self._storage.read(body), limit)

    async def reach(self, scope: Scope) -> int:
        """How many enrolled devices a scope takes in now."""
        return await self._storage.read(partial(self._assignments.reach, scope=scope))

    async def unsettled(self) -> int:
        """At most how many devices are still to be looked at because of what changed; zero: every target is there."""
        return await self._storage.read(partial(self._assignments.unsettled, at=self._clock()))

    async def label(
        self, kind: ScopeKind, references: Iterable[str], *, add: Iterable[str], remove: Iterable[str], actor: Actor
    ) -> int:
        """Put tags on devices, or devices into groups, and take them off; how many. Raises Invalid, NotFound."""
        if kind not in (ScopeKind.TAG, ScopeKind.GROUP):
            raise Invalid(f"{kind} is neither tag nor group", code="invalid_name")
        added = frozenset(checked_name(name) for name in add)
        removed = frozenset(checked_name(name) for name in remove)
        rows = list(dict.fromkeys([await self._names.resolve(reference) for reference in references]))
        if not rows or len(rows) > MOST_MEMBERS:
            raise Invalid(f"name 1 to {MOST_MEMBERS} devices at a time", code="invalid_targets")

        async def body(tx: Transaction) -> None:
            at = self._clock()
            for row in rows:
                if await self._assignments.device(tx, row) is None:
                    raise Conflict("tags and groups are for devices, not for their users", code="not_a_device")
                await self._assignments.set_labels(tx, row, kind=kind.value, add=added, remove=removed)
            await self._assignments.ask(tx, rows, at=at)
            await self._audit.append(
                tx, at=at, actor=actor, action=f"device.{kind.value}", subject=str(rows[0]),
                detail={"devices": len(rows), "add": ",".join(sorted(added)), "remove": ",".join(sorted(removed))},
            )  # fmt: skip

        await self._storage.run(body)
        self._hints.give(Hint.RECONCILE)
        return len(rows)

    async def scope_of(self, kind: ScopeKind, value: str) -> Scope:
        """The scope that a person means; a device is found by any of its names. Raises Invalid, NotFound, Conflict."""
        match kind:
            case ScopeKind.ALL:
                return Scope(kind=kind)
            case ScopeKind.DEVICE:
                enrollment = await self._names.show(value)
                if enrollment.id.is_user_channel:
                    raise Conflict("apps and settings are for devices, not for their users", code="not_a_device")
                return Scope(kind=kind, value=enrollment.id.key)
            case _:
                return Scope(kind=kind, value=checked_name(value))
