"""Queue items as the API shows them: a command for one enrollment."""

from datetime import datetime

from mdmserver.commands.model import ItemState, QueueItem
from mdmserver.paging import Page
from mdmserver.web.api.page_query import PageQuery
from mdmserver.web.routes import Outgoing


class QueueItemView(Outgoing, frozen=True):
    """Where a command stands for one enrollment; `id` is the enrollment's."""

    id: str
    command_uuid: str
    request_type: str
    state: ItemState
    priority: int
    queued_at: datetime
    not_before: datetime | None
    expires_at: datetime | None
    first_sent_at: datetime | None
    sent_at: datetime | None
    deliveries: int
    not_now_count: int
    finished_at: datetime | None
    reason: str | None
    held_at: datetime | None = None


class QueueItemPage(Outgoing, frozen=True):
    """A page of queue items."""

    items: list[QueueItemView]
    next_cursor: str | None


class QueueItemQuery(PageQuery, frozen=True):
    """Which queue items: those in any of these states, or all."""

    state: tuple[ItemState, ...] = ()


def item_view(item: QueueItem) -> QueueItemView:
    """A queue item as it is shown."""
    return QueueItemView(
        id=str(item.enrollment_id),
        command_uuid=item.command_uuid,
        request_type=item.request_type,
        state=item.state,
        priority=item.priority,
        queued_at=item.queued_at,
        not_before=item.not_before,
        expires_at=item.expires_at,
        first_sent_at=item.first_sent_at,
        sent_at=item.sent_at,
        deliveries=item.deliveries,
        not_now_count=item.not_now_count,
        finished_at=item.finished_at,
        reason=item.reason,
        held_at=item.held_at,
    )


def item_page(page: Page[QueueItem]) -> QueueItemPage:
    """A page of them."""
    return QueueItemPage(items=[item_view(item) for item in page.items], next_cursor=page.next_cursor)
