"""The outbox in SQL; bodies are sealed, since they carry what devices sent."""

from datetime import datetime

from mdmserver.outbox.model import OutboxEvent
from mdmserver.storage.times import loaded, stored
from mdmserver.storage.vault import Place, Vault
from mdmserver.transaction import Transaction


class SQLOutboxStore:
    """The OutboxStore of SQLite."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def append(self, tx: Transaction, *, id: str, topic: str, body: bytes, at: datetime) -> None:
        """Keep an event; the same id again changes nothing."""
        await tx.execute(
            "INSERT INTO outbox (id, topic, body_sealed, created_at) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
            id,
            topic,
            self._vault.seal(body, _place(id)),
            stored(at),
        )

    async def claim(self, tx: Transaction, *, at: datetime, until: datetime, limit: int) -> list[OutboxEvent]:
        """Undelivered events that nobody else has claimed, oldest first, claimed until then, one attempt more."""
        rows = await tx.fetch_all(
            "SELECT sequence, id, topic, created_at, attempts, body_sealed FROM outbox "
            "WHERE claimed_until <= ? ORDER BY sequence LIMIT ?",
            stored(at),
            limit,
        )
        await tx.execute_many(
            "UPDATE outbox SET claimed_until = ?, attempts = attempts + 1 WHERE sequence = ?",
            [(stored(until), row[0]) for row in rows],
        )
        return [
            OutboxEvent(
                sequence=row[0],
                id=row[1],
                topic=row[2],
                created_at=loaded(row[3]),
                attempts=row[4] + 1,
                body=self._vault.open(bytes(row[5]), _place(row[1])),
            )
            for row in rows
        ]

    async def delivered(self, tx: Transaction, sequence: int) -> None:
        """The event was heard; it is kept no longer."""
        await tx.execute("DELETE FROM outbox WHERE sequence = ?", sequence)

    async def waiting(self, tx: Transaction) -> int:
        """How many events wait."""
        row = await tx.fetch_one("SELECT count(*) FROM outbox")
        assert row is not None
        return int(row[0])


def _place(id: str) -> Place:
    return Place("outbox", id, "body")
