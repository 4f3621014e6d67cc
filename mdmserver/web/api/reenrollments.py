"""Known devices that wait for leave to enroll again; giving it is `enrollments.allow_reenroll`."""

from datetime import datetime

from mdmserver.access.model import Scope
from mdmserver.web.routes import AnyRoute, Call, Nothing, Outgoing, Route, Surface


class PendingReenrollmentView(Outgoing, frozen=True):
    """A device that asked to enroll again with a certificate that nobody vouched for."""

    id: str
    serial_number: str | None
    fingerprint: str
    first_at: datetime
    last_at: datetime
    attempts: int


class PendingReenrollments(Outgoing, frozen=True):
    """All that wait, oldest first."""

    items: list[PendingReenrollmentView]


async def list_pending(call: Call[Nothing, Nothing]) -> PendingReenrollments:
    """The devices that wait for an administrator."""
    waiting = [
        PendingReenrollmentView(
            id=str(pending.id),
            serial_number=pending.serial_number,
            fingerprint=pending.fingerprint.hex(),
            first_at=pending.first_at,
            last_at=pending.last_at,
            attempts=pending.attempts,
        )
        for pending in await call.services.devices.pending()
    ]
    return PendingReenrollments(items=waiting)


ROUTES: list[AnyRoute] = [
    Route(
        method="GET", path="/api/v1/reenrollments", scope=Scope.DEVICES_READ, surface=Surface.API,
        summary="List devices that wait to enroll again", handler=list_pending,
        query=Nothing, body=Nothing, response=PendingReenrollments,
    ),
]  # fmt: skip
