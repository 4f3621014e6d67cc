"""The other side of SCEP (RFC 8894): writes requests as clients do, Apple's among them, and reads the replies.

For the simulator and for tests; nothing of the server uses it.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs import der
from certs.algorithms import Digest
from certs.apple_encoding import as_apple_writes
from certs.certificate_fields import read_certificate
from certs.certificate_writer import key_usage
from certs.ciphers import Cipher
from certs.cms import parse_certificates
from certs.cms_writer import attribute, content_attributes, write_signed_data
from certs.csr import CHALLENGE_PASSWORD
from certs.envelope import RandomBytes, open_envelope, seal_envelope
from certs.errors import CertificateRefused, MalformedDER, SignatureInvalid
from certs.scep_attributes import (
    FAIL_INFO,
    FAIL_INFO_TEXT,
    MESSAGE_TYPE,
    PKI_STATUS,
    RECIPIENT_NONCE,
    SENDER_NONCE,
    TRANSACTION_ID,
    nonce,
    nonce_attribute,
    text,
    text_attribute,
)
from certs.scep_message import FailInfo, MessageType, PKIStatus, read_message

_Kind = TypeVar("_Kind", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class SCEPReply:
    """What the CA answered. `certificates` is empty unless it is a success; the first one is the issued one."""

    status: PKIStatus
    fail_info: FailInfo | None
    fail_info_text: str | None
    sender_nonce: bytes | None
    digest: Digest
    certificates: tuple[bytes, ...]


def create_signer_certificate(
    key: RSAPrivateKey, *, not_before: datetime, not_after: datetime, common_name: str = "MDM SCEP SIGNER"
) -> bytes:
    """The DER of the self-signed certificate with which a client without one signs, as macOS makes it."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = (
        x509.CertificateBuilder()
        .issuer_name(name)
        .subject_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(key_usage(signs_certificates=False, encrypts=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=True)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def issuer_and_subject(authority_der: bytes, subject_der: bytes) -> bytes:
    """The content of a CertPoll: which CA, and the subject that the request named (RFC 8894 §3.3.3)."""
    return der.sequence(read_certificate(authority_der).subject_der, subject_der)


def build_request(
    message_type: MessageType,
    content: bytes,
    *,
    signer_der: bytes,
    signer_key: RSAPrivateKey,
    authority_der: bytes,
    transaction_id: str,
    sender_nonce: bytes,
    digest: Digest = Digest.SHA256,
    cipher: Cipher = Cipher.AES_128_CBC,
    challenge_password: str | None = None,
    apple_encoding: bool = False,
    random_bytes: RandomBytes = secrets.token_bytes,
) -> bytes:
    """A request whose content is a CSR, or for a CertPoll what `issuer_and_subject` gives.

    `challenge_password` goes into a signed attribute, in the clear, as macOS does it besides the CSR;
    `apple_encoding` writes BER with indefinite lengths and contents in pieces.
    """
    envelope = seal_envelope(content, authority_der, cipher=cipher, random_bytes=random_bytes)
    if apple_encoding:
        envelope = as_apple_writes(envelope)
    attributes = [
        *content_attributes(envelope, digest),
        text_attribute(TRANSACTION_ID, transaction_id),
        text_attribute(MESSAGE_TYPE, message_type),
        nonce_attribute(SENDER_NONCE, sender_nonce),
    ]
    if challenge_password is not None:
        attributes.append(attribute(CHALLENGE_PASSWORD, der.printable_string(challenge_password)))
    message = write_signed_data(
        envelope, signer_der, signer_key, digest=digest, attributes=attributes, names_digest=not apple_encoding
    )
    return as_apple_writes(message) if apple_encoding else message


def parse_reply(
    encoded: bytes,
    *,
    signer_der: bytes,
    signer_key: RSAPrivateKey,
    transaction_id: str,
    sender_nonce: bytes,
    authorities: Sequence[bytes],
    allow_des: bool = False,
) -> SCEPReply:
    """Reads the CertRep to a request that was signed with this certificate and had this id and nonce.

    Raises CertificateRefused for a reply that none of these CA certificates signed, SignatureInvalid for the
    reply to another request, DecryptionFailed, or MalformedDER.
    """
    message, signed = read_message(encoded)
    if message.signer_der not in authorities:
        raise CertificateRefused("the reply is signed by none of the CAs")
    if text(signed.attributes, MESSAGE_TYPE) != MessageType.CERT_REP:
        raise MalformedDER("the reply is no CertRep")
    if message.transaction_id != transaction_id or nonce(signed.attributes, RECIPIENT_NONCE) != sender_nonce:
        raise SignatureInvalid("the reply is to another request")
    status = _member(PKIStatus, text(signed.attributes, PKI_STATUS))
    certificates: tuple[bytes, ...] = ()
    if status is PKIStatus.SUCCESS:
        envelope = open_envelope(signed.content or b"", signer_der, signer_key, allow_des=allow_des)
        certificates = parse_certificates(envelope)
        if not certificates:
            raise MalformedDER("a success without a certificate")
    fail_info, fail_info_text = None, None
    if status is PKIStatus.FAILURE:
        fail_info = _member(FailInfo, text(signed.attributes, FAIL_INFO))
        fail_info_text = text(signed.attributes, FAIL_INFO_TEXT) if FAIL_INFO_TEXT in signed.attributes else None
    return SCEPReply(
        status=status,
        fail_info=fail_info,
        fail_info_text=fail_info_text,
        sender_nonce=message.sender_nonce,
        digest=message.digest,
        certificates=certificates,
    )


def _member(kind: type[_Kind], value: str) -> _Kind:
    try:
        return kind(value)
    except ValueError as error:
        raise MalformedDER(f"{value!r} is no {kind.__name__}") from error
