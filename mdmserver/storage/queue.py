"""Queue items in SQL: the states of `commands.model`, moved in the order that it allows."""

from collections.abc import Sequence
from datetime import datetime

from mdmserver.commands.model import (
    RENEWAL,
    STUBBORN_DELIVERIES,
    CommandRow,
    ItemRow,
    ItemState,
    OpenItem,
    Progress,
    QueueItem,
)
from mdmserver.commands.store import ItemFilter
from mdmserver.devices.model import EnrollmentRow
from mdmserver.protocol import CommandUUID, EnrollmentID
from mdmserver.storage.times import loaded, stored
from mdmserver.transaction import Row, Transaction

_OPEN = (
    "SELECT q.id, q.command_id, c.uuid, c.request_type, q.state, q.priority, q.deliveries, q.not_now_count, "
    "q.not_before, q.expires_at, q.withdrawn_as, c.renderer, q.held_at IS NOT NULL "
    "FROM queue_item q JOIN command c ON c.id = q.command_id "
    "WHERE q.enrollment_id = ? AND q.finished_at IS NULL"
)
_OFFERED_ORDER = f"q.deliveries - q.not_now_count >= {STUBBORN_DELIVERIES}, q.priority DESC, q.id"
_ITEM = (
    "SELECT q.id, q.enrollment_id, e.key, c.uuid, c.request_type, q.state, q.priority, q.queued_at, q.not_before, "
    "q.expires_at, q.first_sent_at, q.sent_at, q.deliveries, q.not_now_count, q.not_now_at, q.finished_at, q.reason, "
    "q.withdrawn_as, q.held_at FROM queue_item q JOIN command c ON c.id = q.command_id "
    "JOIN enrollment e ON e.id = q.enrollment_id WHERE "
)
# One statement for cancelling, superseding and expiring: what is out at a device becomes withdrawn.
_WITHDRAW = (
    "UPDATE queue_item SET "
    "withdrawn_as = CASE WHEN state = 'sent' THEN ? ELSE withdrawn_as END, "
    "finished_at = CASE WHEN state = 'sent' THEN NULL ELSE ? END, "
    "reason = ?, "
    "state = CASE WHEN state = 'sent' THEN 'withdrawn' ELSE ? END "
    "WHERE finished_at IS NULL AND state <> 'withdrawn' AND "
)


