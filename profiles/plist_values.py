"""Which values a profile can hold: checks them and copies them into plain ones, so that nobody changes them later.

Stricter than plistlib, which writes what no device can read: NaN, integers of any length, times without a zone.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from profiles.errors import KeyInvalid

MAX_DEPTH = 64
_INTEGERS = range(-(2**63), 2**64)
# XML 1.0 §2.2: characters that no document can hold, however they are escaped.
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def plist_value(value: object, key: str, *, depth: int = 0) -> Any:
    """A copy in plain types: enums lose their class, tuples become lists, times UTC in whole seconds.

    Line ends in strings become LF, as in every XML document. Raises KeyInvalid, naming the path below `key`.
    """
    match value:
        case bool():
            return value
        case int():
            return _integer(int(value), key)
        case float():
            return _real(value, key)
        case str():
            return _string(str(value), key)
        case bytes() | bytearray():
            return bytes(value)
        case datetime():
            return _date(value, key)
        case Mapping():
            _check_depth(depth, key)
            return {
                _name(name, key): plist_value(item, f"{key}.{name}", depth=depth + 1) for name, item in value.items()
            }
        case list() | tuple():
            _check_depth(depth, key)
            return [plist_value(item, f"{key}[{number}]", depth=depth + 1) for number, item in enumerate(value)]
    raise KeyInvalid(key, f"a plist cannot hold a {type(value).__name__}")


def _integer(value: int, key: str) -> int:
    if value not in _INTEGERS:
        raise KeyInvalid(key, "the integer has more than 64 bits")
    return value


def _real(value: float, key: str) -> float:
    if not math.isfinite(value):
        raise KeyInvalid(key, "not a finite number")
    return value


def _string(value: str, key: str) -> str:
    if _NOT_IN_XML.search(value):
        raise KeyInvalid(key, "a character that XML cannot hold")
    return value.replace("\r\n", "\n").replace("\r", "\n")


def _date(value: datetime, key: str) -> datetime:
    if value.utcoffset() is None:
        raise KeyInvalid(key, "a time without a zone")
    return value.astimezone(UTC).replace(microsecond=0)


def _name(name: object, key: str) -> str:
    if not isinstance(name, str) or not name:
        raise KeyInvalid(key, "a key of a dictionary is not a string, or empty")
    if "\r" in name or _NOT_IN_XML.search(name):
        raise KeyInvalid(key, "a key of a dictionary has a character that XML cannot hold")
    return name


def _check_depth(depth: int, key: str) -> None:
    if depth >= MAX_DEPTH:
        raise KeyInvalid(key, f"nested deeper than {MAX_DEPTH}")
