"""A claim is a lease: nothing is pushed twice without a crash, nothing is lost with one."""

import asyncio
import logging
from datetime import timedelta

import pytest

from mdmserver.background import Job, running
from mdmserver.errors import Unavailable
from mdmserver.push.sender import CLAIM_TIME
from tests.push.bench import Bench, token
from tests.push.failing_storage import FailingStorage
from tests.push.fake_gateway import BAD_DEVICE_TOKEN

NUMBERS = range(1, 301)


@pytest.fixture
def failing(bench: Bench) -> FailingStorage:
    """The storage of the bench's sender."""
    storage = FailingStorage(bench.storage)
    bench.sender = bench.new_sender(storage=storage)
    return storage


async def test_two_senders_on_one_database_push_each_device_once(bench: Bench) -> None:
    await bench.enroll(*NUMBERS)
    await bench.queue(*NUMBERS)
    senders = [bench.sender, bench.new_sender(), bench.new_sender()]

    sent = await asyncio.gather(*(sender.work() for sender in senders))
    await asyncio.gather(*(sender.finish() for sender in senders))

    assert sorted(bench.gateway.tokens) == [token(number) for number in NUMBERS]
    assert sum(sent) == len(NUMBERS)
    assert all(sent)


async def test_what_is_claimed_is_nobody_elses_while_the_claim_lasts(bench: Bench) -> None:
    await bench.enroll(1)
    await bench.queue(1)
    first = await bench.claim()
    bench.clock.now += CLAIM_TIME - timedelta(microseconds=1)

    assert len(first) == 1
    assert await bench.claim() == []


async def test_an_ask_during_a_claim_does_not_break_it(bench: Bench) -> None:
    await bench.enroll(1)
    await bench.queue(1)
    await bench.claim()

    await bench.queue(1)

    assert await bench.claim() == []


async def test_after_a_crash_a_push_goes_again_under_the_same_id(bench: Bench) -> None:
    await bench.enroll(1)
    await bench.queue(1)
    (lost,) = await bench.claim()
    bench.clock.now += CLAIM_TIME

    await bench.work()

    assert [pushed.apns_id for pushed in bench.gateway.pushes] == [lost.apns_id]


async def test_a_push_without_an_answer_goes_again_under_the_same_id(bench: Bench) -> None:
    await bench.enroll(1)
    await bench.queue(1)
    bench.gateway.hold()
    await bench.sender.work()
    await bench.gateway.arrived(1)
    await bench.sender.finish(at_most_seconds=0)
    bench.gateway.release()
    bench.clock.now += CLAIM_TIME

    await bench.work()

    first, second = bench.gateway.pushes
    assert first.apns_id == second.apns_id


async def test_at_the_end_answers_that_come_in_time_are_recorded(bench: Bench) -> None:
    await bench.enroll(1, 2)
    await bench.queue(1, 2)
    bench.gateway.hold()
    await bench.sender.work()
    await bench.gateway.arrived(2)
    bench.gateway.release(token=token(1))

    await bench.sender.finish(at_most_seconds=0.01)

    assert len(await bench.attempts(1)) == 1
    assert await bench.attempts(2) == []
    assert bench.gateway.in_flight == 0
    assert bench.gateway.cancelled == 1


async def test_work_that_is_cancelled_as_a_job_leaves_nothing_that_is_not_pushed(bench: Bench) -> None:
    await bench.enroll(*NUMBERS)
    await bench.queue(*NUMBERS)
    work = Job(name="push", work=bench.sender.work, every_seconds=0)
    finish = Job(name="push", work=bench.sender.finish, every_seconds=0)
    async with running([work], at_the_end=[finish]):
        await bench.gateway.arrived(50)

    # What was claimed by a turn that never heard of it waits for the claim's end.
    bench.clock.now += CLAIM_TIME
    await bench.work(bench.new_sender())

    assert sorted(bench.gateway.tokens) == [token(number) for number in NUMBERS]


