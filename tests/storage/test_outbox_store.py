"""The OutboxStore's contract."""

from datetime import timedelta
from functools import partial

from mdmserver.outbox.store import OutboxStore
from mdmserver.transaction import Storage
from tests.fleet import START

LEASE = timedelta(minutes=1)


async def _append(storage: Storage, outbox: OutboxStore, *ids: str) -> None:
    for id in ids:
        await storage.run(partial(outbox.append, id=id, topic="T", body=id.encode(), at=START))


async def test_events_are_claimed_oldest_first_with_their_bodies(storage: Storage, outbox: OutboxStore) -> None:
    await _append(storage, outbox, "b", "a", "c")

    claimed = await storage.run(lambda tx: outbox.claim(tx, at=START, until=START + LEASE, limit=2))

    assert [(event.id, event.body, event.topic, event.created_at, event.attempts) for event in claimed] == [
        ("b", b"b", "T", START, 1),
        ("a", b"a", "T", START, 1),
    ]


async def test_a_claimed_event_is_nobody_elses_until_the_lease_ends(storage: Storage, outbox: OutboxStore) -> None:
    await _append(storage, outbox, "a")
    await storage.run(lambda tx: outbox.claim(tx, at=START, until=START + LEASE, limit=9))

    early = await storage.run(lambda tx: outbox.claim(tx, at=START + LEASE / 2, until=START + LEASE, limit=9))
    late = await storage.run(lambda tx: outbox.claim(tx, at=START + LEASE, until=START + 2 * LEASE, limit=9))

    assert early == []
    assert [(event.id, event.attempts) for event in late] == [("a", 2)]


async def test_a_delivered_event_is_kept_no_longer(storage: Storage, outbox: OutboxStore) -> None:
    await _append(storage, outbox, "a", "b")
    [event] = await storage.run(lambda tx: outbox.claim(tx, at=START, until=START + LEASE, limit=1))

    await storage.run(lambda tx: outbox.delivered(tx, event.sequence))

    assert await storage.read(outbox.waiting) == 1
    left = await storage.run(lambda tx: outbox.claim(tx, at=START + LEASE, until=START + LEASE, limit=9))
    assert [event.id for event in left] == ["b"]


async def test_the_same_id_again_changes_nothing(storage: Storage, outbox: OutboxStore) -> None:
    await _append(storage, outbox, "a")

    await storage.run(lambda tx: outbox.append(tx, id="a", topic="other", body=b"other", at=START + LEASE))

    [event] = await storage.run(lambda tx: outbox.claim(tx, at=START, until=START, limit=9))
    assert (event.topic, event.body) == ("T", b"a")
