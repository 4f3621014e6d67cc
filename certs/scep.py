"""Reads SCEP requests (RFC 8894) on the side of the CA. Whether one is granted is decided by `issuance`.

Two kinds of fault: bytes that prove nothing (MalformedDER, SignatureInvalid, CertificateRefused) deserve no
reply; a request that is truly signed and still refused (RequestRefused) is answered with a failure.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from certs.authority import Authority
from certs.ber import SEQUENCE, Reader, expected
from certs.ciphers import Cipher
from certs.cms import SignedData
from certs.csr import CHALLENGE_PASSWORD, CertificateRequest, challenge_password, read_csr
from certs.envelope import decrypt_envelope, read_envelope
from certs.errors import CertificateError, CertificateRefused, MalformedDER
from certs.policy import KeyPolicy
from certs.scep_attributes import MESSAGE_TYPE, text
from certs.scep_message import FailInfo, MessageType, RequestRefused, SCEPMessage, read_message

REQUEST_TYPES = frozenset({MessageType.PKCS_REQ, MessageType.RENEWAL_REQ, MessageType.CERT_POLL})


@dataclass(frozen=True, slots=True, kw_only=True)
class SCEPRequest(SCEPMessage):
    """A request to the CA. `csr` is None in a CertPoll alone, which has `polled_subject_der` instead.

    `recipient` is the CA that the request was encrypted to and that signs the reply. `challenge_password` is
    the one of the CSR or else the one beside it, None where there is neither. A RenewalReq is signed by a
    certificate of one of our CAs; whether that one is still active, and at what time, is not looked at.
    """

    message_type: MessageType
    cipher: Cipher
    recipient: Authority = field(repr=False)
    csr: CertificateRequest | None
    polled_subject_der: bytes | None = field(repr=False, default=None)
    challenge_password: str | None = field(repr=False, default=None)


def parse_request(
    encoded: bytes,
    authorities: Sequence[Authority],
    *,
    allow_des: bool = False,
    policy: KeyPolicy = KeyPolicy(),  # noqa: B008  # it is frozen
    allow_other_signer: bool = False,
) -> SCEPRequest:
    """Reads a PKCSReq, RenewalReq or CertPoll to one of these CAs, in BER or DER, with SHA-1 to SHA-512.

    A PKCSReq is signed with the key that it asks a certificate for; `allow_other_signer` takes one signed with
    another. Raises RequestRefused for what is answered with a failure; MalformedDER, SignatureInvalid or
    CertificateRefused for what is not answered.
    """
    message, signed = read_message(encoded)
    message_type = _request_type(message, signed)
    beside = challenge_password(signed.attributes.get(CHALLENGE_PASSWORD))
    cipher, recipient, content = _opened(message, signed.content or b"", authorities, allow_des=allow_des)
    is_poll = message_type is MessageType.CERT_POLL
    csr = None if is_poll else _csr(message, content)
    if csr is not None:
        _check_key(message, csr, policy)
        if message_type is MessageType.RENEWAL_REQ:
            _check_renewed(message, authorities)
        elif csr.public_key != message.signer_key and not allow_other_signer:
            raise _refusal(message, "the signer's key is not the one to be certified", FailInfo.BAD_MESSAGE_CHECK)
    return SCEPRequest(
        message_type=message_type,
        cipher=cipher,
        recipient=recipient,
        csr=csr,
        polled_subject_der=_polled_subject(message, content) if is_poll else None,
        challenge_password=(csr.challenge_password if csr else None) or beside,
        **{shared.name: getattr(message, shared.name) for shared in fields(SCEPMessage)},
    )


def _request_type(message: SCEPMessage, signed: SignedData) -> MessageType:
    named = text(signed.attributes, MESSAGE_TYPE)
    if named not in REQUEST_TYPES:
        raise _refusal(message, f"message type {named!r} is no request that is answered here", FailInfo.BAD_REQUEST)
    return MessageType(named)


def _opened(
    message: SCEPMessage, encoded: bytes, authorities: Sequence[Authority], *, allow_des: bool
) -> tuple[Cipher, Authority, bytes]:
    try:
        envelope = read_envelope(encoded)
        for authority in authorities:
            names = authority.recipient_names
            if envelope.key_for(names) is not None:
                content = decrypt_envelope(envelope, names, authority.private_key, allow_des=allow_des)
                return envelope.cipher, authority, content
        raise MalformedDER("the envelope is for none of the CAs")
    except CertificateError as error:
        raise _unopened(message) from error


def _csr(message: SCEPMessage, content: bytes) -> CertificateRequest:
    try:
        return read_csr(content)
    except CertificateError as error:
        raise _unopened(message) from error


def _polled_subject(message: SCEPMessage, content: bytes) -> bytes:
    """The subject in an IssuerAndSubject: RFC 8894 §3.3.3."""
    try:
        reader = Reader(content)
        names = reader.children(expected(reader.root(), SEQUENCE))
        if len(names) != 2:
            raise MalformedDER("not an issuer and a subject")
        expected(names[0], SEQUENCE)
        return reader.definite(expected(names[1], SEQUENCE))
    except CertificateError as error:
        raise _unopened(message) from error


def _check_key(message: SCEPMessage, csr: CertificateRequest, policy: KeyPolicy) -> None:
    try:
        policy.check(csr.public_key)
    except CertificateRefused as error:
        raise _refusal(message, str(error), FailInfo.BAD_ALG) from error


def _check_renewed(message: SCEPMessage, authorities: Sequence[Authority]) -> None:
    if not any(authority.has_issued(message.signer_der) for authority in authorities):
        raise _refusal(message, "a renewal is not signed by a certificate of ours", FailInfo.BAD_CERT_ID)


def _unopened(message: SCEPMessage) -> RequestRefused:
    # One answer for wrong keys, paddings, ciphers and contents: security.md S14. A damaged content is among
    # them, since only who holds the key can know whether it is the padding or the content that is damaged.
    return _refusal(message, "the request cannot be opened", FailInfo.BAD_MESSAGE_CHECK)


def _refusal(message: SCEPMessage, reason: str, fail_info: FailInfo) -> RequestRefused:
    return RequestRefused(reason, fail_info=fail_info, message=message)
