"""APNs does not answer: the topic rests, a few try, and afterwards every device is pushed exactly once."""

import asyncio
from datetime import timedelta
from itertools import pairwise

from mdmserver.push.topics import RECONNECT_LONGEST, SUSPECT_PUSHES
from tests.fleet import TOPIC
from tests.push.bench import MINUTE, OTHER_TOPIC, Bench, token
from tests.push.fake_gateway import NO_ANSWER

NUMBERS = range(1, 401)
OTHERS = range(401, 501)


def answered(bench: Bench, since: int = 0) -> list[bytes]:
    return sorted(bench.gateway.tokens[since:])


async def test_after_an_outage_every_due_device_is_pushed_exactly_once(bench: Bench) -> None:
    await bench.enroll(*NUMBERS)
    bench.gateway.answer(NO_ANSWER)
    for number in NUMBERS[:5]:
        await bench.queue(number)
    await bench.work_through(seconds=600)
    for _ in range(3):
        await bench.queue(*NUMBERS)
    await bench.work_through(seconds=600)
    tried = len(bench.gateway.pushes)
    bench.gateway.forget_answers()

    await bench.work_through(seconds=120)

    assert answered(bench, tried) == [token(number) for number in NUMBERS]


async def test_an_outage_that_begins_with_hundreds_in_flight_loses_none(bench: Bench) -> None:
    await bench.enroll(*NUMBERS)
    await bench.queue(*NUMBERS)
    bench.gateway.hold()
    await bench.sender.work()
    bench.gateway.answer(NO_ANSWER)
    bench.gateway.release()
    await bench.sender.finish()
    tried = len(bench.gateway.pushes)
    bench.gateway.forget_answers()

    await bench.work_through(seconds=60)

    assert tried == len(NUMBERS)
    assert answered(bench, tried) == [token(number) for number in NUMBERS]


async def test_during_an_outage_only_a_few_try_at_growing_intervals(bench: Bench) -> None:
    await bench.enroll(*NUMBERS)
    bench.gateway.answer(NO_ANSWER)
    await bench.queue(1)
    await bench.work()
    await bench.queue(*NUMBERS)
    tries = []
    for _ in range(300):
        bench.clock.advance(seconds=1)
        if sent := await bench.work():
            tries.append((bench.clock(), sent))

    waits = [(later - earlier).total_seconds() for (earlier, _), (later, _) in pairwise(tries)]
    assert max(sent for _, sent in tries) <= SUSPECT_PUSHES
    assert waits[:4] == [2, 4, 8, 16]
    assert set(waits[4:]) == {RECONNECT_LONGEST.total_seconds()}


async def test_the_first_answer_opens_the_topic_again(bench: Bench) -> None:
    await bench.enroll(*NUMBERS)
    bench.gateway.answer(NO_ANSWER)
    await bench.queue(1)
    await bench.work_through(seconds=100)
    bench.gateway.forget_answers()
    await bench.queue(*NUMBERS)
    bench.clock.now += RECONNECT_LONGEST

    sent = await bench.work()

    assert sent == len(NUMBERS)


async def test_a_push_without_an_answer_is_in_the_timeline_with_its_reason(bench: Bench) -> None:
    await bench.enroll(1)
    bench.gateway.answer(NO_ANSWER)
    await bench.queue(1)

    await bench.work()

    (attempt,) = await bench.attempts(1)
    assert (attempt.outcome.status, attempt.outcome.reason) == (None, NO_ANSWER.reason)


async def test_a_push_without_an_answer_goes_again_under_the_same_id_and_the_next_one_under_another(
    bench: Bench,
) -> None:
    await bench.enroll(1)
    bench.gateway.answer(NO_ANSWER, times=2)
    await bench.queue(1)
    await bench.work_through(seconds=1200)

    first, second, third, fourth = (pushed.apns_id for pushed in bench.gateway.pushes)

    # What had no answer may have arrived: to APNs it is the same push.
    assert first == second == third
    assert fourth != third


async def test_a_topic_that_does_not_answer_holds_no_other_up(bench: Bench) -> None:
    bench.sender.use(frozenset({TOPIC, OTHER_TOPIC}), {})
    await bench.install(OTHER_TOPIC)
    await bench.enroll(*OTHERS, topic=OTHER_TOPIC)
    await bench.enroll(*NUMBERS)
    bench.gateway.answer(NO_ANSWER, topic=OTHER_TOPIC)
    await bench.queue(*OTHERS)
    await bench.work_through(seconds=60)
    await bench.queue(*NUMBERS)

    sent = await bench.work()

    # All of the topic that is well, and no more than a few of the other.
    assert len(NUMBERS) <= sent <= len(NUMBERS) + SUSPECT_PUSHES


async def test_a_topic_that_last_gave_no_answer_and_has_nothing_due_slows_no_other(bench: Bench) -> None:
    bench.sender.use(frozenset({TOPIC, OTHER_TOPIC}), {})
    await bench.enroll(1, topic=OTHER_TOPIC)
    await bench.enroll(*OTHERS)
    bench.gateway.answer(NO_ANSWER, topic=OTHER_TOPIC)
    await bench.queue(1)
    await bench.work()
    await bench.answer_all(1)
    bench.clock.now += MINUTE
    await bench.work()
    await bench.queue(*OTHERS)
    bench.gateway.hold()

    await bench.sender.work()
    await bench.gateway.arrived(1 + len(OTHERS))

    assert bench.gateway.in_flight == len(OTHERS)
    bench.gateway.release()
    await bench.sender.finish()


async def test_devices_of_a_topic_that_rests_are_pushed_when_it_answers_again_not_an_hour_later(bench: Bench) -> None:
    bench.sender.use(frozenset({TOPIC, OTHER_TOPIC}), {})
    await bench.install(OTHER_TOPIC)
    await bench.enroll(*OTHERS, topic=OTHER_TOPIC)
    await bench.enroll(1)
    bench.gateway.answer(NO_ANSWER, topic=OTHER_TOPIC)
    await bench.queue(*OTHERS)
    for _ in range(60):
        await bench.queue(1)
        await bench.work_through(seconds=1)
    tried = len(bench.gateway.pushes)
    bench.gateway.forget_answers()

    await bench.work_through(seconds=2 * RECONNECT_LONGEST.total_seconds())

    others = [pushed.token for pushed in bench.gateway.pushes[tried:] if pushed.topic == OTHER_TOPIC]
    assert sorted(others) == [token(number) for number in OTHERS]


async def test_nothing_is_sent_while_the_topic_rests_though_the_turn_began_before(bench: Bench) -> None:
    await bench.enroll(*NUMBERS)
    bench.gateway.answer(NO_ANSWER)
    await bench.queue(1)
    await bench.work()
    bench.clock.advance(seconds=1)
    await bench.queue(*NUMBERS)
    bench.gateway.hold()
    work = asyncio.create_task(bench.sender.work())
    await bench.gateway.arrived(1 + SUSPECT_PUSHES)

    bench.gateway.release()
    sent = await work
    await bench.sender.finish()

    assert sent == SUSPECT_PUSHES


async def test_an_ask_during_an_outage_does_not_add_a_push(bench: Bench) -> None:
    await bench.enroll(1)
    bench.gateway.answer(NO_ANSWER)
    await bench.queue(1)
    bench.gateway.hold()
    await bench.sender.work()
    await bench.queue(1)
    bench.gateway.release()
    await bench.sender.finish()
    bench.gateway.forget_answers()

    await bench.work_through(seconds=600)

    assert len(bench.gateway.pushes) == 2
    assert await bench.next_in(1) == timedelta(minutes=15) - timedelta(seconds=599)
