"""Reads distinguished names and the strings in them, leniently: what others call themselves decides nothing."""

from certs import der
from certs.ber import OBJECT_IDENTIFIER, SEQUENCE, SET, Element, Reader, expected
from certs.errors import MalformedDER

MAX_ATTRIBUTES = 64

USER_ID = der.object_identifier("0.9.2342.19200300.100.1.1")

_SHORT_NAMES = {
    der.object_identifier(oid): name
    for oid, name in (
        ("2.5.4.3", "CN"),
        ("2.5.4.5", "serialNumber"),
        ("2.5.4.6", "C"),
        ("2.5.4.7", "L"),
        ("2.5.4.8", "ST"),
        ("2.5.4.9", "STREET"),
        ("2.5.4.10", "O"),
        ("2.5.4.11", "OU"),
        ("0.9.2342.19200300.100.1.1", "UID"),
        ("0.9.2342.19200300.100.1.25", "DC"),
        ("1.2.840.113549.1.9.1", "emailAddress"),
    )
}
_ENCODINGS = {
    0x0C: "utf-8",
    0x12: "ascii",
    0x13: "ascii",
    0x14: "latin-1",  # TeletexString, as everyone writes and reads it
    0x16: "ascii",
    0x1A: "ascii",
    0x1C: "utf-32-be",
    0x1E: "utf-16-be",
}
_SPECIAL = frozenset(',+"\\<>;=#')


def string_value(reader: Reader, element: Element) -> str:
    """The text of a string of any of ASN.1's usual kinds; raises MalformedDER."""
    encoding = _ENCODINGS.get(element.tag)
    if encoding is None:
        raise MalformedDER(f"tag 0x{element.tag:02x} at {element.start} is not a string's")
    try:
        return reader.content(element).decode(encoding)
    except UnicodeDecodeError as error:
        raise MalformedDER(f"the string at {element.start} is not {encoding}") from error


def name_attributes(name_der: bytes) -> tuple[tuple[bytes, str], ...]:
    """The attributes of a Name in order: the OID element and the value, in hexadecimal where it is no string.

    Raises MalformedDER.
    """
    reader = Reader(name_der)
    attributes = [
        _attribute(reader, attribute)
        for relative in reader.children(expected(reader.root(), SEQUENCE))
        for attribute in reader.children(expected(relative, SET))
    ]
    if len(attributes) > MAX_ATTRIBUTES:
        raise MalformedDER(f"a name of {len(attributes)} attributes")
    return tuple(attributes)


def name_text(name_der: bytes) -> str:
    """The name for people to read, most specific part first as in RFC 4514; raises MalformedDER."""
    attributes = reversed(name_attributes(name_der))
    return ",".join(f"{_SHORT_NAMES.get(oid) or oid[2:].hex()}={_escaped(value)}" for oid, value in attributes)


def _attribute(reader: Reader, attribute: Element) -> tuple[bytes, str]:
    parts = reader.children(expected(attribute, SEQUENCE))
    if len(parts) != 2:
        raise MalformedDER(f"attribute at {attribute.start} is not a type and a value")
    oid, value = parts
    try:
        text = string_value(reader, value)
    except MalformedDER:
        text = "#" + reader.raw(value).hex()
    return reader.raw(expected(oid, OBJECT_IDENTIFIER)), text


def _escaped(value: str) -> str:
    return "".join(f"\\{character}" if character in _SPECIAL else character for character in value)
