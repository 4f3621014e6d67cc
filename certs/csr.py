"""Reads PKCS #10 certificate requests (RFC 2986) as Apple's clients write them; making them is `csr_writer`.

The signature is checked over the bytes as they came: real requests say version 2, where the RFC knows only 0.
What a request asks for besides its key decides nothing (security.md S12).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from certs import der
from certs.algorithms import signature_algorithm_of, verify
from certs.ber import BIT_STRING, INTEGER, OBJECT_IDENTIFIER, SEQUENCE, SET, Element, Reader, expected
from certs.errors import CertificateError, MalformedDER, SignatureInvalid
from certs.keys import PublicKey, load_public_key
from certs.names import name_text, string_value
from certs.policy import KeyPolicy

MAX_REQUEST_BYTES = 32 * 1024
MAX_CHALLENGE_CHARACTERS = 1024
MAX_ATTRIBUTES = 32

CHALLENGE_PASSWORD = der.object_identifier("1.2.840.113549.1.9.7")
EXTENSION_REQUEST = der.object_identifier("1.2.840.113549.1.9.14")
SUBJECT_ALTERNATIVE_NAME = der.object_identifier("2.5.29.17")

_ATTRIBUTES = 0xA0
_DNS_NAME = 0x82


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRequest:
    """A request whose key signed it. `challenge_password` is None where there is none or an empty one.

    `subject` and `requested_dns_names` are what the client would like: for people to read, nothing else.
    `request_info` is what was signed.
    """

    public_key: PublicKey
    public_key_der: bytes = field(repr=False)
    subject: str
    subject_der: bytes = field(repr=False)
    requested_dns_names: tuple[str, ...]
    challenge_password: str | None = field(repr=False)
    request_info: bytes = field(repr=False)


def parse_csr(encoded: bytes, policy: KeyPolicy = KeyPolicy()) -> CertificateRequest:  # noqa: B008  # it is frozen
    """Reads a request as `read_csr` does; raises CertificateRefused for a key that the policy does not accept."""
    request = read_csr(encoded)
    policy.check(request.public_key)
    return request


def read_csr(encoded: bytes) -> CertificateRequest:
    """Reads a request and checks that its own key signed it, whether or not that key would be certified.

    Raises MalformedDER, SignatureInvalid, or CertificateRefused for a key that no signature is checked with.
    """
    if len(encoded) > MAX_REQUEST_BYTES:
        raise MalformedDER(f"a certificate request of {len(encoded)} bytes is longer than {MAX_REQUEST_BYTES}")
    reader = Reader(encoded)
    parts = reader.children(expected(reader.root(), SEQUENCE))
    if len(parts) != 3:
        raise MalformedDER("not a certificate request")
    info, algorithm, signature = parts
    fields = reader.children(expected(info, SEQUENCE))
    if len(fields) < 3:
        raise MalformedDER("the certificate request lacks a part")
    expected(fields[0], INTEGER)  # its value says nothing: 0 by the RFC, 2 from Apple
    subject_der = reader.definite(expected(fields[1], SEQUENCE))
    public_key_der = reader.definite(expected(fields[2], SEQUENCE))
    public_key = load_public_key(public_key_der)
    _check_signature(reader, public_key, info, algorithm, signature)
    attributes = _attributes(reader, fields[3:])
    return CertificateRequest(
        public_key=public_key,
        public_key_der=public_key_der,
        subject=name_text(subject_der),
        subject_der=subject_der,
        requested_dns_names=_dns_names(attributes.get(EXTENSION_REQUEST)),
        challenge_password=challenge_password(attributes.get(CHALLENGE_PASSWORD)),
        request_info=reader.raw(info),
    )


def challenge_password(values: bytes | None) -> str | None:
    """The password in the SET of an attribute's values; raises MalformedDER for one that is not a string."""
    if values is None:
        return None
    reader = Reader(values)
    strings = reader.children(expected(reader.root(), SET))
    if len(strings) != 1:
        raise MalformedDER(f"{len(strings)} challenge passwords where one belongs")
    password = string_value(reader, strings[0])
    if len(password) > MAX_CHALLENGE_CHARACTERS:
        raise MalformedDER(f"a challenge password of {len(password)} characters")
    return password or None


def _check_signature(
    reader: Reader, public_key: PublicKey, info: Element, algorithm: Element, signature: Element
) -> None:
    named = signature_algorithm_of(reader.content(expected(algorithm, SEQUENCE)))
    if named.digest is None:
        raise SignatureInvalid("the signature algorithm of the certificate request names no digest")
    bits = reader.content(expected(signature, BIT_STRING))
    if bits[:1] != b"\x00":
        raise MalformedDER("the signature of the certificate request is not a whole number of octets")
    verify(public_key, bits[1:], reader.raw(info), named, named.digest)


def _attributes(reader: Reader, optional: Sequence[Element]) -> dict[bytes, bytes]:
    """OID element to SET element; attributes are allowed to be missing altogether, as some clients write it."""
    attributes: dict[bytes, bytes] = {}
    for wrapper in optional:
        found = reader.children(expected(wrapper, _ATTRIBUTES))
        if len(found) > MAX_ATTRIBUTES:
            raise MalformedDER(f"a certificate request with {len(found)} attributes")
        for attribute in found:
            parts = reader.children(expected(attribute, SEQUENCE))
            if len(parts) != 2:
                raise MalformedDER(f"attribute at {attribute.start} is not a type and a set of values")
            oid = reader.raw(expected(parts[0], OBJECT_IDENTIFIER))
            if oid in attributes:
                raise MalformedDER("the certificate request has an attribute twice")
            attributes[oid] = reader.definite(expected(parts[1], SET))
    return attributes


def _dns_names(values: bytes | None) -> tuple[str, ...]:
    if values is None:
        return ()
    try:
        reader = Reader(values)
        return tuple(
            name
            for extensions in reader.children(expected(reader.root(), SET))
            for extension in reader.children(expected(extensions, SEQUENCE))
            for name in _alternative_names(reader, reader.children(extension))
        )
    except (CertificateError, UnicodeDecodeError):
        return ()  # a crooked wish is no reason to turn a device away


def _alternative_names(reader: Reader, extension: Sequence[Element]) -> Iterator[str]:
    if len(extension) < 2 or reader.raw(extension[0]) != SUBJECT_ALTERNATIVE_NAME:
        return
    inner = Reader(reader.octets(extension[-1]))
    for name in inner.children(expected(inner.root(), SEQUENCE)):
        if name.tag == _DNS_NAME:
            yield inner.content(name).decode("ascii")
