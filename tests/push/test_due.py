"""When an enrollment is woken: at once when asked, again while something is open, never for nothing."""

import asyncio
from datetime import timedelta
from functools import partial

import pytest

from mdmserver.push.model import REPUSH_AFTER
from mdmserver.push.sender import GAP
from mdmserver.transaction import Transaction
from tests.fleet import TOPIC
from tests.push.bench import MINUTE, Bench, token

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


async def test_a_command_wakes_its_enrollment(bench: Bench) -> None:
    await bench.enroll(1, 2)
    await bench.queue(1)

    await bench.work()

    assert bench.gateway.tokens == [token(1)]
    assert bench.gateway.pushes[0].topic == TOPIC
    assert bench.gateway.pushes[0].notification.magic.reveal() == "magic 1"
    assert bench.gateway.pushes[0].notification.expires_at == bench.clock() + 7 * DAY
    assert bench.gateway.pushes[0].notification.priority == 10


async def test_a_command_whose_transaction_fails_wakes_nobody(bench: Bench) -> None:
    await bench.enroll(1)

    async def body(tx: Transaction) -> None:
        await bench.push.ask(tx, [bench.rows[1]], at=bench.clock())
        raise LookupError("rolled back")

    with pytest.raises(LookupError):
        await bench.storage.run(body)

    assert await bench.work() == 0
    assert await bench.next_in(1) is None


async def test_what_is_asked_for_is_due_as_soon_as_the_command_is_there(bench: Bench) -> None:
    await bench.enroll(1)

    await bench.queue(1)

    assert await bench.next_in(1) == timedelta(0)


async def test_many_asks_before_a_push_make_one_push(bench: Bench) -> None:
    await bench.enroll(1)
    for _ in range(20):
        await bench.queue(1)

    await bench.work_through(seconds=60)

    assert bench.gateway.tokens == [token(1)]


async def test_asks_while_a_push_is_in_flight_make_exactly_one_more_after_the_gap(bench: Bench) -> None:
    await bench.enroll(1)
    await bench.queue(1)
    bench.gateway.hold()
    await bench.sender.work()
    for _ in range(5):
        await bench.queue(1)
    await bench.sender.work()
    bench.gateway.release()
    await bench.sender.finish()

    bench.clock.advance(seconds=GAP.total_seconds() - 0.1)
    early = await bench.work()
    bench.clock.advance(seconds=0.1)
    await bench.work_through(seconds=600)

    assert early == 0
    assert bench.gateway.tokens == [token(1)] * 2


async def test_an_ask_right_after_a_push_waits_for_the_gap(bench: Bench) -> None:
    await bench.enroll(1)
    await bench.queue(1)
    await bench.work()

    await bench.queue(1)

    assert await bench.next_in(1) == GAP


async def test_what_stays_open_is_pushed_again_after_growing_times_and_then_daily(bench: Bench) -> None:
    await bench.enroll(1)
    await bench.queue(1)
    waits = []
    for _ in range(6):
        assert await bench.work() == 1
        wait = await bench.next_in(1)
        assert wait is not None
        bench.clock.advance(seconds=wait.total_seconds() - 1)
        assert await bench.work() == 0
        bench.clock.advance(seconds=1)
        waits.append(wait)

    assert waits == [15 * MINUTE, HOUR, 4 * HOUR, DAY, DAY, DAY]


async def test_a_command_put_off_with_not_now_is_pushed_for_again(bench: Bench) -> None:
    await bench.enroll(1)
    await bench.queue(1)
    await bench.work()

    await bench.put_off(1)
    bench.clock.advance(minutes=15)

    assert await bench.work() == 1


async def test_a_new_ask_begins_the_steps_anew(bench: Bench) -> None:
    await bench.enroll(1)
    await bench.queue(1)
    await bench.work()
    bench.clock.advance(minutes=15)
    await bench.work()

    await bench.queue(1)
    bench.clock.advance(seconds=2)
    await bench.work()

    assert await bench.next_in(1) == REPUSH_AFTER[0]


async def test_an_enrollment_with_nothing_open_is_not_woken_again(bench: Bench) -> None:
    await bench.enroll(1)
    await bench.queue(1)
    await bench.work()
    await bench.answer_all(1)

    await bench.work_through(seconds=3 * 86_400, step=600)

    assert len(bench.gateway.pushes) == 1
    assert await bench.next_in(1) is None


async def test_a_command_that_was_answered_before_the_push_went_wakes_nobody(bench: Bench) -> None:
    await bench.enroll(1)
    await bench.queue(1)
    await bench.answer_all(1)

    assert await bench.work() == 0


async def test_an_expired_command_wakes_nobody(bench: Bench) -> None:
    await bench.enroll(1)
    await bench.queue(1, expires_at=bench.clock() + MINUTE)
    bench.clock.advance(minutes=1)

    assert await bench.work() == 0


async def test_a_command_for_later_wakes_at_its_time(bench: Bench) -> None:
    await bench.enroll(1)
    await bench.queue(1, not_before=bench.clock() + HOUR)

    early = await bench.work_through(seconds=3599, step=60)
    bench.clock.now = bench.clock.now.replace(hour=1, minute=0, second=0)

    assert early == 0
    assert await bench.work() == 1


