"""Follow and cancel commands over the API. Sending them is `sending`, what devices answered is `results`."""

from datetime import datetime
from typing import Annotated

import msgspec

from mdmserver.access.model import Scope
from mdmserver.commands.model import CommandRecord, Progress
from mdmserver.protocol import CommandUUID
from mdmserver.web.api.enrollments import Cancelled
from mdmserver.web.api.page_query import PageQuery
from mdmserver.web.api.queue_items import QueueItemPage, QueueItemQuery, item_page
from mdmserver.web.api.targets import Target
from mdmserver.web.routes import AnyRoute, Call, Content, Incoming, Nothing, Outgoing, Route, Surface

_CANCELLED_AT_ONCE = 1_000


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


class Released(Outgoing, frozen=True):
    """For how many devices a command was let out of quarantine."""

    released: int


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


async def release_command(call: Call[Nothing, Nothing]) -> Released:
    """Let a destructive command go that a restored backup brought back."""
    released = await call.services.commands.release(CommandUUID(call.path["uuid"]), actor=call.actor)
    return Released(released=released)


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
    Route(
        method="POST", path=f"{_ONE}/release", scope=Scope.COMMANDS_DESTROY, surface=Surface.API,
        summary="Let a destructive command out of quarantine", handler=release_command,
        query=Nothing, body=Nothing, response=Released,
    ),
]  # fmt: skip
