"""The audit trail over the API, hashes and all, so that a reader can verify the chain."""

from datetime import datetime

from mdmserver.access.model import Scope
from mdmserver.audit.model import ActorKind, AuditRecord
from mdmserver.web.api.page_query import PageQuery
from mdmserver.web.routes import AnyRoute, Call, Nothing, Outgoing, Route, Surface


class ActorView(Outgoing, frozen=True):
    """Who made a change; for `key` the name is the key's id."""

    kind: ActorKind
    name: str


class AuditRecordView(Outgoing, frozen=True):
    """One change; hashes are hexadecimal."""

    sequence: int
    at: datetime
    actor: ActorView
    action: str
    subject: str
    detail: dict[str, str | int | bool | None]
    previous_hash: str
    hash: str


class AuditPage(Outgoing, frozen=True):
    """A page of records, oldest first."""

    items: list[AuditRecordView]
    next_cursor: str | None


async def list_records(call: Call[PageQuery, Nothing]) -> AuditPage:
    """Records, oldest first."""
    page = await call.services.audit.records(cursor=call.query.cursor, limit=call.query.limit)
    return AuditPage(items=[_view(record) for record in page.items], next_cursor=page.next_cursor)


def _view(record: AuditRecord) -> AuditRecordView:
    return AuditRecordView(
        sequence=record.sequence,
        at=record.at,
        actor=ActorView(kind=record.actor.kind, name=record.actor.name),
        action=record.action,
        subject=record.subject,
        detail=record.detail,
        previous_hash=record.previous_hash.hex(),
        hash=record.hash.hex(),
    )


ROUTES: list[AnyRoute] = [
    Route(
        method="GET", path="/api/v1/audit", scope=Scope.AUDIT_READ, surface=Surface.API,
        summary="List the audit trail", handler=list_records,
        query=PageQuery, body=Nothing, response=AuditPage,
    ),
]  # fmt: skip
