"""List, show and follow enrollments; release devices that may enroll again. How they come to be is `checkin`."""

from dataclasses import replace
from functools import partial

from mdmserver.audit.model import Actor
from mdmserver.audit.store import AuditStore
from mdmserver.clock import Clock
from mdmserver.devices.model import (
    CertificateTroubles,
    Enrollment,
    EnrollmentFilter,
    EnrollmentRow,
    EventKind,
    PendingReenrollment,
    TimelineEntry,
)
from mdmserver.devices.presence import Presence
from mdmserver.devices.store import DeviceStore
from mdmserver.errors import Conflict, NotFound
from mdmserver.paging import Page, checked_limit, decode_cursor, page_of
from mdmserver.transaction import Storage, Transaction


class DeviceService:
    """Enrollments, as people and tools see them. A reference is an external enrollment id or a serial number."""

    def __init__(
        self,
        *,
        storage: Storage,
        devices: DeviceStore,
        audit: AuditStore,
        presence: Presence,
        clock: Clock,
    ) -> None:
        self._storage = storage
        self._devices = devices
        self._audit = audit
        self._presence = presence
        self._clock = clock

    async def enrollments(self, filter: EnrollmentFilter, *, cursor: str | None, limit: int) -> Page[Enrollment]:
        """Enrollments in the order in which they first came."""
        after = decode_cursor(cursor)
        found = await self._storage.read(
            partial(
                self._devices.enrollments,
                filter=filter,
                after=None if after is None else EnrollmentRow(after),
                limit=checked_limit(limit) + 1,
            )
        )
        return page_of([(enrollment.row, self._as_seen(enrollment)) for enrollment in found], limit)

    async def show(self, reference: str) -> Enrollment:
        """The one enrollment that is meant. Raises NotFound, or Conflict when a serial number fits several."""
        row = await self.resolve(reference)
        enrollment = await self._storage.read(partial(self._devices.enrollment, row=row))
        if enrollment is None:
            raise NotFound(f"there is no enrollment {reference!r}", code="enrollment_not_found")
        return self._as_seen(enrollment)

    async def resolve(self, reference: str) -> EnrollmentRow:
        """The row of the one enrollment that is meant; raises as `show` does."""
        rows = await self._storage.read(partial(self._devices.find, reference=reference))
        if not rows:
            raise NotFound(f"there is no enrollment {reference!r}", code="enrollment_not_found")
        if len(rows) > 1:
            raise Conflict(
                f"{reference!r} fits {len(rows)} enrollments; name one by its id", code="ambiguous_reference"
            )
        return rows[0]

    async def timeline(self, reference: str, *, limit: int) -> list[TimelineEntry]:
        """What happened to the enrollment itself, newest first; its commands have timelines of their own."""
        row = await self.resolve(reference)
        return await self._storage.read(partial(self._devices.timeline, row=row, limit=checked_limit(limit)))

    async def counts(self) -> dict[str, int]:
        """How many enrollments are in each state, by `EnrollmentState` value."""
        return await self._storage.read(self._devices.counts)

    async def certificate_troubles(self) -> CertificateTroubles:
        """How many devices will lose touch, or have, because of their certificate."""
        return await self._storage.read(partial(self._devices.certificate_troubles, at=self._clock()))

    async def pending(self) -> list[PendingReenrollment]:
        """Known devices that asked to enroll again with a certificate nobody vouched for, oldest first."""
        return await self._storage.read(self._devices.pending)

    async def allow_reenroll(self, reference: str, *, actor: Actor) -> Enrollment:
        """Let the device's next Authenticate with a new certificate begin a new life. Repeating it changes nothing."""
        row = await self.resolve(reference)
        at = self._clock()

        async def body(tx: Transaction) -> Enrollment:
            enrollment = await self._devices.enrollment(tx, row)
            if enrollment is None or enrollment.id.is_user_channel:
                raise Conflict(f"{reference!r} is not a device", code="not_a_device")
            if not await self._devices.is_released(tx, row):
                await self._devices.release(tx, row, at=at)
                await self._devices.add_event(
                    tx, row, EventKind.REENROLLMENT_ALLOWED, detail=f"by {actor.name}", life=enrollment.life, at=at
                )
                await self._audit.append(
                    tx, at=at, actor=actor, action="device.allow_reenroll", subject=str(enrollment.id), detail={}
                )
            return enrollment

        return self._as_seen(await self._storage.run(body))

    def _as_seen(self, enrollment: Enrollment) -> Enrollment:
        seen = self._presence.last_seen(enrollment.row)
        return enrollment if seen is None else replace(enrollment, last_seen_at=seen)
