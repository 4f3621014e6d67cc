"""The audit chain in SQL."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from mdmserver.audit.model import CHAIN_START, Actor, ActorKind, AuditRecord, chain_hash
from mdmserver.storage.times import loaded, stored
from mdmserver.transaction import Row, Transaction


class SQLAuditStore:
    """The AuditStore of SQLite, whose single writer is the chain's lock."""

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
        """Add one record at the chain's end."""
        last = await tx.fetch_one("SELECT sequence, hash FROM audit_record ORDER BY sequence DESC LIMIT 1")
        sequence, previous = (last[0] + 1, bytes(last[1])) if last is not None else (1, CHAIN_START)
        # Stored times are whole microseconds; the hash is over what can be read back.
        kept_at, text = stored(at), _text_of(dict(detail))
        hash_ = chain_hash(
            previous, sequence=sequence, at=loaded(kept_at), actor=actor, action=action, subject=subject, detail=text
        )
        await tx.execute(
            "INSERT INTO audit_record "
            "(sequence, at, actor_kind, actor_name, action, subject, detail, previous_hash, hash) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            sequence, kept_at, actor.kind.value, actor.name, action, subject, text, previous, hash_,
        )  # fmt: skip

    async def records(self, tx: Transaction, *, after: int, limit: int) -> list[AuditRecord]:
        """Records with a sequence number above `after`, in order."""
        rows = await tx.fetch_all(
            "SELECT sequence, at, actor_kind, actor_name, action, subject, detail, previous_hash, hash "
            "FROM audit_record WHERE sequence > ? ORDER BY sequence LIMIT ?",
            after,
            limit,
        )
        return [_record_of(row) for row in rows]


def _record_of(row: Row) -> AuditRecord:
    try:
        at, kind = loaded(row[1]), ActorKind(row[2])
        detail = msgspec.json.decode(row[6], type=dict[str, str | int | bool | None])
    except (ValueError, OverflowError, msgspec.DecodeError):
        return _unreadable(row)
    if _text_of(detail) != row[6]:
        return _unreadable(row)
    return AuditRecord(
        sequence=row[0],
        at=at,
        actor=Actor(kind=kind, name=row[3]),
        action=row[4],
        subject=row[5],
        detail=detail,
        previous_hash=bytes(row[7]),
        hash=bytes(row[8]),
    )


def _unreadable(row: Row) -> AuditRecord:
    # Somebody was at the row: it is listed without what cannot be read, and its hash, which fits nothing, tells.
    return AuditRecord(
        sequence=row[0],
        at=loaded(0),
        actor=Actor(kind=ActorKind.BACKGROUND, name="unreadable"),
        action="unreadable",
        subject="",
        detail={},
        previous_hash=bytes(row[7]),
        hash=bytes(row[8]),
    )


def _text_of(detail: Mapping[str, str | int | bool | None]) -> str:
    return msgspec.json.encode(detail, order="sorted").decode()
