"""Writes DER: values to bytes, no reading (that is `ber`).

Every function returns one complete element, so that structures are written as nested calls.
"""

from certs.ber import (
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


def object_identifier(dotted: str) -> bytes:
    """An OBJECT IDENTIFIER from its dotted form, as in `1.2.840.113549.1.7.2`."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    return element(OBJECT_IDENTIFIER, *(_base128(arc) for arc in (40 * first + second, *rest)))


def _base128(arc: int) -> bytes:
    octets = [arc & 0x7F]
    while arc := arc >> 7:
        octets.append(0x80 | arc & 0x7F)
    return bytes(reversed(octets))
