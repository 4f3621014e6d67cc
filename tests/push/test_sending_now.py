"""Waking on request: what came of it for each reference, and why none was tried."""

from collections.abc import Callable

import pytest

from mdmserver.errors import Invalid
from mdmserver.protocol import EnrollmentType
from mdmserver.push.service import MOST_AT_ONCE, PushService
from tests.fleet import ADMIN, TOPIC, device_id
from tests.push.bench import OTHER_TOPIC, Bench, token
from tests.push.fake_gateway import BAD_DEVICE_TOKEN, TOO_MANY, UNREGISTERED


def _service_of(bench: Bench, topics: Callable[[], frozenset[str]]) -> PushService:
    return PushService(
        storage=bench.storage,
        push=bench.push,
        devices=bench.devices,
        audit=bench.audit,
        sender=bench.sender,
        clock=bench.clock,
        topics=topics,
    )


@pytest.fixture
def service(bench: Bench) -> PushService:
    """The verbs, with a certificate for one topic."""
    return _service_of(bench, lambda: frozenset({TOPIC}))


def named(*numbers: int) -> list[str]:
    return [str(device_id(number)) for number in numbers]


async def test_the_answer_of_apns_is_told_for_each(bench: Bench, service: PushService) -> None:
    await bench.enroll(1, 2)
    bench.gateway.answer(TOO_MANY, token=token(2))

    sent = await service.send(named(1, 2), actor=ADMIN)

    assert {reference: outcome.status for reference, outcome in sent.outcomes.items()} == {
        named(1)[0]: 200,
        named(2)[0]: 429,
    }
    assert sent.refused == {}
    assert [record.action for record in await bench.audited()] == ["push.send"]


async def test_those_that_cannot_be_pushed_are_told_with_a_reason(bench: Bench, service: PushService) -> None:
    await bench.enroll(1)
    await bench.authenticate(2)
    await bench.enroll(3)
    await bench.end(3)
    await bench.enroll(4, topic=OTHER_TOPIC)

    sent = await service.send([*named(1, 2, 3, 4), "unknown"], actor=ADMIN)

    assert list(sent.outcomes) == named(1)
    assert sent.refused == {
        named(2)[0]: "not_enrolled",
        named(3)[0]: "not_enrolled",
        named(4)[0]: "no_push_certificate",
        "unknown": "not_found",
    }


async def test_a_token_that_nobody_can_read_is_said_to_be_missing(bench: Bench, service: PushService) -> None:
    await bench.enroll(1)
    await bench.storage.run(lambda tx: tx.execute("UPDATE enrollment SET push_token_sealed = NULL"))

    sent = await service.send(named(1), actor=ADMIN)

    assert sent.refused == {named(1)[0]: "no_push_token"}


async def test_one_device_under_two_names_is_pushed_once(bench: Bench, service: PushService) -> None:
    await bench.enroll(1)

    sent = await service.send([str(device_id(1)), device_id(1).key, str(device_id(1))], actor=ADMIN)

    assert len(bench.gateway.pushes) == 1
    assert set(sent.outcomes) == {str(device_id(1)), device_id(1).key}


async def test_a_stopped_token_is_tried_when_a_person_asks_and_revived_when_it_is_accepted(
    bench: Bench, service: PushService
) -> None:
    await bench.enroll(1)
    await bench.queue(1)
    bench.gateway.answer(UNREGISTERED, times=1)
    await bench.work()

    await service.send(named(1), actor=ADMIN)

    standing = await bench.standing(1)
    assert len(bench.gateway.pushes) == 2
    assert standing.stopped_at is None
    assert standing.next_at is not None


async def test_a_refused_token_is_tried_when_a_person_asks_and_then_daily_again(
    bench: Bench, service: PushService
) -> None:
    await bench.enroll(1)
    await bench.queue(1)
    bench.gateway.answer(BAD_DEVICE_TOKEN)
    await bench.work()
    bench.clock.advance(hours=1)

    await service.send(named(1), actor=ADMIN)

    wait = await bench.next_in(1)
    assert len(bench.gateway.pushes) == 2
    assert wait is not None
    assert wait.total_seconds() == 86_400


async def test_a_push_on_request_is_the_push_for_what_waits(bench: Bench, service: PushService) -> None:
    await bench.enroll(1)
    await bench.queue(1)

    await service.send(named(1), actor=ADMIN)
    await bench.work_through(seconds=60)

    assert len(bench.gateway.pushes) == 1


async def test_a_push_on_request_with_nothing_waiting_is_not_repeated(bench: Bench, service: PushService) -> None:
    await bench.enroll(1)

    await service.send(named(1), actor=ADMIN)
    await bench.work_through(seconds=86_400, step=600)

    assert len(bench.gateway.pushes) == 1
    assert await bench.next_in(1) is None


@pytest.mark.parametrize("number", [0, MOST_AT_ONCE + 1])
async def test_too_few_and_too_many_are_refused(service: PushService, number: int) -> None:
    with pytest.raises(Invalid, match=str(number)):
        await service.send(["x"] * number, actor=ADMIN)


async def test_everyone_is_woken_at_the_servers_pace(bench: Bench, service: PushService) -> None:
    numbers = range(1, 121)
    await bench.enroll(*numbers)

    asked = await service.send_to_everyone(types=frozenset({EnrollmentType.DEVICE}), actor=ADMIN)
    await bench.work()

    assert asked == len(numbers)
    assert sorted(bench.gateway.tokens) == [token(number) for number in numbers]
    (record,) = await bench.audited()
    assert record.detail == {"targets": len(numbers), "everyone": True}


async def test_everyone_of_a_type_that_nobody_has_is_nobody(bench: Bench, service: PushService) -> None:
    await bench.enroll(1)

    assert await service.send_to_everyone(types=frozenset({EnrollmentType.USER}), actor=ADMIN) == 0


async def test_old_pushes_are_forgotten_and_young_ones_kept(bench: Bench, service: PushService) -> None:
    await bench.enroll(1)
    await bench.queue(1)
    for _ in range(40):
        await bench.work()
        bench.clock.advance(days=1)

    forgotten = await service.forget_old_attempts()

    kept = await service.attempts(bench.rows[1], limit=100)
    assert forgotten == 10
    assert len(kept) == 30
    assert (bench.clock() - kept[-1].at).days == 30


async def test_those_that_came_by_themselves_are_revived(bench: Bench, service: PushService) -> None:
    await bench.enroll(1, 2)
    await bench.queue(1, 2)
    bench.gateway.answer(UNREGISTERED, times=2)
    await bench.work()
    bench.clock.advance(minutes=1)

    revived = await service.revive({bench.rows[1]: bench.clock()})

    assert revived == 1
    assert (await service.counts()).stopped == 1
    assert await service.revive({}) == 0
