"""What becomes of an enrollment after each answer of APNs, and what revives a token that was given up."""

from datetime import timedelta

import pytest

from mdmserver.push.model import Outcome, PushCounts
from tests.push.bench import MINUTE, Bench, token
from tests.push.fake_gateway import (
    BAD_DEVICE_TOKEN,
    NOT_FOR_TOPIC,
    SERVER_ERROR,
    TOO_MANY,
    UNREGISTERED,
)

DAY = timedelta(days=1)


async def refused(bench: Bench, outcome: Outcome) -> None:
    """One enrollment with something open, and this answer to its first push."""
    await bench.enroll(1)
    bench.clock.advance(hours=1)
    await bench.queue(1)
    bench.gateway.answer(outcome)
    await bench.work()
    bench.gateway.forget_answers()


async def test_an_accepted_push_is_in_the_timeline_with_its_id(bench: Bench) -> None:
    await bench.enroll(1)
    await bench.queue(1)

    await bench.work()

    (attempt,) = await bench.attempts(1)
    standing = await bench.standing(1)
    assert attempt.at == bench.clock()
    assert attempt.outcome == Outcome(status=200, apns_id=bench.gateway.pushes[0].apns_id)
    assert (standing.status, standing.accepted_at, standing.pushed_at) == (200, bench.clock(), bench.clock())
    assert standing.apns_id == bench.gateway.pushes[0].apns_id


async def test_each_push_has_an_id_of_its_own_in_lower_case(bench: Bench) -> None:
    await bench.enroll(1)
    await bench.queue(1)
    await bench.work()
    bench.clock.advance(minutes=15)
    await bench.work()

    first, second = (pushed.apns_id for pushed in bench.gateway.pushes)

    assert first != second
    assert first == first.lower()


async def test_a_dead_token_is_pushed_to_no_more(bench: Bench) -> None:
    await refused(bench, UNREGISTERED)

    await bench.queue(1)
    await bench.work_through(seconds=3 * 86_400, step=3_600)

    assert len(bench.gateway.pushes) == 1
    assert (await bench.standing(1)).stopped_at is not None
    assert await bench.next_in(1) is None
    assert await bench.counts() == PushCounts(due=0, waiting=0, stopped=1)


async def test_a_410_about_an_earlier_registration_stops_nothing(bench: Bench) -> None:
    await bench.enroll(1)
    before = bench.clock() - timedelta(seconds=1)
    await bench.queue(1)
    bench.gateway.answer(Outcome(status=410, reason="Unregistered", timestamp=before), times=1)

    await bench.work_through(seconds=10)

    assert len(bench.gateway.pushes) == 2
    assert (await bench.standing(1)).status == 200


async def test_a_dead_token_is_revived_when_the_device_connects_by_itself(bench: Bench) -> None:
    await refused(bench, UNREGISTERED)
    bench.clock.advance(seconds=1)

    assert await bench.connected(1) == 1

    assert await bench.work() == 1
    assert (await bench.standing(1)).stopped_at is None


async def test_a_connect_before_the_refusal_revives_nothing(bench: Bench) -> None:
    await refused(bench, UNREGISTERED)
    bench.clock.advance(seconds=-1)

    assert await bench.connected(1) == 0


async def test_a_connect_of_a_device_that_is_well_changes_nothing(bench: Bench) -> None:
    await bench.enroll(1, 2)
    await bench.queue(1)
    await bench.work()
    before = await bench.standing(1)
    bench.clock.advance(seconds=1)

    assert await bench.connected(1) == 0

    assert await bench.standing(1) == before


async def test_a_device_that_connects_with_nothing_open_is_revived_and_not_pushed(bench: Bench) -> None:
    await refused(bench, UNREGISTERED)
    await bench.answer_all(1)
    bench.clock.advance(seconds=1)

    await bench.connected(1)

    assert await bench.work() == 0
    assert (await bench.standing(1)).stopped_at is None


@pytest.mark.parametrize("outcome", [UNREGISTERED, BAD_DEVICE_TOKEN, NOT_FOR_TOPIC, TOO_MANY])
async def test_a_token_update_revives(bench: Bench, outcome: Outcome) -> None:
    await refused(bench, outcome)

    await bench.token_update(1, value=b"a new token")

    assert await bench.work() == 1
    assert bench.gateway.tokens == [token(1), b"a new token"]


