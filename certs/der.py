"""Writes DER: values to bytes, no reading (that is `ber`).

Every function returns one complete element, so that structures are written as nested calls.
"""

import re
from datetime import UTC, datetime

from certs.ber import (
    BIT_STRING,
    BOOLEAN,
    INTEGER,
    NULL_TAG,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    SEQUENCE,
    SET,
    definite_length,
)

NULL = bytes((NULL_TAG, 0))

_PRINTABLE = re.compile(r"[A-Za-z0-9 '()+,\-./:=?]*")


def element(tag: int, *contents: bytes) -> bytes:
    """One element with this identifier octet, whose content is the given bytes in a row."""
    content = contents[0] if len(contents) == 1 else b"".join(contents)
    if len(content) < 0x80:
        return bytes((tag, len(content))) + content
    return bytes((tag,)) + definite_length(len(content)) + content


def sequence(*elements: bytes) -> bytes:
    """A SEQUENCE of complete elements."""
    return element(SEQUENCE, *elements)


def set_of(*elements: bytes) -> bytes:
    """A SET OF in the order DER asks for: X.690 §11.6."""
    return element(SET, *sorted(elements))


def explicit(number: int, *elements: bytes) -> bytes:
    """A constructed, context-specific tag around complete elements; implicit over a SET or SEQUENCE too."""
    return element(0xA0 | number, *elements)


def integer(value: int) -> bytes:
    """An INTEGER in two's complement with no octet too many."""
    length = ((value if value >= 0 else ~value).bit_length() // 8) + 1
    return element(INTEGER, value.to_bytes(length, "big", signed=True))


def boolean(value: bool) -> bytes:
    """A BOOLEAN: DER knows 0xFF as the only true."""
    return element(BOOLEAN, b"\xff" if value else b"\x00")


def octet_string(value: bytes) -> bytes:
    """A primitive OCTET STRING."""
    return element(OCTET_STRING, value)


def printable_string(text: str) -> bytes:
    """A PrintableString where its letters suffice, else a UTF8String."""
    if _PRINTABLE.fullmatch(text):
        return element(0x13, text.encode("ascii"))
    return element(0x0C, text.encode("utf-8"))


def bit_string(octets: bytes) -> bytes:
    """A BIT STRING of whole octets."""
    return element(BIT_STRING, b"\x00", octets)


def time(at: datetime) -> bytes:
    """A Time to the second as certificates have it: UTCTime until 2049, GeneralizedTime after (RFC 5280 §4.1.2.5)."""
    utc = at.astimezone(UTC)
    if 1950 <= utc.year < 2050:
        return element(0x17, utc.strftime("%y%m%d%H%M%SZ").encode("ascii"))
    return element(0x18, utc.strftime("%Y%m%d%H%M%SZ").encode("ascii"))


def object_identifier(dotted: str) -> bytes:
    """An OBJECT IDENTIFIER from its dotted form, as in `1.2.840.113549.1.7.2`."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    return element(OBJECT_IDENTIFIER, *(_base128(arc) for arc in (40 * first + second, *rest)))


def _base128(arc: int) -> bytes:
    octets = [arc & 0x7F]
    while arc := arc >> 7:
        octets.append(0x80 | arc & 0x7F)
    return bytes(reversed(octets))
