"""The signed attributes of SCEP messages (RFC 8894 §3.2.1): each is one string or one nonce."""

from collections.abc import Mapping

from certs import der
from certs.ber import OCTET_STRING, SET, Element, Reader, expected
from certs.cms_writer import attribute
from certs.errors import MalformedDER
from certs.names import string_value

MAX_TEXT_CHARACTERS = 255
# RFC 8894 §3.2.1.5 says 16; Apple's client sends 8.
NONCE_OCTETS = range(1, 64 + 1)

MESSAGE_TYPE = der.object_identifier("2.16.840.1.113733.1.9.2")
PKI_STATUS = der.object_identifier("2.16.840.1.113733.1.9.3")
FAIL_INFO = der.object_identifier("2.16.840.1.113733.1.9.4")
SENDER_NONCE = der.object_identifier("2.16.840.1.113733.1.9.5")
RECIPIENT_NONCE = der.object_identifier("2.16.840.1.113733.1.9.6")
TRANSACTION_ID = der.object_identifier("2.16.840.1.113733.1.9.7")
FAIL_INFO_TEXT = der.object_identifier("1.3.6.1.5.5.7.24.1")


def text(attributes: Mapping[bytes, bytes], oid: bytes) -> str:
    """The text of an attribute, 1 to 255 visible ASCII characters; raises MalformedDER, also if it is absent."""
    reader, value = _only_value(attributes, oid)
    found = string_value(reader, value)
    if not 1 <= len(found) <= MAX_TEXT_CHARACTERS or not found.isascii() or not found.isprintable():
        raise MalformedDER("a SCEP attribute is not 1 to 255 visible characters")
    return found


def nonce(attributes: Mapping[bytes, bytes], oid: bytes) -> bytes:
    """The octets of a nonce, 1 to 64; raises MalformedDER, also if it is absent."""
    reader, value = _only_value(attributes, oid)
    octets = reader.content(expected(value, OCTET_STRING))
    if len(octets) not in NONCE_OCTETS:
        raise MalformedDER(f"a nonce of {len(octets)} octets")
    return octets


def text_attribute(oid: bytes, value: str) -> bytes:
    """An attribute with this text: a PrintableString, which is all that Apple's client reads."""
    return attribute(oid, der.printable_string(value))


def nonce_attribute(oid: bytes, octets: bytes) -> bytes:
    """An attribute with this nonce."""
    return attribute(oid, der.octet_string(octets))


def _only_value(attributes: Mapping[bytes, bytes], oid: bytes) -> tuple[Reader, Element]:
    values = attributes.get(oid)
    if values is None:
        raise MalformedDER(f"SCEP attribute {oid.hex()} is missing")
    reader = Reader(values)
    found = reader.children(expected(reader.root(), SET))
    if len(found) != 1:
        raise MalformedDER(f"SCEP attribute {oid.hex()} has {len(found)} values")
    return reader, found[0]
