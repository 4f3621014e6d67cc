"""What devices answered, over the API: plists as JSON, their secrets masked; and why an answer is not there yet."""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any

import msgspec

from mdmserver.access.model import Scope
from mdmserver.commands.model import ItemState, QueueItem, StoredResult
from mdmserver.protocol import CommandUUID, ProtocolError, Status, loads
from mdmserver.web.api.page_query import Cursor
from mdmserver.web.api.plist_json import masked, to_json
from mdmserver.web.api.push_of_item import explained, pushes_of
from mdmserver.web.api.push_standing import Topics
from mdmserver.web.api.queue_items import QueueItemView, item_view
from mdmserver.web.api.timeline import TimelineEntryView, timeline_view
from mdmserver.web.routes import AnyRoute, Call, Incoming, Nothing, Outgoing, Route, Surface

_PARSED_ON_THE_LOOP = 65_536
_PUSHES = 200


class ResultView(Outgoing, frozen=True):
    """A device's answer; `id` is the enrollment's, `result` is null when the answer could not be read."""

    id: str
    state: ItemState
    status: Status
    received_at: datetime
    result: dict[str, Any] | None


class ResultPage(Outgoing, frozen=True):
    """A page of results, in the order in which the targets were queued."""

    items: list[ResultView]
    next_cursor: str | None


class ResultQuery(Incoming, frozen=True):
    """One page; a result may be large, so pages are short."""

    cursor: Cursor | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20


class ExplanationView(Outgoing, frozen=True):
    """Why a command is where it is; `code` is stable."""

    code: str
    text: str


class TargetDetail(Outgoing, frozen=True):
    """Everything about a command for one enrollment."""

    item: QueueItemView
    explanation: ExplanationView
    timeline: list[TimelineEntryView]
    result: ResultView | None


async def list_results(call: Call[ResultQuery, Nothing]) -> ResultPage:
    """A command's results."""
    page = await call.services.commands.results(
        CommandUUID(call.path["uuid"]), cursor=call.query.cursor, limit=call.query.limit
    )
    return ResultPage(items=await _views(page.items), next_cursor=page.next_cursor)


async def show_target(call: Call[Nothing, Nothing]) -> TargetDetail:
    """A command for one enrollment, and why it is not there yet."""
    row = await call.services.devices.resolve(call.path["reference"])
    detail = await call.services.commands.item(CommandUUID(call.path["uuid"]), row)
    results = await _views([(detail.item, detail.result)] if detail.result is not None else [])
    enrollment = await call.services.devices.show(detail.item.enrollment_id.key)
    explanation = explained(detail.explanation, enrollment, Topics.of(call.services.push_certificates.all))
    pushes = pushes_of(detail.item, await call.services.push.attempts(row, limit=_PUSHES), life=enrollment.life)
    return TargetDetail(
        item=item_view(detail.item),
        explanation=ExplanationView(code=explanation.code, text=explanation.text),
        timeline=timeline_view(sorted([*detail.timeline, *pushes], key=lambda entry: entry.at)),
        result=results[0] if results else None,
    )


async def _views(pairs: list[tuple[QueueItem, StoredResult]]) -> list[ResultView]:
    if sum(len(result.body) for _, result in pairs) > _PARSED_ON_THE_LOOP:
        return await asyncio.to_thread(_parsed, pairs)
    return _parsed(pairs)


def _parsed(pairs: Iterable[tuple[QueueItem, StoredResult]]) -> list[ResultView]:
    return [
        ResultView(
            id=str(item.enrollment_id),
            state=item.state,
            status=result.status,
            received_at=result.received_at,
            result=_readable(result),
        )
        for item, result in pairs
    ]


def _readable(result: StoredResult) -> dict[str, Any] | None:
    if not result.is_readable:
        return None
    try:
        plist = loads(result.body)
    except ProtocolError:
        return None
    form: dict[str, Any] = to_json(masked(plist))
    return form


_ONE = "/api/v1/commands/{uuid}"

ROUTES: list[AnyRoute] = [
    Route(
        method="GET", path=f"{_ONE}/results", scope=Scope.COMMANDS_READ, surface=Surface.API,
        summary="List what devices answered to a command", handler=list_results,
        query=ResultQuery, body=Nothing, response=ResultPage,
    ),
    Route(
        method="GET", path=f"{_ONE}/targets/{{reference}}", scope=Scope.COMMANDS_READ, surface=Surface.API,
        summary="Show a command for one enrollment, and why it is not there yet", handler=show_target,
        query=Nothing, body=Nothing, response=TargetDetail,
    ),
]  # fmt: skip
