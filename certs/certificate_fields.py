"""The parts of an X.509 certificate (RFC 5280) that decide about trust, read one by one.

Extensions that are not asked for are not decoded: a device is not turned away for a crooked alternative name
in its certificate. Whether anyone trusts the certificate is decided in `trust`.
"""

from dataclasses import dataclass

from certs.ber import (
    BIT_STRING,
    BOOLEAN,
    INTEGER,
    OCTET_STRING,
    SEQUENCE,
    Element,
    Reader,
    expected,
)
from certs.der import object_identifier
from certs.errors import MalformedDER

MAX_CERTIFICATE_BYTES = 16 * 1024
MAX_SERIAL_BYTES = 40

BASIC_CONSTRAINTS = object_identifier("2.5.29.19")
KEY_USAGE = object_identifier("2.5.29.15")
EXTENDED_KEY_USAGE = object_identifier("2.5.29.37")
SUBJECT_KEY_IDENTIFIER = object_identifier("2.5.29.14")
CLIENT_AUTH = object_identifier("1.3.6.1.5.5.7.3.2")
ANY_EXTENDED_KEY_USAGE = object_identifier("2.5.29.37.0")

_VERSION = 0xA0
_EXTENSIONS = 0xA3
_KEY_CERT_SIGN = 0x04  # bit 5 of the first octet: RFC 5280 §4.2.1.3
_CRL_SIGN = 0x02


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFields:
    """One certificate taken apart; names and `signed` as they stand in it.

    `extensions` maps the OID element to the extension's value.
    """

    der: bytes
    signed: bytes
    signature_algorithm: bytes
    signature: bytes
    serial_number: int
    issuer_der: bytes
    subject_der: bytes
    public_key_der: bytes
    extensions: dict[bytes, bytes]


def read_certificate(der: bytes) -> CertificateFields:
    """Takes a certificate apart; raises MalformedDER."""
    if len(der) > MAX_CERTIFICATE_BYTES:
        raise MalformedDER(f"a certificate of {len(der)} bytes is longer than {MAX_CERTIFICATE_BYTES}")
    reader = Reader(der)
    parts = reader.children(expected(reader.root(), SEQUENCE))
    if len(parts) != 3 or reader.saw_indefinite:
        raise MalformedDER("not a certificate in DER")
    signed, algorithm, signature = parts
    fields = list(reader.children(expected(signed, SEQUENCE)))
    if fields and fields[0].tag == _VERSION:
        fields.pop(0)
    if len(fields) < 6:
        raise MalformedDER("the certificate lacks a part")
    serial, inner_algorithm, issuer, _validity, subject, public_key, *optional = fields
    # RFC 5280 §4.1.1.2: both must be the same; only one of them is signed.
    if reader.raw(inner_algorithm) != reader.raw(algorithm):
        raise MalformedDER("the certificate names two signature algorithms")
    return CertificateFields(
        der=der,
        signed=reader.raw(signed),
        signature_algorithm=reader.content(expected(algorithm, SEQUENCE)),
        signature=_whole_octets(reader.content(expected(signature, BIT_STRING))),
        serial_number=_serial_number(reader.content(expected(serial, INTEGER))),
        issuer_der=reader.raw(expected(issuer, SEQUENCE)),
        subject_der=reader.raw(expected(subject, SEQUENCE)),
        public_key_der=reader.raw(expected(public_key, SEQUENCE)),
        extensions=_extensions(reader, optional),
    )


def may_issue(fields: CertificateFields) -> bool:
    """Whether the certificate is a CA's: basicConstraints say so and keyUsage, if there, allows signing."""
    usage = fields.extensions.get(KEY_USAGE)
    if usage is not None:
        octets = _bits(_value(usage, BIT_STRING))
        if not octets or not octets[0] & _KEY_CERT_SIGN:
            return False
    return is_authority(fields)


def may_sign_crls(fields: CertificateFields) -> bool:
    """Whether keyUsage, if there, allows signing CRLs."""
    usage = fields.extensions.get(KEY_USAGE)
    octets = b"" if usage is None else _bits(_value(usage, BIT_STRING))
    return usage is None or bool(octets and octets[0] & _CRL_SIGN)


def is_authority(fields: CertificateFields) -> bool:
    """Whether basicConstraints are there and claim a CA."""
    return _basic_constraints(fields)[0]


def path_length(fields: CertificateFields) -> int | None:
    """How many intermediate CAs may follow below this one; None is any number."""
    return _basic_constraints(fields)[1]


def may_authenticate_clients(fields: CertificateFields) -> bool:
    """Whether extendedKeyUsage is absent, or names clientAuth or any usage."""
    usages = fields.extensions.get(EXTENDED_KEY_USAGE)
    if usages is None:
        return True
    reader = Reader(usages)
    named = {reader.raw(usage) for usage in reader.children(expected(reader.root(), SEQUENCE))}
    return not named.isdisjoint((CLIENT_AUTH, ANY_EXTENDED_KEY_USAGE))


def subject_key_identifier(fields: CertificateFields) -> bytes | None:
    """The subject key identifier, None where the certificate has none."""
    value = fields.extensions.get(SUBJECT_KEY_IDENTIFIER)
    return None if value is None else _value(value, OCTET_STRING)


def _extensions(reader: Reader, optional: list[Element]) -> dict[bytes, bytes]:
    extensions: dict[bytes, bytes] = {}
    for field in optional:
        if field.tag != _EXTENSIONS:
            continue
        for sequence in reader.children(field):
            for extension in reader.children(sequence):
                oid, *_critical, value = _at_least_two(reader, extension)
                if reader.raw(oid) in extensions:
                    raise MalformedDER("the certificate has an extension twice")
                extensions[reader.raw(oid)] = reader.content(expected(value, OCTET_STRING))
    return extensions


def _at_least_two(reader: Reader, extension: Element) -> list[Element]:
    parts = list(reader.children(extension))
    if len(parts) < 2:
        raise MalformedDER(f"extension at {extension.start} has no value")
    return parts


def _serial_number(octets: bytes) -> int:
    # RFC 5280 §4.1.2.2 allows 20; Python refuses to print what takes more than 4300 digits.
    if not 1 <= len(octets) <= MAX_SERIAL_BYTES:
        raise MalformedDER(f"a serial number of {len(octets)} octets")
    return int.from_bytes(octets, "big", signed=True)


def _basic_constraints(fields: CertificateFields) -> tuple[bool, int | None]:
    value = fields.extensions.get(BASIC_CONSTRAINTS)
    if value is None:
        return False, None
    reader = Reader(value)
    claims_authority, length = False, None
    for part in reader.children(expected(reader.root(), SEQUENCE)):
        if part.tag == BOOLEAN:
            claims_authority = reader.content(part) not in (b"", b"\x00")
        elif part.tag == INTEGER:
            length = int.from_bytes(reader.content(part), "big", signed=True)
    return claims_authority, length


def _value(encoded: bytes, tag: int) -> bytes:
    reader = Reader(encoded)
    return reader.content(expected(reader.root(), tag))


def _whole_octets(content: bytes) -> bytes:
    # Unused bits would be a second way to write the same certificate, under another fingerprint.
    if content[:1] != b"\x00":
        raise MalformedDER("the certificate's signature is not a whole number of octets")
    return content[1:]


def _bits(content: bytes) -> bytes:
    if not content:
        raise MalformedDER("a BIT STRING without its count of unused bits")
    return content[1:]
