"""The PushStore's contract where the sender does not show it: rows looked at, topics without room, certificates."""

from datetime import timedelta
from functools import partial

import pytest

from mdmserver.push.model import Due, StoredRequest
from mdmserver.push.topics import Room
from mdmserver.secret import Secret
from mdmserver.storage.push import LOOK_AGAIN, LOOK_AGAIN_SOON
from mdmserver.storage.vault import Vault
from mdmserver.transaction import Storage
from tests.fleet import START, TOPIC, FakeClock
from tests.push.bench import MINUTE, OTHER_TOPIC, Bench, token

STUCK = range(1, 101)


@pytest.fixture
def bench(storage: Storage, vault: Vault, clock: FakeClock) -> Bench:
    """Enrollments, commands and the store."""
    return Bench(storage, vault, clock)


async def claimed(bench: Bench, *, limit: int, **rooms: Room) -> tuple[list[Due], int]:
    now = bench.clock()
    named = {TOPIC if name == "topic" else OTHER_TOPIC: room for name, room in rooms.items()}
    claim = partial(bench.push.claim, rooms=named, at=now, until=now + 2 * MINUTE, limit=limit)
    return await bench.storage.run(claim)


def room(number: int, again_at: object = START) -> Room:
    return Room(number=number, again_at=again_at)  # type: ignore[arg-type]  # a datetime, or one that is not looked at


async def test_the_longest_due_comes_first(bench: Bench) -> None:
    await bench.enroll(1, 2, 3)
    for number in (2, 3, 1):
        await bench.queue(number)
        bench.clock.advance(seconds=1)

    due, looked_at = await claimed(bench, limit=2, topic=room(100))

    assert [each.token.reveal() for each in due] == [token(2), token(3)]
    assert looked_at == 2


async def test_what_a_claim_gives_is_what_the_push_needs(bench: Bench) -> None:
    await bench.enroll(1)
    await bench.queue(1)

    (due,) = await bench.claim()

    assert (due.topic, due.token.reveal(), due.magic.reveal()) == (TOPIC, token(1), "magic 1")
    assert (due.token_since, due.last_seen_at) == (START, START)
    assert (due.asks, due.step, due.failures) == (1, 0, 0)


async def test_stuck_rows_at_the_front_do_not_starve_the_rest(bench: Bench) -> None:
    await bench.enroll(*STUCK, topic=OTHER_TOPIC)
    await bench.queue(*STUCK)
    bench.clock.advance(seconds=1)
    await bench.enroll(200)
    await bench.queue(200)

    first, looked_at = await claimed(bench, limit=100, topic=room(100))
    second, _ = await claimed(bench, limit=100, topic=room(100))

    assert (first, looked_at) == ([], 100)
    assert [each.token.reveal() for each in second] == [token(200)]


async def test_the_sender_goes_past_stuck_rows_in_one_turn(bench: Bench) -> None:
    await bench.enroll(*STUCK, topic=OTHER_TOPIC)
    await bench.queue(*STUCK)
    bench.clock.advance(seconds=1)
    await bench.enroll(200)
    await bench.queue(200)

    await bench.work()

    assert bench.gateway.tokens == [token(200)]


async def test_a_topic_without_a_certificate_is_looked_at_again_later(bench: Bench) -> None:
    await bench.enroll(1, topic=OTHER_TOPIC)
    await bench.queue(1)

    await claimed(bench, limit=10, topic=room(10))

    assert await bench.next_in(1) == LOOK_AGAIN


async def test_a_topic_whose_certificate_the_caller_does_not_know_yet_is_looked_at_again_soon(bench: Bench) -> None:
    await bench.install(OTHER_TOPIC)
    await bench.enroll(1, topic=OTHER_TOPIC)
    await bench.queue(1)

    await claimed(bench, limit=10, topic=room(10))

    assert await bench.next_in(1) == LOOK_AGAIN_SOON


async def test_a_halted_topic_is_looked_at_again_later(bench: Bench) -> None:
    await bench.install(OTHER_TOPIC)
    await bench.storage.run(partial(bench.push.halt, topic=OTHER_TOPIC, reason="X", at=START))
    await bench.enroll(1, topic=OTHER_TOPIC)
    await bench.queue(1)

    await claimed(bench, limit=10, topic=room(10))

    assert await bench.next_in(1) == LOOK_AGAIN


