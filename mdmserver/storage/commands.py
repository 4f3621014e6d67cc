"""Commands in SQL and their way into queues. What devices make of them is `queue`, what they answered is `results`."""

from collections.abc import Sequence
from datetime import datetime

from mdmserver.commands.model import CommandRecord, CommandRow, NewCommand
from mdmserver.devices.model import EnrollmentRow
from mdmserver.protocol import CommandUUID
from mdmserver.storage.bodies import BodyCache
from mdmserver.storage.destructive import DestructiveRows
from mdmserver.storage.device_lists import next_enabled
from mdmserver.storage.push import ask_to_wake
from mdmserver.storage.queue import QueueRows
from mdmserver.storage.results import ResultRows
from mdmserver.storage.times import loaded, stored
from mdmserver.storage.vault import Place, Vault
from mdmserver.transaction import Row, Transaction

_COLUMNS = (
    "id, uuid, request_type, created_at, created_by, idempotency_key, content_hash, not_before, expires_at, priority, "
    "is_destructive"
)


class SQLCommandStore(QueueRows, ResultRows, DestructiveRows):
    """The CommandStore of SQLite."""

    def __init__(self, vault: Vault) -> None:
        super().__init__(vault)
        self._bodies = BodyCache()

    async def insert_command(
        self, tx: Transaction, command: NewCommand, *, created_by: str, at: datetime
    ) -> CommandRow | None:
        """Keep a command, its body sealed; None if its uuid or idempotency key is taken."""
        row = await tx.fetch_one(
            "INSERT INTO command (uuid, request_type, body_sealed, content_hash, idempotency_key, priority, "
            "not_before, expires_at, created_at, created_by, renderer, is_destructive) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT DO NOTHING RETURNING id",
            command.uuid, command.request_type, self._vault.seal(command.body, _place(command.uuid)),
            command.content_hash, command.idempotency_key, command.priority, stored(command.not_before),
            stored(command.expires_at), stored(at), created_by, command.renderer, int(command.is_destructive),
        )  # fmt: skip
        if row is None:
            return None
        self._bodies.forget(CommandRow(row[0]))
        return CommandRow(row[0])

    async def command(self, tx: Transaction, uuid: CommandUUID) -> CommandRecord | None:
        """The command with this uuid, or None."""
        row = await tx.fetch_one(f"SELECT {_COLUMNS} FROM command WHERE uuid = ?", uuid)
        return None if row is None else _command_of(row)

    async def command_by_idempotency_key(self, tx: Transaction, key: str) -> CommandRecord | None:
        """The command that was enqueued under this key, or None."""
        row = await tx.fetch_one(f"SELECT {_COLUMNS} FROM command WHERE idempotency_key = ?", key)
        return None if row is None else _command_of(row)

    async def body(self, tx: Transaction, command: CommandRow) -> bytes:
        """The command's bytes, as they were enqueued."""
        body = self._bodies.get(command)
        if body is None:
            row = await tx.fetch_one("SELECT uuid, body_sealed FROM command WHERE id = ?", command)
            assert row is not None
            body = self._vault.open(bytes(row[1]), _place(row[0]))
            self._bodies.put(command, body)
        return body

    async def commands(
        self, tx: Transaction, *, request_type: str | None, before: CommandRow | None, limit: int
    ) -> list[CommandRecord]:
        """Commands, newest first."""
        conditions = ["id < ?"]
        parameters: list[str | int] = [2**62 if before is None else before]
        if request_type is not None:
            conditions.append("request_type = ?")
            parameters.append(request_type)
        rows = await tx.fetch_all(
            f"SELECT {_COLUMNS} FROM command WHERE {' AND '.join(conditions)} ORDER BY id DESC LIMIT ?",
            *parameters,
            limit,
        )
        return [_command_of(row) for row in rows]

    async def enqueue(
        self,
        tx: Transaction,
        command: CommandRow,
        targets: Sequence[EnrollmentRow],
        *,
        at: datetime,
        wake_at: datetime | None = None,
    ) -> int:
        """Queue the command for enrollments that do not have it yet, and have them woken; how many were new."""
        marks = ", ".join("?" * len(targets))
        number = await tx.execute(
            "INSERT INTO queue_item (enrollment_id, command_id, state, priority, not_before, expires_at, queued_at) "
            "SELECT e.id, c.id, 'queued', c.priority, c.not_before, c.expires_at, ? "
            f"FROM enrollment e JOIN command c ON c.id = ? WHERE e.id IN ({marks}) AND e.ended_at IS NULL "
            "ORDER BY e.id ON CONFLICT (enrollment_id, command_id) DO NOTHING",
            stored(at),
            command,
            *targets,
        )
        if number:
            await ask_to_wake(tx, targets, at=wake_at or at)
        return number

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
        """Queue it for the next `limit` enabled enrollments of these types; how many, and the last (None: no more)."""
        targets = await next_enabled(tx, after=after, limit=limit, types=types)
        if not targets:
            return 0, None
        number = await self.enqueue(tx, command, targets, at=at, wake_at=wake_at)
        return number, targets[-1] if len(targets) == limit else None


def _place(uuid: str) -> Place:
    return Place("command", uuid, "body")


def _command_of(row: Row) -> CommandRecord:
    return CommandRecord(
        row=CommandRow(row[0]),
        uuid=CommandUUID(row[1]),
        request_type=row[2],
        created_at=loaded(row[3]),
        created_by=row[4],
        idempotency_key=row[5],
        content_hash=bytes(row[6]),
        not_before=loaded(row[7]),
        expires_at=loaded(row[8]),
        priority=row[9],
        is_destructive=bool(row[10]),
    )