@pytest.mark.parametrize("later", [timedelta(seconds=30), 5 * MINUTE, 10 * MINUTE, 2 * HOUR])
async def test_a_command_for_later_is_told_of_at_its_time_though_another_is_pushed_for_before(
    bench: Bench, later: timedelta
) -> None:
    await bench.enroll(1)
    await bench.queue(1, not_before=bench.clock() + later)
    end = bench.clock() + later
    await bench.queue(1)
    await bench.work()
    while (wait := await bench.next_in(1)) is not None and bench.clock() + wait < end:
        bench.clock.now += wait
        await bench.work()

    assert wait is not None
    assert bench.clock() + wait == end


@pytest.mark.parametrize("later", [timedelta(seconds=30), 5 * MINUTE, 2 * HOUR])
async def test_a_command_for_later_that_comes_during_a_push_makes_no_push_before_its_time(
    bench: Bench, later: timedelta
) -> None:
    await bench.enroll(1)
    await bench.queue(1)
    bench.gateway.hold()
    await bench.sender.work()
    await bench.queue(1, not_before=bench.clock() + later)
    bench.gateway.release()
    await bench.sender.finish()

    assert await bench.next_in(1) == min(later, 15 * MINUTE)


async def test_a_command_whose_time_comes_during_a_push_makes_one_more(bench: Bench) -> None:
    await bench.enroll(1)
    await bench.queue(1)
    await bench.queue(1, not_before=bench.clock() + timedelta(seconds=30))
    bench.gateway.hold()
    await bench.sender.work()
    await bench.gateway.arrived(1)
    bench.clock.advance(seconds=31)
    bench.gateway.release()
    await bench.sender.finish()

    assert await bench.next_in(1) == GAP


async def test_a_device_that_is_left_asleep_is_pushed_after_a_quarter_of_an_hour(bench: Bench) -> None:
    await bench.enroll(1)
    await bench.queue(1, wake_at=bench.clock() + 15 * MINUTE)

    early = await bench.work_through(seconds=899, step=29)
    bench.clock.advance(seconds=60)

    assert early == 0
    assert await bench.work() == 1


async def test_a_device_that_is_left_asleep_is_still_pushed_for_what_waited_before(bench: Bench) -> None:
    await bench.enroll(1)
    await bench.queue(1)
    await bench.queue(1, wake_at=bench.clock() + 15 * MINUTE)

    assert await bench.work() == 1


async def test_a_device_without_a_token_is_woken_when_it_sends_one(bench: Bench) -> None:
    await bench.authenticate(1)
    await bench.queue(1)
    assert await bench.work() == 0
    assert await bench.next_in(1) is None

    await bench.token_update(1)

    assert await bench.work() == 1


async def test_a_device_that_somebody_asked_for_is_woken_when_it_sends_a_token(bench: Bench) -> None:
    await bench.authenticate(1)
    await bench.storage.run(lambda tx: bench.push.ask(tx, [bench.rows[1]], at=bench.clock()))
    assert await bench.work() == 0

    await bench.token_update(1)

    assert await bench.work() == 1


async def test_a_device_that_ended_is_not_woken(bench: Bench) -> None:
    await bench.enroll(1)
    await bench.queue(1)

    await bench.end(1)

    assert await bench.work() == 0
    assert await bench.next_in(1) is None


async def test_an_ended_device_cannot_be_asked_for(bench: Bench) -> None:
    await bench.enroll(1)
    await bench.end(1)

    await bench.storage.run(partial(bench.push.ask, enrollments=[bench.rows[1]], at=bench.clock()))

    assert await bench.next_in(1) is None


async def test_a_person_wakes_a_device_for_which_nothing_waits_once(bench: Bench) -> None:
    await bench.enroll(1)
    await bench.storage.run(partial(bench.push.ask, enrollments=[bench.rows[1]], at=bench.clock()))

    await bench.work_through(seconds=2 * 86_400, step=300)

    assert bench.gateway.tokens == [token(1)]


async def test_everyone_of_a_type_is_asked_for_in_chunks(bench: Bench) -> None:
    await bench.enroll(*range(1, 8))
    await bench.authenticate(8)
    await bench.end(3)
    ask_all = partial(bench.push.ask_all, limit=3, types=frozenset({"Device"}), at=bench.clock())
    asked, after = await bench.storage.run(partial(ask_all, after=bench.rows[1]))
    rest, last = await bench.storage.run(partial(ask_all, after=after or bench.rows[1]))

    await bench.work()

    assert (asked, after, rest, last) == (3, bench.rows[5], 2, None)
    assert sorted(bench.gateway.tokens) == [token(number) for number in (2, 4, 5, 6, 7)]


async def test_hundreds_of_due_devices_are_each_pushed_once(bench: Bench) -> None:
    numbers = range(1, 601)
    await bench.enroll(*numbers)
    await bench.queue(*numbers)

    await bench.work()

    assert sorted(bench.gateway.tokens) == [token(number) for number in numbers]
    assert bench.gateway.most_in_flight <= 500


async def test_no_more_than_its_concurrency_are_in_flight(bench: Bench) -> None:
    numbers = range(1, 601)
    await bench.enroll(*numbers)
    await bench.queue(*numbers)
    bench.gateway.hold()

    work = asyncio.create_task(bench.sender.work())
    await bench.gateway.arrived(500)
    in_flight = bench.gateway.in_flight
    bench.gateway.release()
    await work
    await bench.sender.finish()

    assert in_flight == 500
    assert bench.gateway.most_in_flight == 500
    assert len(bench.gateway.pushes) == 600
