"""Send commands and follow them over the API; what devices answered is `results`."""

from datetime import datetime
from typing import Annotated, Any

import msgspec

from mdmserver.access.model import Scope
from mdmserver.commands.enqueue import MAXIMUM_REFERENCES
from mdmserver.commands.model import CommandRecord, Progress
from mdmserver.commands.request import CommandRequest
from mdmserver.config import MIB
from mdmserver.errors import Invalid
from mdmserver.protocol import CommandUUID, EnrollmentType
from mdmserver.web.api.enrollments import Cancelled
from mdmserver.web.api.page_query import PageQuery
from mdmserver.web.api.plist_json import from_json
from mdmserver.web.api.queue_items import QueueItemPage, QueueItemQuery, item_page
from mdmserver.web.endpoint import decode_json
from mdmserver.web.errors import NothingQueued, UnsupportedMedia
from mdmserver.web.routes import AnyRoute, Call, Content, Incoming, Nothing, Outgoing, Route, Surface

PLIST_MEDIA_TYPES = ("application/xml", "text/xml", "application/x-plist")
_DEVICE_CHANNELS = (EnrollmentType.DEVICE, EnrollmentType.USER_ENROLLMENT_DEVICE)
_CANCELLED_AT_ONCE = 1_000

Target = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class Delivery(Incoming, frozen=True):
    """To whom and when. `targets` are external enrollment ids; `types` go with `everyone`."""

    targets: Annotated[tuple[Target, ...], msgspec.Meta(max_length=MAXIMUM_REFERENCES)] = ()
    everyone: bool = False
    types: tuple[EnrollmentType, ...] = ()
    not_before: Instant | None = None
    expires_at: Instant | None = None
    priority: int = 0


class NewCommand(Delivery, frozen=True):
    """A command: either its Command dictionary (`{"RequestType": …}`) or a whole plist in base64."""

    command: dict[str, Any] | None = None
    plist: bytes | None = None


class PlistDelivery(Incoming, frozen=True):
    """The same for a command whose body is the plist itself; `target` and `type` may be given repeatedly."""

    target: tuple[Target, ...] = ()
    everyone: bool = False
    type: tuple[EnrollmentType, ...] = ()
    not_before: Instant | None = None
    expires_at: Instant | None = None
    priority: int = 0


class Queued(Outgoing, frozen=True):
    """What came of it; `refused` maps a target to a code."""

    uuid: str
    request_type: str
    queued: int
    refused: dict[str, str]


class CommandView(Outgoing, frozen=True):
    """A command without its body."""

    uuid: str
    request_type: str
    created_at: datetime
    created_by: str
    idempotency_key: str | None
    not_before: datetime | None
    expires_at: datetime | None
    priority: int


class CommandDetailView(CommandView, frozen=True):
    """A command and its targets by state, with `total` and `finished`."""

    progress: dict[str, int]


class CommandPage(Outgoing, frozen=True):
    """A page of commands, newest first."""

    items: list[CommandView]
    next_cursor: str | None


class CommandQuery(PageQuery, frozen=True):
    """Which commands."""

    request_type: str | None = None


class Cancellation(Incoming, frozen=True):
    """For whom to cancel; without targets for all."""

    targets: Annotated[tuple[Target, ...], msgspec.Meta(min_length=1, max_length=_CANCELLED_AT_ONCE)] | None = None


async def send_command(call: Call[PlistDelivery, Content]) -> Queued:
    """Queue a command, given as JSON or as a plist."""
    delivery, request = _from_json(call) if call.body.media_type == "application/json" else _from_plist(call)
    if bool(delivery.targets) == delivery.everyone:
        raise Invalid("name either targets or everyone", code="invalid_targets")
    if delivery.types and not delivery.everyone:
        raise Invalid("types go with everyone; targets are named by their ids", code="invalid_targets")
    if delivery.everyone:
        types = frozenset(delivery.types or _DEVICE_CHANNELS)
        enqueued = await call.services.commands.enqueue_for_everyone(request, types=types, actor=call.actor)
    else:
        enqueued = await call.services.commands.enqueue(request, delivery.targets, actor=call.actor)
        if not enqueued.queued:
            raise NothingQueued(enqueued.refused)
    return Queued(
        uuid=enqueued.uuid,
        request_type=enqueued.request_type,
        queued=enqueued.queued,
        refused=enqueued.refused,
    )


def _from_json(call: Call[PlistDelivery, Content]) -> tuple[Delivery, CommandRequest]:
    if call.query != PlistDelivery():
        raise Invalid("with a JSON body everything stands in the body", code="invalid_query")
    new = decode_json(call.body.body, NewCommand)
    payload = None
    if new.command is not None:
        payload = {name: from_json(value) for name, value in new.command.items()}
    return new, _request(call, new, plist=new.plist, payload=payload)