async def test_beyond_the_room_on_a_topic_rows_come_back_when_it_says(bench: Bench) -> None:
    await bench.enroll(1, 2, 3)
    await bench.enroll(4, topic=OTHER_TOPIC)
    await bench.queue(1, 2, 3, 4)

    due, _ = await claimed(bench, limit=10, topic=room(2, START + MINUTE), other=room(10))

    waits = {number: await bench.next_in(number) for number in (1, 2, 3)}
    assert sorted(each.token.reveal() for each in due) == [token(1), token(2), token(4)]
    assert waits[3] == MINUTE


async def test_a_new_certificate_makes_due_what_waits_on_its_topic_alone(bench: Bench) -> None:
    await bench.enroll(1, 2)
    await bench.enroll(3, topic=OTHER_TOPIC)
    await bench.queue(1, 3)
    await claimed(bench, limit=10)

    woken = await bench.storage.run(partial(bench.push.revive_topic, topic=TOPIC, at=bench.clock()))

    assert woken == 1
    assert [await bench.next_in(number) for number in (1, 2, 3)] == [timedelta(0), None, LOOK_AGAIN]


async def test_forgetting_takes_no_more_than_asked_for_and_only_what_is_old(bench: Bench) -> None:
    await bench.enroll(*range(1, 11))
    await bench.queue(*range(1, 11))
    await bench.work()
    bench.clock.advance(minutes=15)
    await bench.work()
    forget = partial(bench.push.forget_attempts, before=START + MINUTE, limit=7)

    numbers = [await bench.storage.run(forget) for _ in range(3)]

    assert numbers == [7, 3, 0]
    assert [len(await bench.attempts(number)) for number in range(1, 11)] == [1] * 10


async def test_a_certificate_takes_the_place_of_the_one_before_on_its_topic(bench: Bench) -> None:
    await bench.install(TOPIC, fingerprint="f1")
    await bench.install(OTHER_TOPIC, fingerprint="f2")
    await bench.storage.run(partial(bench.push.halt, topic=TOPIC, reason="X", at=START))
    await bench.install(TOPIC, fingerprint="f3")

    certificates = await bench.certificates()

    # In the order in which the topics came, and not halted any more.
    assert [(each.topic, each.fingerprint, each.halted_at) for each in certificates] == [
        (TOPIC, "f3", None),
        (OTHER_TOPIC, "f2", None),
    ]


async def test_a_certificate_comes_back_as_it_was_kept(bench: Bench) -> None:
    await bench.install()

    (certificate,) = await bench.certificates()
    key = await bench.storage.read(partial(bench.push.key, topic=TOPIC))

    assert certificate.certificate == b"PEM"
    assert (certificate.not_before, certificate.not_after) == (START, START + timedelta(days=365))
    assert (certificate.installed_at, certificate.installed_by) == (START, "me")
    assert key == Secret(b"key")


async def test_a_halt_is_kept_with_its_reason_and_taken_back(bench: Bench) -> None:
    await bench.install()
    await bench.storage.run(partial(bench.push.halt, topic=TOPIC, reason="X", at=START))
    (halted,) = await bench.certificates()
    await bench.storage.run(partial(bench.push.halt, topic=TOPIC, reason=None, at=START))
    (resumed,) = await bench.certificates()

    assert (halted.halted_at, halted.halted_reason) == (START, "X")
    assert (resumed.halted_at, resumed.halted_reason) == (None, None)


async def test_requests_come_back_newest_first_until_they_are_used(bench: Bench) -> None:
    plain = StoredRequest(id="1", csr=b"csr", key=Secret(b"key"), created_at=START, created_by="me")
    mailed = StoredRequest(
        id="2", csr=b"csr 2", key=Secret(b"key 2"), reply_certificate=b"reply", reply_key=Secret(b"reply key"),
        created_at=START + MINUTE, created_by="you",
    )  # fmt: skip
    for request in (plain, mailed):
        await bench.storage.run(partial(bench.push.insert_request, request=request))

    both = await bench.storage.read(bench.push.requests)
    await bench.storage.run(partial(bench.push.request_used, id="2", at=START))
    left = await bench.storage.read(bench.push.requests)

    assert both == [mailed, plain]
    assert left == [plain]
