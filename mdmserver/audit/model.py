"""Who changed what: one record for every change by a person, a key, the CLI or a background decision (S29).

The records form a hash chain: each holds the hash of the one before it. What devices do is in their timeline, not here.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import msgspec

CHAIN_START = b"\0" * 32


class ActorKind(StrEnum):
    """What kind of hand made a change."""

    KEY = "key"
    CLI = "cli"
    BACKGROUND = "background"


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who made a change: an API key's id, the server-side CLI's user, or the name of a background task."""

    kind: ActorKind
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """One change. `detail` holds allow-listed facts (names, ids, counts), never a secret."""

    sequence: int
    at: datetime
    actor: Actor
    action: str
    subject: str
    detail: dict[str, str | int | bool | None]
    previous_hash: bytes
    hash: bytes


def chain_hash(
    previous: bytes, *, sequence: int, at: datetime, actor: Actor, action: str, subject: str, detail: str
) -> bytes:
    """SHA-256 over the record before and every field of this one, each framed so that none can run into the next."""
    fields = [str(sequence), at.isoformat(), actor.kind.value, actor.name, action, subject, detail]
    return hashlib.sha256(previous + msgspec.json.encode(fields)).digest()
