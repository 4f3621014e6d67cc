"""A topic on which APNs refuses alike is halted: nothing is held against a device, and it heals by itself."""

import asyncio
import logging
from datetime import timedelta

import pytest

from mdmserver.errors import NotFound
from mdmserver.push.model import Outcome
from mdmserver.push.sender import PROBE_AFTER
from mdmserver.push.topics import LONG_SILENT, TOLERATED
from tests.fleet import ADMIN, TOPIC
from tests.push.bench import OTHER_TOPIC, Bench, token
from tests.push.certificate_bench import CertificateBench, certificates_of
from tests.push.fake_gateway import ACCEPTED, BAD_DEVICE_TOKEN, NOT_FOR_TOPIC, UNREGISTERED

FORBIDDEN = Outcome(status=403, reason="BadCertificateEnvironment")
NUMBERS = range(1, 101)


@pytest.fixture
async def certificates(bench: Bench) -> CertificateBench:
    """The service that heals and resumes, with a certificate for the topic of the bench."""
    installed = certificates_of(bench)
    await installed.install_for(TOPIC)
    return installed


async def halted_by(bench: Bench, outcome: Outcome) -> None:
    """A hundred devices, and the same refusal for all."""
    await bench.enroll(*NUMBERS)
    await bench.queue(*NUMBERS)
    bench.gateway.answer(outcome)
    await bench.work()


async def unmarked(bench: Bench) -> bool:
    """Whether each is due now and none is stopped."""
    standings = [await bench.standing(number) for number in NUMBERS]
    return all(each.stopped_at is None and each.next_at is not None for each in standings)


@pytest.mark.parametrize("outcome", [BAD_DEVICE_TOKEN, NOT_FOR_TOPIC, UNREGISTERED, FORBIDDEN])
@pytest.mark.usefixtures("certificates")
async def test_many_alike_refusals_halt_the_topic_and_mark_nothing(bench: Bench, outcome: Outcome) -> None:
    await halted_by(bench, outcome)

    (certificate,) = await bench.certificates()
    assert certificate.halted_at is not None
    assert outcome.reason is not None
    assert outcome.reason in (certificate.halted_reason or "")
    assert await unmarked(bench)


@pytest.mark.usefixtures("certificates")
async def test_refusals_that_were_in_flight_at_the_halt_mark_nothing_either(bench: Bench) -> None:
    await bench.enroll(*NUMBERS)
    await bench.queue(*NUMBERS)
    bench.gateway.hold()
    bench.gateway.answer(UNREGISTERED)
    await bench.sender.work()
    await bench.gateway.arrived(len(NUMBERS))

    bench.gateway.release()
    await bench.sender.finish()

    assert len(bench.gateway.pushes) == len(NUMBERS)
    assert await unmarked(bench)
    assert (await bench.counts()).stopped == 0


@pytest.mark.usefixtures("certificates")
async def test_a_halted_topic_is_pushed_no_more(bench: Bench) -> None:
    await halted_by(bench, BAD_DEVICE_TOKEN)
    pushed = len(bench.gateway.pushes)

    await bench.queue(*NUMBERS)
    await bench.work_through(seconds=600, step=60)

    assert len(bench.gateway.pushes) == pushed


@pytest.mark.usefixtures("certificates")
async def test_what_is_spared_is_due_at_once(bench: Bench) -> None:
    await bench.enroll(*range(1, TOLERATED + 2))
    await bench.queue(*range(1, TOLERATED + 2))
    bench.gateway.answer(BAD_DEVICE_TOKEN)

    await bench.work()

    assert [await bench.next_in(number) for number in range(1, TOLERATED + 2)] == [timedelta(0)] * (TOLERATED + 1)


@pytest.mark.usefixtures("certificates")
async def test_as_many_refusals_as_are_tolerated_halt_nothing(bench: Bench) -> None:
    await bench.enroll(*range(1, 51))
    for number in range(1, TOLERATED + 1):
        bench.gateway.answer(BAD_DEVICE_TOKEN, token=token(number))
    await bench.queue(*range(1, 51))

    await bench.work()

    (certificate,) = await bench.certificates()
    assert certificate.halted_at is None
    assert await bench.next_in(1) == timedelta(days=1)


