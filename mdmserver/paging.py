"""One page of a list and the cursor to the next. Cursors are opaque to callers and hold no secret."""

import base64
import binascii
from dataclasses import dataclass
from typing import Generic, TypeVar

from mdmserver.errors import Invalid

T = TypeVar("T")
MAXIMUM_PAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """Some items in order; `next_cursor` is None on the last page."""

    items: list[T]
    next_cursor: str | None


def encode_cursor(position: int) -> str:
    """The cursor that goes on after the row with this number."""
    return base64.urlsafe_b64encode(b"1:%d" % position).decode().rstrip("=")


def decode_cursor(cursor: str | None) -> int | None:
    """The row number a cursor stands for; None for None. Raises Invalid for anything else than our own cursors."""
    if cursor is None:
        return None
    try:
        version, _, number = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).partition(b":")
        position = int(number)
    except (binascii.Error, ValueError) as error:
        raise Invalid("the cursor is not one this server gave", code="invalid_cursor") from error
    if version != b"1" or not 0 <= position < 2**63:
        raise Invalid("the cursor is not one this server gave", code="invalid_cursor")
    return position


def page_of(rows: list[tuple[int, T]], limit: int) -> Page[T]:
    """A page from rows fetched with `limit + 1`: the extra row only tells that there is more."""
    shown = rows[:limit]
    more = len(rows) > limit
    return Page(items=[item for _, item in shown], next_cursor=encode_cursor(shown[-1][0]) if more else None)


def checked_limit(limit: int) -> int:
    """The limit itself; raises Invalid outside 1..1000."""
    if not 1 <= limit <= MAXIMUM_PAGE:
        raise Invalid(f"limit must be between 1 and {MAXIMUM_PAGE}, not {limit}", code="invalid_limit")
    return limit
