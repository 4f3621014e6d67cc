"""The scalar values of a plist, from the text between their tags."""

import math
import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from mdmserver.protocol.errors import PlistMalformed

SMALLEST_INTEGER = -(2**63)
LARGEST_INTEGER = 2**64 - 1

_INTEGER = re.compile(r"[+-]?(?:0[xX](?P<hex>[0-9a-fA-F]{1,16})|[0-9]{1,20})")
_REAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})Z")
_WHITESPACE = b" \t\r\n"

# RFC 4648 §3.5: the last character before the padding, where its unused bits are zero.
_LAST_BEFORE_PADDING = {1: b"AEIMQUYcgkosw048", 2: b"AQgw"}


class MalformedData(bytes):
    """Stands for a <data> that is not base64: empty, so that it does no harm where nobody needs it.

    Whoever does need the value asks for `type(value) is bytes`."""

    __slots__ = ()


def parse_integer(text: str) -> int:
    """Decimal or `0x` hexadecimal, signed or unsigned 64 bits."""
    text = text.strip()
    matched = _INTEGER.fullmatch(text)
    if not matched:
        raise PlistMalformed("an integer that is not one of 64 bits")
    value = int(text, 16 if matched["hex"] else 10)
    if not SMALLEST_INTEGER <= value <= LARGEST_INTEGER:
        raise PlistMalformed("an integer of more than 64 bits")
    return value


def parse_real(text: str) -> float:
    """A finite number; `nan` and infinities are refused, as JSON and databases cannot hold them."""
    text = text.strip()
    if len(text) > 400 or not _REAL.fullmatch(text) or not math.isfinite(value := float(text)):
        raise PlistMalformed("a real that is not a finite number")
    return value


def parse_date(text: str) -> datetime:
    """A whole second in UTC, years 1 to 9999."""
    matched = _DATE.fullmatch(text.strip())
    if not matched:
        raise PlistMalformed("a date that is not of the form YYYY-MM-DDTHH:MM:SSZ")
    year, month, day, hour, minute, second = map(int, matched.groups())
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        raise PlistMalformed("a date that does not exist") from error


def parse_data(text: str) -> bytes:
    """The bytes behind base64, whitespace allowed anywhere; MalformedData for anything else."""
    try:
        encoded = text.encode("ascii").translate(None, _WHITESPACE)
        if encoded.endswith(b"="):
            symbols = encoded.rstrip(b"=")
            padding = -len(symbols) % 4
            if padding and symbols[-1] not in _LAST_BEFORE_PADDING.get(padding, b""):
                return MalformedData()
            if not padding and len(encoded) - len(symbols) == 1:
                # Seen from macOS 10.11: `=` after a length that needs no padding.
                encoded = symbols
        return a2b_base64(encoded, strict_mode=True)
    except (UnicodeEncodeError, Base64Error):
        return MalformedData()


def parse_true(text: str) -> bool:
    """<true/>, which holds nothing."""
    if text.strip():
        raise PlistMalformed("text inside <true>")
    return True


def parse_false(text: str) -> bool:
    """<false/>, which holds nothing."""
    if text.strip():
        raise PlistMalformed("text inside <false>")
    return False


SCALAR_PARSERS: dict[str, Callable[[str], Any]] = {
    "integer": parse_integer,
    "real": parse_real,
    "date": parse_date,
    "data": parse_data,
    "true": parse_true,
    "false": parse_false,
}
