"""Reads CMS SignedData (RFC 5652) as devices write it; whether the signature holds is not decided here.

Exactly one signer; content detached or attached; BER with indefinite lengths as well as DER.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from certs import der
from certs.algorithms import Digest, SignatureAlgorithm, digest_of, signature_algorithm_of
from certs.ber import INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, SET, Element, Reader, expected
from certs.errors import MalformedDER, SignatureInvalid

MAX_CERTIFICATES = 8

DATA = der.object_identifier("1.2.840.113549.1.7.1")
SIGNED_DATA = der.object_identifier("1.2.840.113549.1.7.2")
CONTENT_TYPE = der.object_identifier("1.2.840.113549.1.9.3")
MESSAGE_DIGEST = der.object_identifier("1.2.840.113549.1.9.4")

_DETACHED_DATA = der.sequence(DATA)
_ONLY_DATA = der.set_of(DATA)
_EXPLICIT_0 = 0xA0
_EXPLICIT_1 = 0xA1
_KEY_IDENTIFIER = 0x80


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedData:
    """What a SignedData with one signer says, nothing of it believed yet.

    `signer` is the element that names the signer's certificate (`signer_names` makes them to compare with),
    `signed_attributes` the SET that was signed (RFC 5652 §5.4: tag 0x31, not the [0] of the message), and
    `attributes` the same taken apart: OID element to SET element. `content_type` is the whole OID element,
    `content` None where it is detached.
    """

    digest_algorithm: Digest
    signature_algorithm: SignatureAlgorithm
    signer: bytes
    certificates: tuple[bytes, ...]
    signed_attributes: bytes | None
    attributes: Mapping[bytes, bytes]
    signature: bytes
    content_type: bytes
    content: bytes | None


def parse_signed_data(encoded: bytes) -> SignedData:
    """Reads a ContentInfo that holds SignedData.

    Raises MalformedDER for bytes that are not one, and SignatureInvalid for one with another number of
    signers than one, more than eight certificates, or algorithms that are not accepted.
    """
    reader = Reader(encoded)
    fields = _signed_data_fields(reader)
    if len(fields) < 4 or fields[0].tag != INTEGER or fields[1].tag != SET or fields[-1].tag != SET:
        raise MalformedDER("SignedData lacks a part or has one too many")
    content_type, content = _encapsulated(reader, fields[2])
    certificates: tuple[bytes, ...] = ()
    for field in fields[3:-1]:
        if field.tag == _EXPLICIT_0:
            certificates = _certificates(reader, field)
        elif field.tag != _EXPLICIT_1:
            raise MalformedDER(f"tag 0x{field.tag:02x} inside SignedData at {field.start}")
    signers = reader.children(fields[-1])
    if len(signers) != 1:
        raise SignatureInvalid(f"{len(signers)} signers where exactly one is accepted")
    return _signed_data(reader, signers[0], certificates, content_type, content)


def parse_certificates(encoded: bytes) -> tuple[bytes, ...]:
    """The certificates of a SignedData, signed or not, in their order; raises MalformedDER or SignatureInvalid."""
    reader = Reader(encoded)
    for field in _signed_data_fields(reader):
        if field.tag == _EXPLICIT_0:
            return _certificates(reader, field)
    return ()


def signed_attributes_over(signed: SignedData, digest: bytes) -> bytes:
    """The bytes under a signature with signed attributes, over content with this digest: RFC 5652 §5.4.

    Raises SignatureInvalid where there are none, or where they do not hold the digest and the content type data.
    """
    if signed.signed_attributes is None:
        raise SignatureInvalid("there are no signed attributes")
    if signed.content_type != DATA or signed.attributes.get(CONTENT_TYPE) != _ONLY_DATA:
        raise SignatureInvalid("the signed attributes do not name the content type data exactly once")
    if signed.attributes.get(MESSAGE_DIGEST) != der.set_of(der.octet_string(digest)):
        raise SignatureInvalid("the signed attributes do not hold the digest of this body exactly once")
    return signed.signed_attributes


def signer_names(issuer_der: bytes, serial_number: int, key_identifier: bytes | None) -> tuple[bytes, ...]:
    """The elements by which a signer may name a certificate: RFC 5652 §5.3, SignerIdentifier."""
    issuer_and_serial = der.sequence(issuer_der, der.integer(serial_number))
    if key_identifier is None:
        return (issuer_and_serial,)
    return issuer_and_serial, der.element(_KEY_IDENTIFIER, key_identifier)


def _signed_data_fields(reader: Reader) -> Sequence[Element]:
    outer = reader.children(expected(reader.root(), SEQUENCE))
    if len(outer) != 2 or reader.raw(outer[0]) != SIGNED_DATA:
        raise MalformedDER("not a ContentInfo with SignedData")
    wrapped = reader.children(expected(outer[1], _EXPLICIT_0))
    if len(wrapped) != 1:
        raise MalformedDER("not a ContentInfo with exactly one SignedData")
    return reader.children(expected(wrapped[0], SEQUENCE))


def _encapsulated(reader: Reader, element: Element) -> tuple[bytes, bytes | None]:
    if reader.raw(element) == _DETACHED_DATA:  # nearly always, and quicker than to look into it
        return DATA, None
    fields = reader.children(expected(element, SEQUENCE))
    if not 1 <= len(fields) <= 2:
        raise MalformedDER("the encapsulated content is not a type and at most one value")
    content_type = reader.raw(expected(fields[0], OBJECT_IDENTIFIER))
    if len(fields) == 1:
        return content_type, None
    wrapped = reader.children(expected(fields[1], _EXPLICIT_0))
    # PKCS #7 allows any type here; RFC 5652 §5.2.1 an OCTET STRING, in pieces where BER is written.
    if len(wrapped) != 1 or wrapped[0].tag not in (OCTET_STRING, 0x24):
        raise MalformedDER("the encapsulated content is not one OCTET STRING")
    return content_type, reader.octets(wrapped[0])


def _certificates(reader: Reader, element: Element) -> tuple[bytes, ...]:
    choices = reader.children(element)
    if len(choices) > MAX_CERTIFICATES:
        raise SignatureInvalid(f"{len(choices)} certificates where at most {MAX_CERTIFICATES} are accepted")
    return tuple(reader.raw(choice) for choice in choices if choice.tag == SEQUENCE)


def _signed_data(
    reader: Reader,
    signer: Element,
    certificates: tuple[bytes, ...],
    content_type: bytes,
    content: bytes | None,
) -> SignedData:
    fields = list(reader.children(expected(signer, SEQUENCE)))
    attributes = fields.pop(3) if len(fields) > 3 and fields[3].tag == _EXPLICIT_0 else None
    if len(fields) == 6 and fields[5].tag == _EXPLICIT_1:
        fields.pop()  # unsigned attributes say nothing that can be believed
    if len(fields) != 5:
        raise MalformedDER("SignerInfo lacks a part or has one too many")
    version, sid, digest, algorithm, signature = fields
    expected(version, INTEGER)
    if sid.tag != _KEY_IDENTIFIER:
        expected(sid, SEQUENCE)
    signed_attributes, taken_apart = None, {}
    if attributes is not None:
        taken_apart = _attributes(reader, attributes)
        # RFC 5652 §5.4: what is signed is the DER of the SET, even where the message is BER.
        signed_attributes = bytes((SET,)) + _definite(reader, attributes)[1:]
    return SignedData(
        digest_algorithm=digest_of(reader.content(expected(digest, SEQUENCE))),
        signature_algorithm=signature_algorithm_of(reader.content(expected(algorithm, SEQUENCE))),
        signer=_definite(reader, sid),
        certificates=certificates,
        signed_attributes=signed_attributes,
        attributes=taken_apart,
        signature=reader.content(expected(signature, OCTET_STRING)),
        content_type=content_type,
        content=content,
    )


def _attributes(reader: Reader, element: Element) -> dict[bytes, bytes]:
    attributes: dict[bytes, bytes] = {}
    for attribute in reader.children(element):
        fields = reader.children(attribute)
        if len(fields) != 2 or fields[1].tag != SET:
            raise MalformedDER(f"attribute at {attribute.start} is not a type and a set of values")
        oid = reader.raw(fields[0])
        if oid in attributes:
            raise SignatureInvalid("a signed attribute comes twice")
        attributes[oid] = _definite(reader, fields[1])
    return attributes


def _definite(reader: Reader, element: Element) -> bytes:
    return reader.definite(element) if reader.saw_indefinite else reader.raw(element)
