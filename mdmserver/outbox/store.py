"""What the outbox needs stored."""

from datetime import datetime
from typing import Protocol

from mdmserver.outbox.model import OutboxEvent
from mdmserver.transaction import Transaction


class OutboxStore(Protocol):
    """Events that wait to be delivered."""

    async def append(self, tx: Transaction, *, id: str, topic: str, body: bytes, at: datetime) -> None:
        """Keep an event; the same id again changes nothing."""
        ...

    async def claim(self, tx: Transaction, *, at: datetime, until: datetime, limit: int) -> list[OutboxEvent]:
        """Undelivered events that nobody else has claimed, oldest first, claimed until then, one attempt more."""
        ...

    async def delivered(self, tx: Transaction, sequence: int) -> None:
        """The event was heard; it is kept no longer."""
        ...

    async def waiting(self, tx: Transaction) -> int:
        """How many events wait."""
        ...
