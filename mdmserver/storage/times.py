"""Times as they are stored: whole microseconds since 1970 UTC, which both engines keep and compare alike."""

from datetime import UTC, datetime, timedelta
from typing import overload

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@overload
def stored(at: datetime) -> int: ...
@overload
def stored(at: None) -> None: ...
@overload
def stored(at: datetime | None) -> int | None: ...
def stored(at: datetime | None) -> int | None:
    """The number that stands for an aware datetime; None for None."""
    return None if at is None else (at - _EPOCH) // _MICROSECOND


@overload
def loaded(number: int) -> datetime: ...
@overload
def loaded(number: None) -> None: ...
def loaded(number: int | None) -> datetime | None:
    """The aware UTC datetime behind a stored number; None for None."""
    return None if number is None else _EPOCH + timedelta(microseconds=number)
