"""Times as numbers."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from mdmserver.storage.times import loaded, stored


@given(at=st.datetimes(timezones=st.timezones()))
def test_every_time_comes_back_as_the_same_moment_in_utc(at: datetime) -> None:
    back = loaded(stored(at))

    assert back == at.astimezone(UTC)
    assert back.tzinfo is UTC


def test_none_stands_for_none() -> None:
    assert stored(None) is None
    assert loaded(None) is None


def test_a_zone_other_than_utc_is_the_same_moment() -> None:
    at = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))

    assert loaded(stored(at)) == datetime(2026, 1, 1, 10, tzinfo=UTC)
