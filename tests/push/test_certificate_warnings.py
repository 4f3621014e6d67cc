"""Operators hear in time that a push certificate ends: at 60, 30, 14, 7 and 1 days, and daily in the last week."""

import logging
from datetime import timedelta

import pytest

from mdmserver.push.certificates import days_left, is_to_warn, warned_at
from mdmserver.web.services import Services
from tests.fleet import START, TOPIC, FakeClock
from tests.push.identities import install


def test_days_are_counted_whole() -> None:
    assert days_left(START + timedelta(days=2, hours=1), START) == 2
    assert days_left(START + timedelta(hours=23), START) == 0
    assert days_left(START - timedelta(hours=1), START) == -1


@pytest.mark.parametrize(
    ("days", "stage"),
    [(61, None), (60, 60), (31, 60), (30, 30), (14, 14), (8, 14), (7, 7), (2, 7), (1, 1), (0, 1), (-5, 1)],
)
def test_stage_is_the_nearest_that_has_come(days: int, stage: int | None) -> None:
    assert warned_at(days) == stage


def test_a_year_of_days_warns_at_the_stages_and_daily_at_the_end() -> None:
    warned: list[int] = []
    for days in range(365, -3, -1):
        if is_to_warn(days, before=warned[-1] if warned else None):
            warned.append(days)

    assert warned == [60, 30, 14, 7, 6, 5, 4, 3, 2, 1, 0, -1, -2]


def test_same_day_is_not_warned_of_twice_and_a_late_start_at_once() -> None:
    assert not is_to_warn(7, before=7)
    assert is_to_warn(25, before=None)
    assert not is_to_warn(100, before=None)


async def test_log_tells_once_with_topic_and_fingerprint(
    services: Services, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    installed = await install(services, until=START + timedelta(days=30, hours=1))

    with caplog.at_level(logging.WARNING):
        await services.push_certificates.warn()
        await services.push_certificates.warn()
        clock.advance(days=31)
        await services.push_certificates.warn()

    records = [record for record in caplog.records if record.name == "mdmserver.push.certificates"]
    assert [record.message for record in records] == ["push_certificate_expiring", "push_certificate_expired"]
    assert {record.__dict__["topic"] for record in records} == {TOPIC}
    assert {record.__dict__["fingerprint"] for record in records} == {installed.fingerprint}


async def test_certificate_that_was_renewed_is_not_warned_of(
    services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    await install(services, until=START + timedelta(days=5))
    await install(services, until=START + timedelta(days=365))

    with caplog.at_level(logging.WARNING):
        await services.push_certificates.warn()

    assert "push_certificate" not in caplog.text
