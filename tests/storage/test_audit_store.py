"""The AuditStore's contract; that tampering is found is tests/security/test_s29."""

import asyncio
from datetime import timedelta
from functools import partial

from mdmserver.audit.model import CHAIN_START
from mdmserver.audit.store import AuditStore
from mdmserver.transaction import Storage
from tests.fleet import ADMIN, START


async def test_records_come_back_whole_and_in_order(storage: Storage, audit: AuditStore) -> None:
    detail: dict[str, str | int | bool | None] = {"b": 1, "a": "text", "none": None, "yes": True}
    append = partial(audit.append, at=START, actor=ADMIN, subject="thing", detail=detail)
    await storage.run(partial(append, action="first"))
    await storage.run(partial(append, action="second"))

    records = await storage.read(partial(audit.records, after=0, limit=9))

    assert [(record.sequence, record.action) for record in records] == [(1, "first"), (2, "second")]
    assert (records[0].at, records[0].actor, records[0].subject, records[0].detail) == (START, ADMIN, "thing", detail)


async def test_each_record_holds_the_hash_of_the_one_before(storage: Storage, audit: AuditStore) -> None:
    append = partial(audit.append, at=START, actor=ADMIN, action="same", subject="same", detail={})
    await asyncio.gather(*(storage.run(append) for _ in range(20)))

    records = await storage.read(partial(audit.records, after=0, limit=99))

    assert [record.previous_hash for record in records] == [CHAIN_START, *(record.hash for record in records[:-1])]
    assert len({record.hash for record in records}) == 20


async def test_records_can_be_read_on_from_any_place(storage: Storage, audit: AuditStore) -> None:
    for number in range(5):
        at = START + timedelta(seconds=number)
        await storage.run(partial(audit.append, at=at, actor=ADMIN, action="step", subject=str(number), detail={}))

    records = await storage.read(partial(audit.records, after=2, limit=2))

    assert [record.sequence for record in records] == [3, 4]
