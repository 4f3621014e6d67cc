"""What the audit trail needs stored."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from mdmserver.audit.model import Actor, AuditRecord
from mdmserver.transaction import Transaction


class AuditStore(Protocol):
    """Appends to the chain and reads it."""

    async def append(
        self,
        tx: Transaction,
        *,
        at: datetime,
        actor: Actor,
        action: str,
        subject: str,
        detail: Mapping[str, str | int | bool | None],
    ) -> None:
        """Add one record at the chain's end. Call it last in a body: the chain's lock is held until the commit."""
        ...

    async def records(self, tx: Transaction, *, after: int, limit: int) -> list[AuditRecord]:
        """Records with a sequence number above `after`, in order."""
        ...