class QueueRows:
    """The part of the command store that deals in queue items."""

    async def has_open_renewal(self, tx: Transaction, enrollment: EnrollmentRow) -> bool:
        """Whether a renewal of its certificate is in the enrollment's queue."""
        row = await tx.fetch_one(f"{_OPEN} AND c.renderer = ? LIMIT 1", enrollment, RENEWAL)
        return row is not None

    async def open_items(self, tx: Transaction, enrollment: EnrollmentRow, *, limit: int | None) -> list[OpenItem]:
        """The enrollment's open items in the order in which they are offered, at most `limit` (None: all)."""
        bound = 2**62 if limit is None else limit
        rows = await tx.fetch_all(f"{_OPEN} ORDER BY {_OFFERED_ORDER} LIMIT ?", enrollment, bound)
        return [_open_item_of(row) for row in rows]

    async def open_item(self, tx: Transaction, enrollment: EnrollmentRow, uuid: CommandUUID) -> OpenItem | None:
        """The enrollment's open item for this command, or None."""
        row = await tx.fetch_one(f"{_OPEN} AND c.uuid = ?", enrollment, uuid)
        return None if row is None else _open_item_of(row)

    async def mark_sent(self, tx: Transaction, item: ItemRow, *, at: datetime) -> None:
        """State sent, one delivery more."""
        now = stored(at)
        await tx.execute(
            "UPDATE queue_item SET state = 'sent', deliveries = deliveries + 1, sent_at = ?, "
            "first_sent_at = coalesce(first_sent_at, ?) WHERE id = ?",
            now,
            now,
            item,
        )

    async def mark_not_now(self, tx: Transaction, item: ItemRow, *, at: datetime) -> None:
        """State not_now, counted."""
        await tx.execute(
            "UPDATE queue_item SET state = 'not_now', not_now_count = not_now_count + 1, not_now_at = ? WHERE id = ?",
            stored(at),
            item,
        )

    async def finish(
        self, tx: Transaction, item: ItemRow, state: ItemState, *, at: datetime, reason: str | None = None
    ) -> None:
        """Put an open item into a final state."""
        await tx.execute(
            "UPDATE queue_item SET state = ?, finished_at = ?, reason = coalesce(?, reason) WHERE id = ?",
            state.value,
            stored(at),
            reason,
            item,
        )

    async def finish_withdrawn(self, tx: Transaction, enrollment: EnrollmentRow, *, at: datetime) -> int:
        """The device is idle: its withdrawn items end as what they were withdrawn as. How many."""
        return await tx.execute(
            "UPDATE queue_item SET state = withdrawn_as, finished_at = ? "
            "WHERE enrollment_id = ? AND finished_at IS NULL AND state = 'withdrawn'",
            stored(at),
            enrollment,
        )

    async def clear_queue(
        self, tx: Transaction, device: EnrollmentRow, *, users: bool, reason: str, at: datetime
    ) -> int:
        """A life ends: open items of the enrollment (and of its user channels) end as cancelled. How many."""
        whose = "enrollment_id = ?"
        parameters: list[int] = [device]
        if users:
            whose = "enrollment_id IN (SELECT id FROM enrollment WHERE id = ? OR parent_id = ?)"
            parameters.append(device)
        return await tx.execute(
            "UPDATE queue_item SET state = 'cancelled', finished_at = ?, reason = ? "
            f"WHERE finished_at IS NULL AND {whose}",
            stored(at),
            reason,
            *parameters,
        )

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
        condition, parameters = "command_id = ?", [int(command)]
        if targets is not None:
            condition += f" AND enrollment_id IN ({', '.join('?' * len(targets))})"
            parameters += targets
        return await tx.execute(_WITHDRAW + condition, ending.value, stored(at), reason, ending.value, *parameters)

    async def withdraw_all(
        self, tx: Transaction, enrollment: EnrollmentRow, *, ending: ItemState, reason: str, at: datetime
    ) -> int:
        """The same for all that is open for one enrollment."""
        return await tx.execute(
            _WITHDRAW + "enrollment_id = ?", ending.value, stored(at), reason, ending.value, enrollment
        )

    async def expire_due(self, tx: Transaction, *, at: datetime, limit: int) -> int:
        """Up to `limit` open items whose time ran out: queued ones end, sent ones become withdrawn. How many."""
        rows = await tx.fetch_all(
            "SELECT id FROM queue_item WHERE finished_at IS NULL AND expires_at IS NOT NULL AND expires_at <= ? "
            "AND state <> 'withdrawn' ORDER BY expires_at LIMIT ?",
            stored(at),
            limit,
        )
        expired = ItemState.EXPIRED.value
        return await tx.execute_many(
            _WITHDRAW + "id = ?",
            [(expired, stored(at), "its time ran out", expired, row[0]) for row in rows],
        )

    async def items(self, tx: Transaction, filter: ItemFilter, *, after: ItemRow | None, limit: int) -> list[QueueItem]:
        """Queue items in order of row."""
        conditions, parameters = ["q.id > ?"], [after or 0]
        if filter.command is not None:
            conditions.append("q.command_id = ?")
            parameters.append(filter.command)
        if filter.enrollment is not None:
            conditions.append("q.enrollment_id = ?")
            parameters.append(filter.enrollment)
        states = sorted(state.value for state in filter.states)
        if states:
            conditions.append(f"q.state IN ({', '.join('?' * len(states))})")
        rows = await tx.fetch_all(
            f"{_ITEM}{' AND '.join(conditions)} ORDER BY q.id LIMIT ?", *parameters, *states, limit
        )
        return [_item_of(row) for row in rows]

    async def item(self, tx: Transaction, command: CommandRow, enrollment: EnrollmentRow) -> QueueItem | None:
        """The command's item for one enrollment, or None."""
        row = await tx.fetch_one(f"{_ITEM}q.enrollment_id = ? AND q.command_id = ?", enrollment, command)
        return None if row is None else _item_of(row)

    async def items_ahead(self, tx: Transaction, item: QueueItem) -> int:
        """How many open items of the same enrollment go before it."""
        row = await tx.fetch_one(
            "SELECT count(*) FROM queue_item WHERE enrollment_id = ? AND finished_at IS NULL AND state <> 'withdrawn' "
            f"AND held_at IS NULL AND (deliveries - not_now_count >= {STUBBORN_DELIVERIES}, -priority, id) < (?, ?, ?)",
            item.enrollment,
            int(item.deliveries - item.not_now_count >= STUBBORN_DELIVERIES),
            -item.priority,
            item.row,
        )
        assert row is not None
        return int(row[0])

    async def progress(self, tx: Transaction, command: CommandRow) -> Progress:
        """How many targets are in each state."""
        rows = await tx.fetch_all("SELECT state, count(*) FROM queue_item WHERE command_id = ? GROUP BY state", command)
        return Progress(counts={ItemState(state): number for state, number in rows})

    async def counts(self, tx: Transaction) -> dict[ItemState, int]:
        """Open items by state, over all enrollments."""
        rows = await tx.fetch_all("SELECT state, count(*) FROM queue_item WHERE finished_at IS NULL GROUP BY state")
        return {ItemState(state): number for state, number in rows}

    async def count_oversized(self, tx: Transaction, enrollment: EnrollmentRow, uuid: CommandUUID) -> int:
        """One more result over the byte cap for this item; how many it has been now (0: there is no such open item)."""
        row = await tx.fetch_one(
            "UPDATE queue_item SET oversized = oversized + 1 WHERE enrollment_id = ? AND finished_at IS NULL "
            "AND command_id = (SELECT id FROM command WHERE uuid = ?) RETURNING oversized",
            enrollment,
            uuid,
        )
        return 0 if row is None else int(row[0])


def _open_item_of(row: Row) -> OpenItem:
    return OpenItem(
        row=ItemRow(row[0]),
        command=CommandRow(row[1]),
        command_uuid=CommandUUID(row[2]),
        request_type=row[3],
        state=ItemState(row[4]),
        priority=row[5],
        deliveries=row[6],
        not_now_count=row[7],
        not_before=loaded(row[8]),
        expires_at=loaded(row[9]),
        withdrawn_as=None if row[10] is None else ItemState(row[10]),
        renderer=row[11],
        is_held=bool(row[12]),
    )


def _item_of(row: Row) -> QueueItem:
    return QueueItem(
        row=ItemRow(row[0]),
        enrollment=EnrollmentRow(row[1]),
        enrollment_id=EnrollmentID.from_key(row[2]),
        command_uuid=CommandUUID(row[3]),
        request_type=row[4],
        state=ItemState(row[5]),
        priority=row[6],
        queued_at=loaded(row[7]),
        not_before=loaded(row[8]),
        expires_at=loaded(row[9]),
        first_sent_at=loaded(row[10]),
        sent_at=loaded(row[11]),
        deliveries=row[12],
        not_now_count=row[13],
        not_now_at=loaded(row[14]),
        finished_at=loaded(row[15]),
        reason=row[16],
        withdrawn_as=None if row[17] is None else ItemState(row[17]),
        held_at=loaded(row[18]),
    )
