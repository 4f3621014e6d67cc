"""The audit chain in SQL."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from mdmserver.audit.model import CHAIN_START, Actor, ActorKind, AuditRecord, chain_hash
from mdmserver.storage.times import loaded, stored
from mdmserver.transaction import Transaction


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
        kept_at, text = stored(at), msgspec.json.encode(dict(detail), order="sorted").decode()
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
        return [
            AuditRecord(
                sequence=row[0],
                at=loaded(row[1]),
                actor=Actor(kind=ActorKind(row[2]), name=row[3]),
                action=row[4],
                subject=row[5],
                detail=msgspec.json.decode(row[6]),
                previous_hash=bytes(row[7]),
                hash=bytes(row[8]),
            )
            for row in rows
        ]
