"""The SCEP message around every request and reply (RFC 8894 §3): a signed envelope with attributes.

Here it is read as far as its signature proves; what is in the envelope is the business of `scep` for requests
and of `scep_client` for replies.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from certs.algorithms import Digest, hashed, verify
from certs.certificate_fields import CertificateFields, read_certificate, subject_key_identifier
from certs.cms import SignedData, parse_signed_data, signed_attributes_over, signer_names
from certs.errors import CertificateError, CertificateRefused, MalformedDER, SignatureInvalid
from certs.keys import load_public_key
from certs.scep_attributes import SENDER_NONCE, TRANSACTION_ID, nonce, text

MAX_MESSAGE_BYTES = 64 * 1024


class MessageType(StrEnum):
    """RFC 8894 §3.2.1.2: those that are sent and answered here; all others are refused (security.md S11)."""

    CERT_REP = "3"
    RENEWAL_REQ = "17"
    PKCS_REQ = "19"
    CERT_POLL = "20"


class PKIStatus(StrEnum):
    """RFC 8894 §3.2.1.3: how a request ended."""

    SUCCESS = "0"
    FAILURE = "2"
    PENDING = "3"


class FailInfo(StrEnum):
    """RFC 8894 §3.2.1.4: why it failed."""

    BAD_ALG = "0"
    BAD_MESSAGE_CHECK = "1"
    BAD_REQUEST = "2"
    BAD_TIME = "3"
    BAD_CERT_ID = "4"


@dataclass(frozen=True, slots=True, kw_only=True)
class SCEPMessage:
    """Who sent a message, and what a reply to it must repeat. Its signature holds; its signer is not yet trusted."""

    transaction_id: str
    sender_nonce: bytes
    signer_der: bytes = field(repr=False)
    signer_key: RSAPublicKey = field(repr=False)
    digest: Digest


class RequestRefused(CertificateError):
    """A request that is readable, truly signed and refused: it is answered with a failure that says `fail_info`."""

    code = "request_refused"

    def __init__(self, reason: str, *, fail_info: FailInfo, message: SCEPMessage) -> None:
        super().__init__(reason)
        self.fail_info = fail_info
        self.message = message


def read_message(encoded: bytes) -> tuple[SCEPMessage, SignedData]:
    """Reads a message and checks its signature by the certificate that it brings.

    Raises MalformedDER, SignatureInvalid, or CertificateRefused for a signer's key that is not RSA: no reply
    could be encrypted to it.
    """
    if len(encoded) > MAX_MESSAGE_BYTES:
        raise MalformedDER(f"a message of {len(encoded)} bytes is longer than {MAX_MESSAGE_BYTES}")
    signed = parse_signed_data(encoded)
    signer = _signer(signed)
    key = load_public_key(signer.public_key_der)
    if not isinstance(key, RSAPublicKey):
        raise CertificateRefused("the key of a SCEP signer is not RSA")
    covered = signed_attributes_over(signed, hashed(signed.content or b"", signed.digest_algorithm))
    verify(key, signed.signature, covered, signed.signature_algorithm, signed.digest_algorithm)
    message = SCEPMessage(
        transaction_id=text(signed.attributes, TRANSACTION_ID),
        sender_nonce=nonce(signed.attributes, SENDER_NONCE),
        signer_der=signer.der,
        signer_key=key,
        digest=signed.digest_algorithm,
    )
    return message, signed


def _signer(signed: SignedData) -> CertificateFields:
    """The embedded certificate that the signer names."""
    for certificate_der in signed.certificates:
        try:
            fields = read_certificate(certificate_der)
            names = signer_names(fields.issuer_der, fields.serial_number, subject_key_identifier(fields))
        except MalformedDER:
            continue  # it may be another than the signer's
        if signed.signer in names:
            return fields
    raise SignatureInvalid("no readable certificate in the message is the one its signer names")