async def test_a_token_update_during_a_push_that_is_then_refused_is_not_stopped(bench: Bench) -> None:
    await bench.enroll(1)
    await bench.queue(1)
    bench.gateway.hold()
    bench.gateway.answer(UNREGISTERED, token=token(1))
    await bench.sender.work()
    await bench.token_update(1, value=b"a new token")
    bench.gateway.release()
    await bench.sender.finish()
    bench.clock.advance(seconds=2)

    await bench.work()

    assert bench.gateway.tokens == [token(1), b"a new token"]
    assert (await bench.standing(1)).stopped_at is None


@pytest.mark.parametrize("outcome", [BAD_DEVICE_TOKEN, NOT_FOR_TOPIC])
async def test_a_bad_token_is_tried_once_a_day_however_often_it_is_asked_for(bench: Bench, outcome: Outcome) -> None:
    await refused(bench, outcome)
    bench.gateway.answer(outcome)
    for _ in range(6 * 24 * 3):
        await bench.queue(1)
        await bench.work()
        bench.clock.advance(minutes=10)

    # At once, and at the end of each of three days but the last.
    assert len(bench.gateway.pushes) == 3
    assert (await bench.standing(1)).stopped_at is None


async def test_a_bad_token_that_is_asked_for_during_the_push_is_tried_a_day_later(bench: Bench) -> None:
    await bench.enroll(1)
    await bench.queue(1)
    bench.gateway.hold()
    bench.gateway.answer(BAD_DEVICE_TOKEN)
    await bench.sender.work()
    await bench.queue(1)
    bench.gateway.release()
    await bench.sender.finish()

    assert await bench.next_in(1) == DAY


@pytest.mark.parametrize("outcome", [TOO_MANY, SERVER_ERROR, Outcome(status=503, reason="ServiceUnavailable")])
async def test_a_passing_failure_is_tried_again_after_growing_waits(bench: Bench, outcome: Outcome) -> None:
    await bench.enroll(1)
    await bench.queue(1)
    bench.gateway.answer(outcome)
    waits = []
    for _ in range(12):
        await bench.work()
        wait = await bench.next_in(1)
        assert wait is not None
        waits.append(wait.total_seconds())
        bench.clock.now += wait

    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]


async def test_the_wait_after_a_failure_is_spread_over_half_of_it(bench: Bench) -> None:
    await bench.enroll(1)
    await bench.queue(1)
    bench.gateway.answer(TOO_MANY)

    await bench.work(bench.new_sender(jitter=0.0))

    assert await bench.next_in(1) == timedelta(seconds=1)


async def test_asking_does_not_shorten_the_wait_after_a_failure(bench: Bench) -> None:
    await refused(bench, TOO_MANY)

    await bench.queue(1)

    assert await bench.next_in(1) == timedelta(seconds=2)


async def test_an_accepted_push_ends_the_row_of_failures(bench: Bench) -> None:
    await refused(bench, TOO_MANY)
    bench.clock.advance(seconds=2)
    await bench.work()
    bench.clock.advance(minutes=15)
    bench.gateway.answer(TOO_MANY)

    await bench.work()

    assert await bench.next_in(1) == timedelta(seconds=2)


async def test_a_failure_does_not_count_as_a_step_of_pushing_again(bench: Bench) -> None:
    await refused(bench, TOO_MANY)
    bench.clock.advance(seconds=2)

    await bench.work()

    assert await bench.next_in(1) == 15 * MINUTE


async def test_a_refused_ask_of_a_person_is_tried_again_though_nothing_waits(bench: Bench) -> None:
    await bench.enroll(1)
    bench.gateway.answer(TOO_MANY, times=1)
    await bench.storage.run(lambda tx: bench.push.ask(tx, [bench.rows[1]], at=bench.clock()))

    await bench.work_through(seconds=3600, step=10)

    assert len(bench.gateway.pushes) == 2


async def test_a_device_that_was_deleted_during_its_push_gets_no_timeline(bench: Bench) -> None:
    await bench.enroll(1)
    await bench.queue(1)
    bench.gateway.hold()
    await bench.sender.work()
    await bench.end(1)
    await bench.storage.run(lambda tx: bench.devices.forget(tx, bench.rows[1], at=bench.clock()))
    bench.gateway.release()

    await bench.sender.finish()

    assert await bench.attempts(1) == []


async def test_counts_tell_due_waiting_and_stopped(bench: Bench) -> None:
    await bench.enroll(1, 2, 3, 4)
    bench.gateway.answer(UNREGISTERED, token=token(1))
    await bench.queue(1, 2)
    await bench.work()
    await bench.queue(3)

    assert await bench.counts() == PushCounts(due=1, waiting=2, stopped=1)
