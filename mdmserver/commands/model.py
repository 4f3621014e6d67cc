"""Commands and where each stands in an enrollment's queue.

A command is one body shared by all its targets; a queue item is that command for one enrollment. An item is open
until it reaches a final state, which never changes:

    queued → sent → (not_now → sent)* → acknowledged | error | format_error
    queued, not_now → cancelled | expired | superseded
    sent, cancelled or expired → withdrawn: open, offered no more; its result, if one comes, decides,
                                 and the device's next Idle (it sends results first) ends it

Within an enrollment higher priority goes first, then the order of enqueueing. An item that was delivered
`STUBBORN_DELIVERIES` times without any answer goes behind the others.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType

from mdmserver.devices.model import EnrollmentRow
from mdmserver.protocol import CommandReport, CommandUUID, EnrollmentID, ErrorItem, Status

CommandRow = NewType("CommandRow", int)
ItemRow = NewType("ItemRow", int)

STUBBORN_DELIVERIES = 5
MAXIMUM_PRIORITY = 100
ERRORS_TOLD = 3
RENEWAL = "renewal"
LONGEST_REASON = 500


class ItemState(StrEnum):
    """Where a queue item stands."""

    QUEUED = "queued"
    SENT = "sent"
    NOT_NOW = "not_now"
    WITHDRAWN = "withdrawn"
    ACKNOWLEDGED = "acknowledged"
    ERROR = "error"
    FORMAT_ERROR = "format_error"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"

    @property
    def is_final(self) -> bool:
        """Whether the item is finished and will never change again."""
        return self not in OPEN_STATES


OPEN_STATES = frozenset({ItemState.QUEUED, ItemState.SENT, ItemState.NOT_NOW, ItemState.WITHDRAWN})
OFFERED_STATES = frozenset({ItemState.QUEUED, ItemState.SENT, ItemState.NOT_NOW})

FINAL_STATE_OF_STATUS = {
    Status.ACKNOWLEDGED: ItemState.ACKNOWLEDGED,
    Status.ERROR: ItemState.ERROR,
    Status.COMMAND_FORMAT_ERROR: ItemState.FORMAT_ERROR,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenItem:
    """An unfinished queue item, as much as choosing the next one needs."""

    row: ItemRow
    command: CommandRow
    command_uuid: CommandUUID
    request_type: str
    state: ItemState
    priority: int
    deliveries: int
    not_now_count: int
    not_before: datetime | None
    expires_at: datetime | None
    withdrawn_as: ItemState | None = None
    renderer: str | None = None
    """Who makes its bytes for each delivery; None for bytes that are stored."""
    is_held: bool = False
    """In quarantine: not offered until a person releases it."""

    @property
    def is_renewal(self) -> bool:
        """Whether it renews the device's certificate: the only thing that an expired one may still be used for."""
        return self.renderer == RENEWAL

    @property
    def is_stubborn(self) -> bool:
        """Whether it was delivered so often without any answer that it goes behind the others."""
        return self.deliveries - self.not_now_count >= STUBBORN_DELIVERIES


def next_offer(items: Iterable[OpenItem], *, after: Status, at: datetime) -> OpenItem | None:
    """The item to hand out in reply to `after`, or None.

    After NotNow only commands that were not put off are offered; any other status offers those again
    (Apple: a device that put a command off polls again by itself only if that was its last answer).
    """
    candidates = (item for item in items if _is_due(item, after=after, at=at))
    return min(candidates, key=_order, default=None)


def _is_due(item: OpenItem, *, after: Status, at: datetime) -> bool:
    if item.state not in OFFERED_STATES or item.is_held:
        return False
    if item.state is ItemState.NOT_NOW and after is Status.NOT_NOW:
        return False
    if item.not_before is not None and item.not_before > at:
        return False
    return item.expires_at is None or item.expires_at > at


def _order(item: OpenItem) -> tuple[bool, int, ItemRow]:
    return item.is_stubborn, -item.priority, item.row


def after_report(item: OpenItem, status: Status) -> ItemState:
    """The state that a report puts an open item into. A withdrawn item that is put off ends: it will not be done."""
    if status is Status.NOT_NOW:
        return item.withdrawn_as or ItemState.NOT_NOW
    return FINAL_STATE_OF_STATUS[status]


def reason_of(item: OpenItem, report: CommandReport) -> str | None:
    """Why a report ends an item so, in the device's own words if it gave some; None if there is no more to say."""
    told = [
        f"answered after it was {item.withdrawn_as}" if item.state is ItemState.WITHDRAWN else "",
        *(_told(error) for error in report.error_chain[:ERRORS_TOLD]),
    ]
    return "; ".join(part for part in told if part)[:LONGEST_REASON] or None


def _told(error: ErrorItem) -> str:
    text = error.us_english_description or error.localized_description or ""
    return f"{error.domain or 'error'} {error.code if error.code is not None else ''}: {text}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCommand:
    """A command to enqueue. `body` reaches the device byte for byte; times are aware UTC."""

    uuid: CommandUUID
    request_type: str
    body: bytes = field(repr=False)
    content_hash: bytes
    """SHA-256 of what the caller asked for, so that the same key with another content is noticed."""
    idempotency_key: str | None = None
    not_before: datetime | None = None
    expires_at: datetime | None = None
    priority: int = 0
    renderer: str | None = None
    is_destructive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRecord:
    """A stored command without its body."""

    row: CommandRow
    uuid: CommandUUID
    request_type: str
    created_at: datetime
    created_by: str
    idempotency_key: str | None
    content_hash: bytes
    not_before: datetime | None
    expires_at: datetime | None
    priority: int
    is_destructive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueItem:
    """A command for one enrollment, with the times that make its timeline."""

    row: ItemRow
    enrollment: EnrollmentRow
    enrollment_id: EnrollmentID
    command_uuid: CommandUUID
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
    not_now_at: datetime | None
    finished_at: datetime | None
    reason: str | None
    withdrawn_as: ItemState | None
    held_at: datetime | None = None
    """Since when it is in quarantine, if it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedResult:
    """A result as it is stored: the device's bytes, and whether they could be read."""

    status: Status
    body: bytes = field(repr=False)
    is_readable: bool = True
    is_compressed: bool = False
    """Whether `body` is deflated (zlib); large bodies are, before they get here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResult:
    """A result as it comes back from storage, its body unsealed and inflated."""

    item: ItemRow
    enrollment: EnrollmentRow
    command_uuid: CommandUUID
    request_type: str
    status: Status
    received_at: datetime
    body: bytes = field(repr=False)
    is_readable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How many targets of a command are in each state."""

    counts: dict[ItemState, int]

    @property
    def total(self) -> int:
        """All targets."""
        return sum(self.counts.values())

    @property
    def finished(self) -> int:
        """Targets in a final state."""
        return sum(number for state, number in self.counts.items() if state.is_final)