@pytest.mark.usefixtures("certificates")
async def test_refusals_for_different_reasons_halt_nothing(bench: Bench) -> None:
    await bench.enroll(*range(1, 2 * TOLERATED + 1))
    for number in range(1, TOLERATED + 1):
        bench.gateway.answer(BAD_DEVICE_TOKEN, token=token(number))
        bench.gateway.answer(UNREGISTERED, token=token(number + TOLERATED))
    await bench.queue(*range(1, 2 * TOLERATED + 1))

    await bench.work()

    (certificate,) = await bench.certificates()
    assert certificate.halted_at is None
    assert (await bench.counts()).stopped == TOLERATED


@pytest.mark.parametrize("outcome", [UNREGISTERED, BAD_DEVICE_TOKEN])
@pytest.mark.usefixtures("certificates")
async def test_refusals_of_devices_that_were_silent_for_long_halt_nothing(bench: Bench, outcome: Outcome) -> None:
    await bench.enroll(*NUMBERS)
    bench.clock.now += LONG_SILENT + timedelta(seconds=1)
    await bench.queue(*NUMBERS)
    bench.gateway.answer(outcome)

    await bench.work()

    (certificate,) = await bench.certificates()
    assert certificate.halted_at is None
    assert len(bench.gateway.pushes) == len(NUMBERS)


@pytest.mark.usefixtures("certificates")
async def test_throttling_and_failures_of_apns_halt_nothing(bench: Bench) -> None:
    await bench.enroll(*NUMBERS)
    await bench.queue(*NUMBERS)
    bench.gateway.answer(lambda _topic, _: Outcome(status=429 if len(bench.gateway.pushes) % 2 else 503, reason="X"))

    await bench.work()

    (certificate,) = await bench.certificates()
    assert certificate.halted_at is None


async def test_a_halt_of_one_topic_leaves_the_others_alone(bench: Bench, certificates: CertificateBench) -> None:
    await certificates.install_for(OTHER_TOPIC)
    bench.gateway.answer(BAD_DEVICE_TOKEN, topic=TOPIC)
    await bench.enroll(*range(101, 201), topic=OTHER_TOPIC)
    await bench.enroll(*NUMBERS)
    await bench.queue(*NUMBERS)
    await bench.queue(*range(101, 201))

    await bench.work()

    assert {each.topic for each in await bench.certificates() if each.halted_at} == {TOPIC}
    others = [pushed.token for pushed in bench.gateway.pushes if pushed.topic == OTHER_TOPIC]
    assert sorted(others) == [token(number) for number in range(101, 201)]


@pytest.mark.usefixtures("certificates")
async def test_a_halt_is_an_alarm_and_an_audit_record(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)

    await halted_by(bench, BAD_DEVICE_TOKEN)

    (alarm,) = [record for record in caplog.records if record.message == "push_halted"]
    assert alarm.__dict__["topic"] == TOPIC
    record = (await bench.audited())[-1]
    assert (record.action, record.subject) == ("push.halt", TOPIC)
    assert "production and sandbox" in str(record.detail["reason"])


async def test_a_probe_that_is_accepted_heals_the_topic_and_wakes_each_device_once(
    bench: Bench, certificates: CertificateBench
) -> None:
    await halted_by(bench, BAD_DEVICE_TOKEN)
    bench.gateway.forget_answers()
    pushed = len(bench.gateway.pushes)
    bench.clock.now += PROBE_AFTER

    await certificates.service.heal()
    await bench.work()
    bench.clock.advance(minutes=1)
    await bench.work()

    (certificate,) = await bench.certificates()
    assert certificate.halted_at is None
    assert sorted(bench.gateway.tokens[pushed:]) == [token(number) for number in NUMBERS]


async def test_a_probe_that_is_refused_changes_nothing_and_comes_again_later(
    bench: Bench, certificates: CertificateBench
) -> None:
    await halted_by(bench, UNREGISTERED)
    pushed = len(bench.gateway.pushes)
    for _ in range(61):
        await certificates.service.load()
        await certificates.service.heal()
        bench.clock.advance(minutes=1)

    # After 15, 30, 45 and 60 minutes, however often storage is looked at meanwhile.
    assert len(bench.gateway.pushes) == pushed + 4
    assert await unmarked(bench)


