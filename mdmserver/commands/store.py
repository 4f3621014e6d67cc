"""What the queue needs stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from mdmserver.commands.destructive import Use
from mdmserver.commands.model import (
    CommandRecord,
    CommandRow,
    ItemRow,
    ItemState,
    NewCommand,
    OpenItem,
    Progress,
    QueueItem,
    ReportedResult,
    StoredResult,
)
from mdmserver.devices.model import EnrollmentRow
from mdmserver.protocol import CommandUUID
from mdmserver.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemFilter:
    """Which queue items to list; None asks for nothing in particular."""

    command: CommandRow | None = None
    enrollment: EnrollmentRow | None = None
    states: frozenset[ItemState] = frozenset()


class CommandStore(Protocol):
    """Commands, queue items and results."""

    async def insert_command(
        self, tx: Transaction, command: NewCommand, *, created_by: str, at: datetime
    ) -> CommandRow | None:
        """Keep a command, its body sealed; None if its uuid or idempotency key is taken."""
        ...

    async def command(self, tx: Transaction, uuid: CommandUUID) -> CommandRecord | None:
        """The command with this uuid, or None."""
        ...

    async def command_by_idempotency_key(self, tx: Transaction, key: str) -> CommandRecord | None:
        """The command that was enqueued under this key, or None."""
        ...

    async def body(self, tx: Transaction, command: CommandRow) -> bytes:
        """The command's bytes, as they were enqueued. Bodies that are handed out often are kept in memory."""
        ...

    async def commands(
        self, tx: Transaction, *, request_type: str | None, before: CommandRow | None, limit: int
    ) -> list[CommandRecord]:
        """Commands, newest first."""
        ...

    async def enqueue(
        self,
        tx: Transaction,
        command: CommandRow,
        targets: Sequence[EnrollmentRow],
        *,
        at: datetime,
        wake_at: datetime | None = None,
    ) -> int:
        """Queue the command for enrollments that do not have it yet; how many were new. Ended ones are skipped.

        They are due to be woken at `wake_at` (None: now), in the same transaction: nothing waits without a push.
        """
        ...

    async def enqueue_all(
        self,
        tx: Transaction,
        command: CommandRow,
        *,
        after: EnrollmentRow,
        limit: int,
        types: frozenset[str],
        at: datetime,
        wake_at: datetime | None = None,
    ) -> tuple[int, EnrollmentRow | None]:
        """Queue it for up to `limit` enabled enrollments of these types above `after`; how many, and the last one
        (None: no more)."""
        ...

    async def destructive_uses(self, tx: Transaction, *, since: datetime) -> list[Use]:
        """What destructive commands were enqueued for after then, oldest first. Nobody else adds to it until the
        transaction is done."""
        ...

    async def add_destructive_use(self, tx: Transaction, command: CommandRow, use: Use) -> None:
        """Count devices that a destructive command was enqueued for."""
        ...

    async def hold_destructive(self, tx: Transaction, *, at: datetime) -> int:
        """Put every open destructive item in quarantine; how many that were not in it."""
        ...

    async def release_held(self, tx: Transaction, command: CommandRow, *, at: datetime) -> int:
        """Let a command's items out of quarantine, and have their devices woken; how many."""
        ...

    async def has_open_renewal(self, tx: Transaction, enrollment: EnrollmentRow) -> bool:
        """Whether a renewal of its certificate is in the enrollment's queue."""
        ...

    async def open_items(self, tx: Transaction, enrollment: EnrollmentRow, *, limit: int | None) -> list[OpenItem]:
        """The enrollment's open items in the order in which they are offered, at most `limit` (None: all)."""
        ...

    async def open_item(self, tx: Transaction, enrollment: EnrollmentRow, uuid: CommandUUID) -> OpenItem | None:
        """The enrollment's open item for this command, or None."""
        ...

    async def mark_sent(self, tx: Transaction, item: ItemRow, *, at: datetime) -> None:
        """State sent, one delivery more."""
        ...

    async def mark_not_now(self, tx: Transaction, item: ItemRow, *, at: datetime) -> None:
        """State not_now, counted."""
        ...

    async def finish(
        self, tx: Transaction, item: ItemRow, state: ItemState, *, at: datetime, reason: str | None = None
    ) -> None:
        """Put an open item into a final state."""
        ...

    async def store_result(
        self,
        tx: Transaction,
        item: OpenItem,
        result: ReportedResult,
        *,
        needs_processing: bool,
        at: datetime,
    ) -> None:
        """Keep the result of an item, its body sealed."""
        ...

    async def finish_withdrawn(self, tx: Transaction, enrollment: EnrollmentRow, *, at: datetime) -> int:
        """The device is idle: its withdrawn items end as what they were withdrawn as. How many."""
        ...

    async def clear_queue(
        self, tx: Transaction, device: EnrollmentRow, *, users: bool, reason: str, at: datetime
    ) -> int:
        """A life ends: open items of the enrollment (and of its user channels) end as cancelled. How many."""
        ...

    async def withdraw(
        self,
        tx: Transaction,
        command: CommandRow,
        targets: Sequence[EnrollmentRow] | None,
        *,
        ending: ItemState,
        reason: str,
        at: datetime,
    ) -> int:
        """Cancel or supersede open items (None: all targets): queued ones end, sent ones become withdrawn. How many."""
        ...

    async def withdraw_all(
        self, tx: Transaction, enrollment: EnrollmentRow, *, ending: ItemState, reason: str, at: datetime
    ) -> int:
        """The same for all that is open for one enrollment."""
        ...

    async def expire_due(self, tx: Transaction, *, at: datetime, limit: int) -> int:
        """Up to `limit` open items whose time ran out: queued ones end, sent ones become withdrawn. How many."""
        ...

    async def items(self, tx: Transaction, filter: ItemFilter, *, after: ItemRow | None, limit: int) -> list[QueueItem]:
        """Queue items in order of row."""
        ...

    async def item(self, tx: Transaction, command: CommandRow, enrollment: EnrollmentRow) -> QueueItem | None:
        """The command's item for one enrollment, or None."""
        ...

    async def items_ahead(self, tx: Transaction, item: QueueItem) -> int:
        """How many open items of the same enrollment go before it."""
        ...

    async def progress(self, tx: Transaction, command: CommandRow) -> Progress:
        """How many targets are in each state."""
        ...

    async def counts(self, tx: Transaction) -> dict[ItemState, int]:
        """Open items by state, over all enrollments."""
        ...

    async def result(self, tx: Transaction, item: ItemRow) -> StoredResult | None:
        """The result of an item, or None."""
        ...

    async def results(
        self, tx: Transaction, command: CommandRow, *, after: ItemRow | None, limit: int
    ) -> list[StoredResult]:
        """A command's results, in order of item."""
        ...

    async def claim_results(self, tx: Transaction, *, at: datetime, until: datetime, limit: int) -> list[StoredResult]:
        """Unprocessed results that nobody else has claimed, claimed until then; few enough to be held in memory."""
        ...

    async def result_processed(self, tx: Transaction, item: ItemRow) -> None:
        """A claimed result was worked through."""
        ...

    async def count_oversized(self, tx: Transaction, enrollment: EnrollmentRow, uuid: CommandUUID) -> int:
        """One more result over the byte cap for this item; how many it has been now (0: there is no such open item)."""
        ...
