"""Writes the CA's replies to SCEP requests (RFC 8894 §3.3.2): success, failure, pending."""

import secrets

from certs.algorithms import Digest
from certs.authority import Authority
from certs.ciphers import Cipher
from certs.cms_writer import content_attributes, write_certificates, write_signed_data
from certs.envelope import RandomBytes, seal_envelope
from certs.scep import SCEPRequest
from certs.scep_attributes import (
    FAIL_INFO,
    MESSAGE_TYPE,
    PKI_STATUS,
    RECIPIENT_NONCE,
    SENDER_NONCE,
    TRANSACTION_ID,
    nonce_attribute,
    text_attribute,
)
from certs.scep_message import FailInfo, MessageType, PKIStatus, SCEPMessage


def build_success(
    request: SCEPRequest,
    issued_der: bytes,
    authority: Authority,
    *,
    sender_nonce: bytes,
    random_bytes: RandomBytes = secrets.token_bytes,
) -> bytes:
    """A CertRep with the issued certificate alone, encrypted to the request's signer.

    Digest and cipher are those of the request; single DES is answered with AES-256 and SHA-256.
    """
    was_des = request.cipher is Cipher.DES_CBC
    envelope = seal_envelope(
        write_certificates([issued_der]),
        request.signer_der,
        cipher=Cipher.AES_256_CBC if was_des else request.cipher,
        random_bytes=random_bytes,
    )
    digest = Digest.SHA256 if was_des else request.digest
    return _reply(request, PKIStatus.SUCCESS, authority, sender_nonce, digest, envelope=envelope)


def build_failure(message: SCEPMessage, fail_info: FailInfo, authority: Authority, *, sender_nonce: bytes) -> bytes:
    """A CertRep that says why there will be no certificate; for a request or for as much of it as was readable."""
    reason = text_attribute(FAIL_INFO, fail_info)
    return _reply(message, PKIStatus.FAILURE, authority, sender_nonce, message.digest, reason)


def build_pending(message: SCEPMessage, authority: Authority, *, sender_nonce: bytes) -> bytes:
    """A CertRep that makes the client ask again with a CertPoll."""
    return _reply(message, PKIStatus.PENDING, authority, sender_nonce, message.digest)


def _reply(
    message: SCEPMessage,
    status: PKIStatus,
    authority: Authority,
    sender_nonce: bytes,
    digest: Digest,
    *more: bytes,
    envelope: bytes | None = None,
) -> bytes:
    attributes = (
        *content_attributes(envelope or b"", digest),
        text_attribute(TRANSACTION_ID, message.transaction_id),
        text_attribute(MESSAGE_TYPE, MessageType.CERT_REP),
        text_attribute(PKI_STATUS, status),
        nonce_attribute(SENDER_NONCE, sender_nonce),
        nonce_attribute(RECIPIENT_NONCE, message.sender_nonce),
        *more,
    )
    return write_signed_data(
        envelope,
        authority.certificate_der,
        authority.private_key,
        digest=digest,
        attributes=attributes,
        names_digest=False,  # strongSwan's client refuses sha256WithRSAEncryption here
    )