async def test_a_claim_that_storage_cannot_make_is_raised_once_and_loses_nothing(
    bench: Bench, failing: FailingStorage
) -> None:
    await bench.enroll(1)
    await bench.queue(1)
    failing.fails = {"claim"}
    with pytest.raises(Unavailable):
        await bench.sender.work()
    refused = failing.refused
    failing.fails = set()

    await bench.work()

    assert refused == 1
    assert bench.gateway.tokens == [token(1)]


async def test_outcomes_that_storage_cannot_take_are_written_at_the_next_turn(
    bench: Bench, failing: FailingStorage, caplog: pytest.LogCaptureFixture
) -> None:
    await bench.enroll(*NUMBERS)
    await bench.queue(*NUMBERS)
    failing.fails = {"record"}
    await bench.work()
    tries = failing.refused
    failing.fails = set()

    await bench.work()
    bench.clock.now += CLAIM_TIME
    await bench.work()

    assert sorted(bench.gateway.tokens) == [token(number) for number in NUMBERS]
    assert [len(await bench.attempts(number)) for number in NUMBERS] == [1] * len(NUMBERS)
    # Not once per outcome for ever: at most one try for each answer that came, and one at the end.
    assert 1 <= tries <= len(NUMBERS) + 1
    assert "push_not_recorded" in caplog.text


async def test_outcomes_that_storage_could_not_take_need_no_other_push_to_be_written(
    bench: Bench, failing: FailingStorage
) -> None:
    await bench.enroll(1)
    await bench.queue(1)
    failing.fails = {"record"}
    await bench.work()
    failing.fails = set()

    await bench.sender.work()
    async with asyncio.timeout(20):
        while not await bench.attempts(1):
            pass

    assert len(bench.gateway.pushes) == 1


async def test_an_outcome_that_can_never_be_written_does_not_keep_the_others(
    bench: Bench, failing: FailingStorage, caplog: pytest.LogCaptureFixture
) -> None:
    await bench.enroll(1, 2)
    await bench.queue(1)
    failing.fails, failing.error = {"record"}, LookupError("a defect")
    await bench.work()
    failing.fails = set()
    await bench.queue(2)

    await bench.work()

    assert len(await bench.attempts(2)) == 1
    assert "a defect" in caplog.text


async def test_a_gateway_that_fails_in_an_unknown_way_ends_only_that_push(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    await bench.enroll(1, 2)
    await bench.queue(1, 2)
    bench.gateway.answer(LookupError("a defect"), token=token(1), times=1)

    await bench.work()
    bench.clock.now += CLAIM_TIME
    await bench.work()

    assert bench.gateway.tokens.count(token(1)) == 2
    assert bench.gateway.tokens.count(token(2)) == 1
    assert "push_failed" in caplog.text


async def test_a_failure_of_storage_between_push_and_record_repeats_the_push_after_a_crash_only(
    bench: Bench, failing: FailingStorage
) -> None:
    await bench.enroll(1)
    await bench.queue(1)
    failing.fails = {"record"}
    await bench.work()
    bench.clock.now += CLAIM_TIME

    await bench.work(bench.new_sender())

    first, second = bench.gateway.pushes
    assert first.apns_id == second.apns_id


async def test_a_halt_that_storage_cannot_take_holds_and_is_written_at_the_next_turn(
    bench: Bench, failing: FailingStorage
) -> None:
    await bench.install()
    await bench.enroll(*NUMBERS)
    await bench.queue(*NUMBERS[:20])
    bench.gateway.answer(BAD_DEVICE_TOKEN)
    failing.fails = {"_halt_written"}
    await bench.work()
    (unwritten,) = await bench.certificates()
    await bench.queue(*NUMBERS[20:])
    with pytest.raises(Unavailable):
        await bench.sender.work()
    pushed = len(bench.gateway.pushes)
    failing.fails = set()

    await bench.work()

    (written,) = await bench.certificates()
    assert unwritten.halted_at is None
    assert written.halted_at is not None
    assert len(bench.gateway.pushes) == pushed
    assert [entry.action for entry in await bench.audited()] == ["push.halt"]