async def test_no_probe_goes_before_its_time(bench: Bench, certificates: CertificateBench) -> None:
    await halted_by(bench, BAD_DEVICE_TOKEN)
    pushed = len(bench.gateway.pushes)
    bench.clock.now += PROBE_AFTER - timedelta(seconds=1)

    await certificates.service.heal()

    assert len(bench.gateway.pushes) == pushed


async def test_a_probe_goes_to_the_device_that_was_seen_last(bench: Bench, certificates: CertificateBench) -> None:
    await halted_by(bench, BAD_DEVICE_TOKEN)
    bench.clock.now += PROBE_AFTER
    await bench.token_update(42)

    await certificates.service.heal()

    assert bench.gateway.tokens[-1] == token(42)


async def test_resuming_pushes_again_at_once(bench: Bench, certificates: CertificateBench) -> None:
    await halted_by(bench, BAD_DEVICE_TOKEN)
    bench.gateway.forget_answers()
    pushed = len(bench.gateway.pushes)

    await certificates.service.resume(TOPIC, actor=ADMIN)
    await bench.work()

    assert sorted(bench.gateway.tokens[pushed:]) == [token(number) for number in NUMBERS]
    assert (await bench.audited())[-1].action == "push.resume"


async def test_resuming_does_not_push_again_what_was_accepted(bench: Bench, certificates: CertificateBench) -> None:
    await bench.enroll(*NUMBERS)
    bench.gateway.answer(BAD_DEVICE_TOKEN)
    bench.gateway.answer(ACCEPTED, token=token(1))
    await bench.queue(1)
    await bench.work()
    await bench.queue(*NUMBERS[1:])
    await bench.work()
    bench.gateway.forget_answers()

    await certificates.service.resume(TOPIC, actor=ADMIN)
    await bench.work()

    assert bench.gateway.tokens.count(token(1)) == 1


async def test_a_topic_that_is_still_refused_after_resuming_is_halted_again(
    bench: Bench, certificates: CertificateBench
) -> None:
    await halted_by(bench, BAD_DEVICE_TOKEN)

    await certificates.service.resume(TOPIC, actor=ADMIN)
    await bench.work()

    (certificate,) = await bench.certificates()
    assert certificate.halted_at is not None
    assert await unmarked(bench)


async def test_installing_a_certificate_ends_the_halt(bench: Bench, certificates: CertificateBench) -> None:
    await halted_by(bench, FORBIDDEN)
    bench.gateway.forget_answers()
    pushed = len(bench.gateway.pushes)

    await certificates.install_for(TOPIC, common_name="renewed")
    await bench.work()

    assert sorted(bench.gateway.tokens[pushed:]) == [token(number) for number in NUMBERS]


@pytest.mark.usefixtures("certificates")
async def test_a_restart_keeps_the_halt(bench: Bench) -> None:
    await halted_by(bench, BAD_DEVICE_TOKEN)
    pushed = len(bench.gateway.pushes)

    bench.sender = bench.new_sender()
    restarted = certificates_of(bench)
    await restarted.service.load()
    await bench.work()

    assert len(bench.gateway.pushes) == pushed
    assert restarted.service.all[0].halted_reason is not None


async def test_looking_into_storage_during_a_halt_does_not_end_it(bench: Bench, certificates: CertificateBench) -> None:
    await bench.enroll(*NUMBERS)
    await bench.queue(*NUMBERS)
    bench.gateway.answer(BAD_DEVICE_TOKEN)

    await asyncio.gather(bench.work(), *(certificates.service.load() for _ in range(20)))
    pushed = len(bench.gateway.pushes)
    await bench.queue(*NUMBERS)
    await bench.work()

    assert len(bench.gateway.pushes) == pushed
    assert await unmarked(bench)


async def test_a_person_may_push_on_a_halted_topic_and_the_refusal_marks_nothing(
    bench: Bench, certificates: CertificateBench
) -> None:
    await halted_by(bench, UNREGISTERED)
    await certificates.service.load()

    outcomes = await bench.sender.send_now([bench.rows[1]])

    assert outcomes[bench.rows[1]].status == 410
    assert (await bench.standing(1)).stopped_at is None


async def test_resuming_a_topic_without_a_certificate_is_refused(certificates: CertificateBench) -> None:
    with pytest.raises(NotFound, match="no push certificate"):
        await certificates.service.resume(OTHER_TOPIC, actor=ADMIN)
