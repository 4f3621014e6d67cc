"""Enrollments over the API: list and show them, their timeline and their queue; let one enroll again.

A reference is an external enrollment id or a serial number.
"""

from datetime import datetime

from mdmserver.access.model import Scope
from mdmserver.devices.model import Enrollment, EnrollmentFilter, EnrollmentState
from mdmserver.protocol import EnrollmentType
from mdmserver.web.api.page_query import Limit, PageQuery
from mdmserver.web.api.push_standing import EnrollmentProblem, PushStandingView, Topics, push_problems, standing_view
from mdmserver.web.api.queue_items import QueueItemPage, QueueItemQuery, item_page
from mdmserver.web.api.timeline import TimelineEntryView, timeline_view
from mdmserver.web.routes import AnyRoute, Call, Incoming, Nothing, Outgoing, Route, Surface
from mdmserver.web.services import Services


class EnrollmentView(Outgoing, frozen=True):
    """An enrollment: `id` as other tools write it, `key` the form of it that is never ambiguous."""

    id: str
    key: str
    type: EnrollmentType
    state: EnrollmentState
    life: int
    serial_number: str | None
    device_name: str | None
    model: str | None
    model_name: str | None
    product_name: str | None
    os_version: str | None
    build_version: str | None
    topic: str | None
    has_push_token: bool
    token_update_tally: int
    awaiting_configuration: bool
    user_short_name: str | None
    user_long_name: str | None
    user_name: str | None
    is_to_unenroll: bool
    erased_at: datetime | None
    created_at: datetime
    enrolled_at: datetime | None
    last_seen_at: datetime | None
    push: PushStandingView
    problems: list[EnrollmentProblem]


class EnrollmentPage(Outgoing, frozen=True):
    """A page of enrollments."""

    items: list[EnrollmentView]
    next_cursor: str | None


class EnrollmentQuery(PageQuery, frozen=True):
    """Which enrollments; texts match exactly, `device` is the device part of the id."""

    state: EnrollmentState | None = None
    serial: str | None = None
    device: str | None = None
    type: tuple[EnrollmentType, ...] = ()


class TimelineQuery(Incoming, frozen=True):
    """How much of a timeline."""

    limit: Limit = 100


class Timeline(Outgoing, frozen=True):
    """What happened to an enrollment, newest first."""

    items: list[TimelineEntryView]


class Cancelled(Outgoing, frozen=True):
    """How many queue items were cancelled."""

    cancelled: int


async def list_enrollments(call: Call[EnrollmentQuery, Nothing]) -> EnrollmentPage:
    """Enrollments in the order in which they first came."""
    query = call.query
    wanted = EnrollmentFilter(
        state=query.state,
        serial_number=query.serial,
        device=query.device,
        types=frozenset(kind.value for kind in query.type),
    )
    page = await call.services.devices.enrollments(wanted, cursor=query.cursor, limit=query.limit)
    items = [enrollment_view(each, call.services) for each in page.items]
    return EnrollmentPage(items=items, next_cursor=page.next_cursor)


async def show_enrollment(call: Call[Nothing, Nothing]) -> EnrollmentView:
    """The one enrollment that is meant."""
    return enrollment_view(await call.services.devices.show(call.path["reference"]), call.services)


async def show_timeline(call: Call[TimelineQuery, Nothing]) -> Timeline:
    """What happened to the enrollment itself."""
    entries = await call.services.devices.timeline(call.path["reference"], limit=call.query.limit)
    return Timeline(items=timeline_view(entries))


async def list_queue(call: Call[QueueItemQuery, Nothing]) -> QueueItemPage:
    """The enrollment's queue, oldest first, finished items too."""
    row = await call.services.devices.resolve(call.path["reference"])
    query = call.query
    return item_page(
        await call.services.commands.queue_of(
            row, states=frozenset(query.state), cursor=query.cursor, limit=query.limit
        )
    )


async def clear_queue(call: Call[Nothing, Nothing]) -> Cancelled:
    """Cancel all that is open for the enrollment."""
    row = await call.services.devices.resolve(call.path["reference"])
    return Cancelled(cancelled=await call.services.commands.clear_queue_of(row, actor=call.actor))


async def allow_reenroll(call: Call[Nothing, Nothing]) -> EnrollmentView:
    """Let the device enroll again with a certificate that nobody vouched for."""
    enrollment = await call.services.devices.allow_reenroll(call.path["reference"], actor=call.actor)
    return enrollment_view(enrollment, call.services)


def enrollment_view(enrollment: Enrollment, services: Services) -> EnrollmentView:
    """An enrollment as it is shown."""
    facts, topics = enrollment.facts, Topics.of(services.push_certificates.all)
    return EnrollmentView(
        id=str(enrollment.id),
        key=enrollment.id.key,
        type=enrollment.id.type,
        state=enrollment.state,
        life=enrollment.life,
        serial_number=facts.serial_number,
        device_name=facts.device_name,
        model=facts.model,
        model_name=facts.model_name,
        product_name=facts.product_name,
        os_version=facts.os_version,
        build_version=facts.build_version,
        topic=enrollment.topic,
        has_push_token=enrollment.has_push_token,
        token_update_tally=enrollment.token_update_tally,
        awaiting_configuration=enrollment.awaiting_configuration,
        user_short_name=enrollment.user_short_name,
        user_long_name=enrollment.user_long_name,
        user_name=enrollment.user_name,
        is_to_unenroll=enrollment.is_to_unenroll,
        erased_at=enrollment.erased_at,
        created_at=enrollment.created_at,
        enrolled_at=enrollment.enrolled_at,
        last_seen_at=enrollment.last_seen_at,
        push=standing_view(enrollment, topics, services.clock()),
        problems=push_problems(enrollment, topics),
    )


_ONE = "/api/v1/enrollments/{reference}"

ROUTES: list[AnyRoute] = [
    Route(
        method="GET", path="/api/v1/enrollments", scope=Scope.DEVICES_READ, surface=Surface.API,
        summary="List enrollments", handler=list_enrollments,
        query=EnrollmentQuery, body=Nothing, response=EnrollmentPage,
    ),
    Route(
        method="GET", path=_ONE, scope=Scope.DEVICES_READ, surface=Surface.API,
        summary="Show an enrollment", handler=show_enrollment,
        query=Nothing, body=Nothing, response=EnrollmentView,
    ),
    Route(
        method="GET", path=f"{_ONE}/timeline", scope=Scope.DEVICES_READ, surface=Surface.API,
        summary="Show what happened to an enrollment", handler=show_timeline,
        query=TimelineQuery, body=Nothing, response=Timeline,
    ),
    Route(
        method="GET", path=f"{_ONE}/commands", scope=Scope.COMMANDS_READ, surface=Surface.API,
        summary="List an enrollment's queue", handler=list_queue,
        query=QueueItemQuery, body=Nothing, response=QueueItemPage,
    ),
    Route(
        method="DELETE", path=f"{_ONE}/commands", scope=Scope.COMMANDS_SEND, surface=Surface.API,
        summary="Cancel all that is open for an enrollment", handler=clear_queue,
        query=Nothing, body=Nothing, response=Cancelled,
    ),
    Route(
        method="POST", path=f"{_ONE}/allow-reenroll", scope=Scope.DEVICES_WRITE, surface=Surface.API,
        summary="Let a device enroll again with a new certificate", handler=allow_reenroll,
        query=Nothing, body=Nothing, response=EnrollmentView,
    ),
]  # fmt: skip
