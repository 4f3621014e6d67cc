"""Where the time comes from. Everything that needs it takes a `Clock`, so that tests move time by hand."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The present, as an aware UTC datetime."""
    return datetime.now(UTC)
