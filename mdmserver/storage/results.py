"""What devices answered, in SQL: the bytes sealed, large ones deflated, and what is still to be worked through."""

import zlib
from datetime import datetime

from mdmserver.commands.model import CommandRow, ItemRow, OpenItem, ReportedResult, StoredResult
from mdmserver.devices.model import EnrollmentRow
from mdmserver.protocol import CommandUUID, Status
from mdmserver.storage.times import loaded, stored
from mdmserver.storage.vault import Place, Vault
from mdmserver.transaction import Row, Transaction

_RESULT = (
    "SELECT r.item_id, q.enrollment_id, c.uuid, c.request_type, r.status, r.received_at, r.body_sealed, "
    "r.is_compressed, r.is_readable FROM result r JOIN queue_item q ON q.id = r.item_id "
    "JOIN command c ON c.id = q.command_id WHERE "
)


class ResultRows:
    """The part of the command store that deals in results."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

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
        await tx.execute(
            "INSERT INTO result (item_id, status, body_sealed, is_compressed, is_readable, received_at, processed) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            item.row, result.status.value, self._vault.seal(result.body, _place(item.row)),
            int(result.is_compressed), int(result.is_readable), stored(at), int(not needs_processing),
        )  # fmt: skip

    async def result(self, tx: Transaction, item: ItemRow) -> StoredResult | None:
        """The result of an item, or None."""
        row = await tx.fetch_one(f"{_RESULT}r.item_id = ?", item)
        return None if row is None else self._result_of(row)

    async def results(
        self, tx: Transaction, command: CommandRow, *, after: ItemRow | None, limit: int
    ) -> list[StoredResult]:
        """A command's results, in order of item."""
        rows = await tx.fetch_all(
            f"{_RESULT}q.command_id = ? AND r.item_id > ? ORDER BY r.item_id LIMIT ?", command, after or 0, limit
        )
        return [self._result_of(row) for row in rows]

    async def claim_results(self, tx: Transaction, *, at: datetime, until: datetime, limit: int) -> list[StoredResult]:
        """Unprocessed results that nobody else has claimed, claimed until then; of the deflated ones only one."""
        waiting = await tx.fetch_all(
            "SELECT item_id, is_compressed FROM result WHERE processed = 0 AND claimed_until <= ? "
            "ORDER BY item_id LIMIT ?",
            stored(at),
            limit,
        )
        claimed = _with_one_deflated(waiting)
        await tx.execute_many(
            "UPDATE result SET claimed_until = ? WHERE item_id = ?", [(stored(until), item) for item in claimed]
        )
        found = [await self.result(tx, item) for item in claimed]
        return [result for result in found if result is not None]

    async def result_processed(self, tx: Transaction, item: ItemRow) -> None:
        """A claimed result was worked through."""
        await tx.execute("UPDATE result SET processed = 1 WHERE item_id = ?", item)

    def _result_of(self, row: Row) -> StoredResult:
        item = ItemRow(row[0])
        body = self._vault.open(bytes(row[6]), _place(item))
        return StoredResult(
            item=item,
            enrollment=EnrollmentRow(row[1]),
            command_uuid=CommandUUID(row[2]),
            request_type=row[3],
            status=Status(row[4]),
            received_at=loaded(row[5]),
            body=zlib.decompress(body) if row[7] else body,
            is_readable=bool(row[8]),
        )


def _with_one_deflated(rows: list[Row]) -> list[ItemRow]:
    """The items up to and including the first deflated one: inflated, each may be as large as a result can be."""
    claimed: list[ItemRow] = []
    for item, is_compressed in rows:
        claimed.append(ItemRow(item))
        if is_compressed:
            break
    return claimed


def _place(item: ItemRow) -> Place:
    return Place("result", str(item), "body")
