"""Waking devices over the API: push now, what came of earlier pushes, and how it stands with all of them."""

from datetime import datetime
from typing import Annotated

import msgspec

from mdmserver.access.model import Scope
from mdmserver.errors import Invalid
from mdmserver.protocol import EnrollmentType
from mdmserver.push.model import Attempt, Outcome
from mdmserver.push.service import MOST_AT_ONCE
from mdmserver.web.api.page_query import Limit
from mdmserver.web.api.push_certificates import PushCertificateView, certificate_view
from mdmserver.web.api.targets import Target
from mdmserver.web.routes import AnyRoute, Call, Incoming, Nothing, Outgoing, Route, Surface
from mdmserver.web.services import Services

_DEVICE_CHANNELS = (EnrollmentType.DEVICE, EnrollmentType.USER_ENROLLMENT_DEVICE)


class NewPush(Incoming, frozen=True):
    """Whom to wake: these, at once and with an answer for each; or everyone (of these types), at the server's pace."""

    targets: Annotated[tuple[Target, ...], msgspec.Meta(max_length=MOST_AT_ONCE)] = ()
    everyone: bool = False
    types: tuple[EnrollmentType, ...] = ()


class OutcomeView(Outgoing, frozen=True):
    """What APNs answered; without an answer `status` is null and `reason` says why."""

    is_accepted: bool
    status: int | None
    reason: str | None
    apns_id: str | None


class PushResults(Outgoing, frozen=True):
    """By target, as it was named: what APNs answered, or a code why nothing was sent. `queued` is for everyone."""

    results: dict[str, OutcomeView]
    refused: dict[str, str]
    queued: int | None = None


class AttemptView(OutcomeView, frozen=True):
    """A push and what came of it."""

    at: datetime


class Attempts(Outgoing, frozen=True):
    """Newest first."""

    items: list[AttemptView]


class AttemptQuery(Incoming, frozen=True):
    """How many of them."""

    limit: Limit = 100


class PushStatus(Outgoing, frozen=True):
    """Enrollments that are due for a push now, that will be (those due too), and whose token APNs called dead.

    `per_second` is the present pace; `outcomes` counts what came of the pushes since the process began.
    """

    topics: list[PushCertificateView]
    due: int
    waiting: int
    stopped: int
    per_second: float
    outcomes: dict[str, int]


async def send(call: Call[Nothing, NewPush]) -> PushResults:
    """Wake devices."""
    body, push = call.body, call.services.push
    if bool(body.targets) == body.everyone:
        raise Invalid("name either targets or everyone", code="invalid_targets")
    if body.types and not body.everyone:
        raise Invalid("types go with everyone; targets are named by their ids", code="invalid_targets")
    if body.everyone:
        types = frozenset(body.types or _DEVICE_CHANNELS)
        queued = await push.send_to_everyone(types=types, actor=call.actor)
        return PushResults(results={}, refused={}, queued=queued)
    sent = await push.send(list(dict.fromkeys(body.targets)), actor=call.actor)
    results = {reference: outcome_view(outcome) for reference, outcome in sent.outcomes.items()}
    return PushResults(results=results, refused=sent.refused)


async def show_push(call: Call[Nothing, Nothing]) -> PushStatus:
    """How it stands with waking devices."""
    return await push_status(call.services)


async def list_attempts(call: Call[AttemptQuery, Nothing]) -> Attempts:
    """The newest pushes to an enrollment."""
    row = await call.services.devices.resolve(call.path["reference"])
    attempts = await call.services.push.attempts(row, limit=call.query.limit)
    return Attempts(items=[_attempt_view(each) for each in attempts])


async def push_status(services: Services) -> PushStatus:
    """The same for whoever shows it beside other things."""
    counts, at = await services.push.counts(), services.clock()
    return PushStatus(
        topics=[certificate_view(each, at) for each in services.push_certificates.all],
        due=counts.due,
        waiting=counts.waiting,
        stopped=counts.stopped,
        per_second=services.push.per_second,
        outcomes={each.value: number for each, number in services.push.counted.items()},
    )


def outcome_view(outcome: Outcome) -> OutcomeView:
    """An outcome as it is shown."""
    return OutcomeView(
        is_accepted=outcome.is_accepted, status=outcome.status, reason=outcome.reason, apns_id=outcome.apns_id
    )


def _attempt_view(attempt: Attempt) -> AttemptView:
    return AttemptView(at=attempt.at, **msgspec.structs.asdict(outcome_view(attempt.outcome)))


ROUTES: list[AnyRoute] = [
    Route(
        method="GET", path="/api/v1/push", scope=Scope.STATUS_READ, surface=Surface.API,
        summary="Show how it stands with waking devices", handler=show_push,
        query=Nothing, body=Nothing, response=PushStatus,
    ),
    Route(
        method="POST", path="/api/v1/push", scope=Scope.PUSH_SEND, surface=Surface.API,
        summary="Wake devices", handler=send,
        query=Nothing, body=NewPush, response=PushResults,
    ),
    Route(
        method="GET", path="/api/v1/enrollments/{reference}/pushes", scope=Scope.DEVICES_READ, surface=Surface.API,
        summary="List the newest pushes to an enrollment", handler=list_attempts,
        query=AttemptQuery, body=Nothing, response=Attempts,
    ),
]  # fmt: skip
