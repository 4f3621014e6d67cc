"""The parts of SCEP over HTTP (RFC 8894 §4) that are not messages: capabilities, CA certificates, GET's encoding."""

import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from certs.algorithms import Digest
from certs.authority import Authority
from certs.cms_writer import content_attributes, write_certificates, write_signed_data
from certs.errors import MalformedDER
from certs.scep_message import MAX_MESSAGE_BYTES

MAX_GET_CHARACTERS = 3 * (MAX_MESSAGE_BYTES + 2) // 3 * 4  # every character of the base64 may be escaped

_CAPABILITIES = ("POSTPKIOperation", "Renewal", "SHA-1", "SHA-256", "SHA-512", "AES", "DES3", "SCEPStandard")
_ESCAPE = re.compile("%([0-9A-Fa-f]{2})")
_WHITESPACE = str.maketrans("", "", "\t\r\n")
_TO_STANDARD = str.maketrans("-_ ", "+/+")


class SCEPMediaType(StrEnum):
    """What the bodies of SCEP are called."""

    CAPABILITIES = "text/plain"
    ONE_CERTIFICATE = "application/x-x509-ca-cert"
    SEVERAL_CERTIFICATES = "application/x-x509-ca-ra-cert"
    NEXT_CERTIFICATE = "application/x-x509-next-ca-cert"
    MESSAGE = "application/x-pki-message"


@dataclass(frozen=True, slots=True, kw_only=True)
class SCEPBody:
    """A body with its media type."""

    media_type: SCEPMediaType
    content: bytes


def ca_capabilities(*, has_next_ca: bool = False) -> bytes:
    """The lines of GetCACaps: RFC 8894 §3.5.2."""
    capabilities = (*_CAPABILITIES, "GetNextCACert") if has_next_ca else _CAPABILITIES
    return "\n".join(capabilities).encode("ascii")


def ca_certificates(certificates: Sequence[bytes]) -> SCEPBody:
    """The body of GetCACert: one certificate as it is, several as a SignedData in this order.

    Give one, the CA that issues now, also during a roll-over: Apple's clients take several for a CA with an RA
    and find no RA among two CAs; others encrypt to all of them.
    """
    if len(certificates) == 1:
        return SCEPBody(media_type=SCEPMediaType.ONE_CERTIFICATE, content=certificates[0])
    return SCEPBody(media_type=SCEPMediaType.SEVERAL_CERTIFICATES, content=write_certificates(certificates))


def next_ca_certificate(current: Authority, next_der: bytes) -> SCEPBody:
    """The body of GetNextCACert, signed by the CA whose time ends: RFC 8894 §4.7."""
    certificates = write_certificates([next_der])
    content = write_signed_data(
        certificates,
        current.certificate_der,
        current.private_key,
        digest=Digest.SHA256,
        attributes=content_attributes(certificates, Digest.SHA256),
    )
    return SCEPBody(media_type=SCEPMediaType.NEXT_CERTIFICATE, content=content)


def decode_get_message(text: str) -> bytes:
    """The message in the query of a GET, whether or not its escapes have been undone; raises MalformedDER.

    Clients write standard base64 or the URL's alphabet, escape it once, twice or not at all, so that a plus
    arrives as a space, and leave the padding away.
    """
    if len(text) > MAX_GET_CHARACTERS:
        raise MalformedDER(f"a message of {len(text)} characters is too long")
    for _ in range(2):
        # Not urllib's unquote: 64 KiB of percent signs, of which none escapes anything, took it 50 ms.
        text = _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), text)
    encoded = text.translate(_WHITESPACE).translate(_TO_STANDARD).rstrip("=")
    try:
        return binascii.a2b_base64(encoded + "=" * (-len(encoded) % 4), strict_mode=True)
    except ValueError as error:
        raise MalformedDER("the message in the query is not base64") from error