def _from_plist(call: Call[PlistDelivery, Content]) -> tuple[Delivery, CommandRequest]:
    if call.body.media_type not in PLIST_MEDIA_TYPES:
        raise UnsupportedMedia(
            f"send application/json or a plist as {', '.join(PLIST_MEDIA_TYPES)}, not {call.body.media_type}"
        )
    query = call.query
    delivery = Delivery(
        targets=query.target,
        everyone=query.everyone,
        types=query.type,
        not_before=query.not_before,
        expires_at=query.expires_at,
        priority=query.priority,
    )
    return delivery, _request(call, delivery, plist=call.body.body, payload=None)


def _request(
    call: Call[PlistDelivery, Content], delivery: Delivery, *, plist: bytes | None, payload: dict[str, Any] | None
) -> CommandRequest:
    return CommandRequest(
        plist=plist,
        payload=payload,
        idempotency_key=call.idempotency_key,
        not_before=delivery.not_before,
        expires_at=delivery.expires_at,
        priority=delivery.priority,
    )


async def list_commands(call: Call[CommandQuery, Nothing]) -> CommandPage:
    """Commands, newest first."""
    query = call.query
    page = await call.services.commands.commands(
        request_type=query.request_type, cursor=query.cursor, limit=query.limit
    )
    return CommandPage(items=[command_view(record) for record in page.items], next_cursor=page.next_cursor)


async def show_command(call: Call[Nothing, Nothing]) -> CommandDetailView:
    """A command and how far it got."""
    detail = await call.services.commands.show(CommandUUID(call.path["uuid"]))
    return CommandDetailView(**msgspec.structs.asdict(command_view(detail.record)), progress=_progress(detail.progress))


async def show_body(call: Call[Nothing, Nothing]) -> Content:
    """The bytes that devices are given."""
    body = await call.services.commands.command_body(CommandUUID(call.path["uuid"]))
    return Content(body=body, media_type="application/xml")


async def list_targets(call: Call[QueueItemQuery, Nothing]) -> QueueItemPage:
    """Where the command stands, enrollment by enrollment."""
    query = call.query
    return item_page(
        await call.services.commands.targets(
            CommandUUID(call.path["uuid"]), states=frozenset(query.state), cursor=query.cursor, limit=query.limit
        )
    )


async def cancel_command(call: Call[Nothing, Cancellation]) -> Cancelled:
    """Cancel what is open of a command. One unknown target, and nothing is cancelled."""
    rows = None
    if call.body.targets is not None:
        rows = [await call.services.devices.resolve(target) for target in call.body.targets]
    cancelled = await call.services.commands.cancel(CommandUUID(call.path["uuid"]), rows, actor=call.actor)
    return Cancelled(cancelled=cancelled)


def command_view(record: CommandRecord) -> CommandView:
    """A command as it is shown."""
    return CommandView(
        uuid=record.uuid,
        request_type=record.request_type,
        created_at=record.created_at,
        created_by=record.created_by,
        idempotency_key=record.idempotency_key,
        not_before=record.not_before,
        expires_at=record.expires_at,
        priority=record.priority,
    )


def _progress(progress: Progress) -> dict[str, int]:
    states = {state.value: number for state, number in progress.counts.items()}
    return {**states, "total": progress.total, "finished": progress.finished}


_ONE = "/api/v1/commands/{uuid}"

ROUTES: list[AnyRoute] = [
    Route(
        method="POST", path="/api/v1/commands", scope=Scope.COMMANDS_SEND, surface=Surface.API,
        summary="Send a command", handler=send_command,
        query=PlistDelivery, body=Content, response=Queued, status=201, body_limit=16 * MIB,
        media_types={"application/json": NewCommand, **dict.fromkeys(PLIST_MEDIA_TYPES)},
    ),
    Route(
        method="GET", path="/api/v1/commands", scope=Scope.COMMANDS_READ, surface=Surface.API,
        summary="List commands", handler=list_commands,
        query=CommandQuery, body=Nothing, response=CommandPage,
    ),
    Route(
        method="GET", path=_ONE, scope=Scope.COMMANDS_READ, surface=Surface.API,
        summary="Show a command and its progress", handler=show_command,
        query=Nothing, body=Nothing, response=CommandDetailView,
    ),
    Route(
        method="GET", path=f"{_ONE}/body", scope=Scope.COMMANDS_SEND, surface=Surface.API,
        summary="Show the plist that devices are given", handler=show_body,
        query=Nothing, body=Nothing, response=Content, response_media_type="application/xml",
    ),
    Route(
        method="GET", path=f"{_ONE}/targets", scope=Scope.COMMANDS_READ, surface=Surface.API,
        summary="List a command's targets", handler=list_targets,
        query=QueueItemQuery, body=Nothing, response=QueueItemPage,
    ),
    Route(
        method="POST", path=f"{_ONE}/cancel", scope=Scope.COMMANDS_SEND, surface=Surface.API,
        summary="Cancel a command, for all or for some", handler=cancel_command,
        query=Nothing, body=Cancellation, response=Cancelled,
    ),
]  # fmt: skip
