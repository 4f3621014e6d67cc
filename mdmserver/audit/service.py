"""Reads and verifies the audit trail. The services that make changes write the records, in their transactions."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

import msgspec

from mdmserver.audit.model import CHAIN_START, AuditRecord, chain_hash
from mdmserver.audit.store import AuditStore
from mdmserver.paging import Page, checked_limit, decode_cursor, page_of
from mdmserver.transaction import Storage

_CHUNK = 500
_BEFORE_ALL = -(2**63)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What a walk along the chain found; `broken_at` is the first sequence number that does not fit, None if all do."""

    records: int
    broken_at: int | None


class AuditService:
    """The audit trail, as people read it."""

    def __init__(self, *, storage: Storage, audit: AuditStore) -> None:
        self._storage = storage
        self._audit = audit

    async def records(self, *, cursor: str | None, limit: int) -> Page[AuditRecord]:
        """Records, oldest first."""
        after = decode_cursor(cursor) or 0
        rows = await self._storage.read(partial(self._audit.records, after=after, limit=checked_limit(limit) + 1))
        return page_of([(record.sequence, record) for record in rows], limit)

    async def verify(self) -> Verification:
        """Recompute every hash from the chain's start; finds a changed, removed or inserted record."""
        previous, expected = CHAIN_START, 1
        async for record in self._all():
            if record.sequence != expected or record.previous_hash != previous or not _is_intact(record):
                return Verification(records=expected - 1, broken_at=expected)
            previous, expected = record.hash, expected + 1
        return Verification(records=expected - 1, broken_at=None)

    async def _all(self) -> AsyncIterator[AuditRecord]:
        # Ours begin at 1; whatever lies before that, somebody else put there.
        after = _BEFORE_ALL
        while records := await self._storage.read(partial(self._audit.records, after=after, limit=_CHUNK)):
            for record in records:
                yield record
            after = records[-1].sequence


def _is_intact(record: AuditRecord) -> bool:
    return record.hash == chain_hash(
        record.previous_hash,
        sequence=record.sequence,
        at=record.at,
        actor=record.actor,
        action=record.action,
        subject=record.subject,
        detail=msgspec.json.encode(record.detail, order="sorted").decode(),
    )
