"""The rules by themselves: what an answer means, how long to wait."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdmserver.push.certificates import days_left, warned_at
from mdmserver.push.model import (
    RETRY_FIRST,
    RETRY_LONGEST,
    Fate,
    Notification,
    Outcome,
    PushIdentity,
    StoredRequest,
    fate_of,
    repush_after,
    retry_after,
)
from mdmserver.secret import Secret
from tests.fleet import START

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("outcome", "fate"),
    [
        (Outcome(status=200), Fate.ACCEPTED),
        (Outcome(status=410, reason="Unregistered"), Fate.STOPPED),
        (Outcome(status=410, reason="ExpiredToken"), Fate.STOPPED),
        (Outcome(status=410, reason="Unregistered", timestamp=START - SECOND), Fate.RETRIED),
        (Outcome(status=410, reason="Unregistered", timestamp=START), Fate.STOPPED),
        (Outcome(status=410, reason="Unregistered", timestamp=START + SECOND), Fate.STOPPED),
        (Outcome(status=400, reason="BadDeviceToken"), Fate.DAILY),
        (Outcome(status=400, reason="DeviceTokenNotForTopic"), Fate.DAILY),
        (Outcome(status=400, reason="BadTopic"), Fate.RETRIED),
        (Outcome(status=403, reason="Forbidden"), Fate.RETRIED),
        (Outcome(status=429, reason="TooManyRequests"), Fate.RETRIED),
        (Outcome(status=503, reason="Shutdown"), Fate.RETRIED),
        (Outcome(status=None, reason="timed out"), Fate.RETRIED),
    ],
)
def test_what_an_answer_means_for_a_token(outcome: Outcome, fate: Fate) -> None:
    assert fate_of(outcome, token_since=START) is fate


def test_a_410_with_a_time_stops_a_token_of_unknown_age() -> None:
    assert fate_of(Outcome(status=410, timestamp=START), token_since=None) is Fate.STOPPED


@given(failures=st.integers(1, 10_000), jitter=st.floats(0, 1))
def test_the_wait_after_failures_is_bounded_and_spread(failures: int, jitter: float) -> None:
    wait = retry_after(failures, jitter=jitter)
    whole = retry_after(failures, jitter=1)

    assert RETRY_FIRST / 2 <= wait <= RETRY_LONGEST
    assert whole / 2 <= wait <= whole


def test_the_wait_doubles_up_to_a_quarter_of_an_hour() -> None:
    waits = [retry_after(failures, jitter=1).total_seconds() for failures in range(1, 12)]

    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]


def test_the_first_push_again_is_after_a_quarter_of_an_hour_and_every_later_one_after_a_day() -> None:
    assert [repush_after(step) for step in (1, 2, 3, 4, 5, 99)] == [
        timedelta(minutes=15), timedelta(hours=1), timedelta(hours=4),
        timedelta(days=1), timedelta(days=1), timedelta(days=1),
    ]  # fmt: skip


def test_operators_are_warned_at_the_nearest_day_that_has_come() -> None:
    warnings = {days: warned_at(days) for days in (61, 60, 31, 30, 14, 8, 7, 2, 1, 0, -5)}

    assert warnings == {61: None, 60: 60, 31: 60, 30: 30, 14: 14, 8: 14, 7: 7, 2: 7, 1: 1, 0: 1, -5: 1}


def test_days_are_counted_down_and_negative_after_the_end() -> None:
    assert days_left(START + timedelta(days=2), START) == 2
    assert days_left(START + timedelta(days=2), START + SECOND) == 1
    assert days_left(START, START + SECOND) == -1


@pytest.mark.parametrize(
    "value",
    [
        Notification(token=Secret(b"canary"), magic=Secret("canary"), apns_id="id", expires_at=START),
        PushIdentity(topic="topic", certificate=b"canary", key=Secret(b"canary"), fingerprint="f"),
        StoredRequest(
            id="1", csr=b"canary", key=Secret(b"canary"), reply_certificate=b"canary", reply_key=Secret(b"canary"),
            created_at=START, created_by="me",
        ),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_no_secret_is_in_the_text_of_a_value(value: object) -> None:
    assert "canary" not in f"{value!r} {value}"
