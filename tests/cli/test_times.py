"""Times as they are typed and shown."""

from datetime import UTC, datetime, timedelta

import click
import pytest

from mdmserver.cli.times import Duration, Moment, ago, rfc3339

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("36h", 129600), ("2d", 172800), ("1w", 604800), ("1d12h", 129600)]
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert Duration().convert(text, None, None) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "2", "d", "2 d", "-2d", "2d later", "1.5h", "999999999999999999d"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Duration().convert(text, None, None)


def test_a_moment_is_a_duration_from_now_or_a_time_with_an_offset() -> None:
    moments = [Moment().convert(text, None, None) for text in ("2d", "2026-05-03T14:00:00+02:00")]

    assert [rfc3339(moment, now=NOW) for moment in moments] == ["2026-05-03T12:00:00Z"] * 2
    assert rfc3339(None, now=NOW) is None


@pytest.mark.parametrize("text", ["2026-05-03T14:00:00", "tomorrow"])
def test_a_time_without_an_offset_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Moment().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (None, "–"),
        ("2026-05-01T12:00:00Z", "now"),
        ("2026-05-01T11:59:15Z", "45 s ago"),
        ("2026-05-01T11:57:00Z", "3 min ago"),
        ("2026-05-01T10:00:00+00:00", "2 h ago"),
        ("2026-04-30T12:00:00Z", "1 day ago"),
        ("2026-05-04T12:00:00Z", "in 3 days"),
        ("2024-05-01T12:00:00Z", "2 years ago"),
        ("no time", "no time"),
        ("2026-05-01T12:00:00", "2026-05-01T12:00:00"),
    ],
)
def test_times_are_shown_relative_to_now(text: str | None, shown: str) -> None:
    assert ago(text, now=NOW) == shown
