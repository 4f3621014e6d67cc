"""XML property lists from values: what goes to devices, and what the simulator sends."""

import math
import plistlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from mdmserver.protocol.errors import PlistMalformed, PlistTooLarge
from mdmserver.protocol.plist_guard import DEFAULT_LIMITS
from mdmserver.protocol.plist_values import LARGEST_INTEGER, SMALLEST_INTEGER

# XML 1.0 §2.2: what is not a character in a document, however it is written.
_NO_XML_CHARACTER = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def dumps(value: Mapping[str, Any]) -> bytes:
    """The XML plist of `value`; keys keep their order, times must be aware and lose their microseconds.

    In strings, characters that XML does not know become U+FFFD, and carriage returns become line feeds. Raises
    PlistMalformed for what a plist cannot hold (None among it), PlistTooLarge where `loads` would for the depth."""
    return plistlib.dumps(_plain(value, DEFAULT_LIMITS.depth), sort_keys=False)


def _plain(value: Any, levels: int) -> Any:
    match value:
        case bool():
            return value
        case str():
            return _NO_XML_CHARACTER.sub("\ufffd", value)
        case int() if SMALLEST_INTEGER <= value <= LARGEST_INTEGER:
            return int(value)
        case float() if math.isfinite(value):
            return value
        case bytes() | bytearray():
            return bytes(value)
        case datetime() if value.tzinfo is not None:
            return value.astimezone(UTC).replace(tzinfo=None)
        case Mapping() | list() | tuple():
            return _plain_container(value, levels)
    raise PlistMalformed(f"a plist cannot hold this {type(value).__name__}")


def _plain_container(value: Mapping[Any, Any] | list[Any] | tuple[Any, ...], levels: int) -> Any:
    if not levels:
        raise PlistTooLarge(f"nested deeper than {DEFAULT_LIMITS.depth}")
    if not isinstance(value, Mapping):
        return [_plain(item, levels - 1) for item in value]
    for key in value:
        if not isinstance(key, str) or _NO_XML_CHARACTER.search(key) or "\r" in key:
            raise PlistMalformed("a key that is not a string of XML characters")
    return {str(key): _plain(item, levels - 1) for key, item in value.items()}
