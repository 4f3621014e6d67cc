"""What subscribers must hear, written in the transaction in which it happened; delivering it is a later slice."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxEvent:
    """One event for one subscription. `body` is opaque here and sealed at rest; `id` stays the same at every try."""

    sequence: int
    id: str
    topic: str
    created_at: datetime
    attempts: int
    body: bytes = field(repr=False)
