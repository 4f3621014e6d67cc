"""The Mdm-Signature header: a detached CMS signature over the request's body, checked and made.

It carries neither time nor nonce, so that whoever saw one can send it again with the same body; what that
may do is decided elsewhere. Never log it.
"""

import binascii
from collections.abc import Iterable

from certs import der
from certs.algorithms import Digest, digest_identifier, hashed, sign, signature_identifier, verify
from certs.certificate_cache import CertificateCache, TrustedCertificate
from certs.certificate_fields import read_certificate
from certs.cms import (
    CONTENT_TYPE,
    DATA,
    MESSAGE_DIGEST,
    SIGNED_DATA,
    SignedData,
    parse_signed_data,
    signed_attributes_over,
    signer_names,
)
from certs.device_certificate import DeviceCertificate
from certs.errors import CertificateError, HeaderMalformed, SignatureInvalid
from certs.keys import PrivateKey

MAX_DECODED_BYTES = 12 * 1024
_CONTENT_TYPE_IS_DATA = der.sequence(CONTENT_TYPE, der.set_of(DATA))
_MAX_ENCODED_CHARACTERS = (MAX_DECODED_BYTES + 2) // 3 * 4


def verify_device_signature(header: str, body: bytes, certificates: CertificateCache) -> TrustedCertificate:
    """Whose signature over exactly this body the header holds.

    Raises HeaderMalformed, MalformedDER, SignatureInvalid, or CertificateRefused for a signer that no
    configured CA issued. Whether the certificate is valid at this time is left to the caller.
    """
    signed = _read(header)
    is_plain = signed.signed_attributes is None
    return _verified(signed, certificates, b"" if is_plain else hashed(body, signed.digest_algorithm), body=body)


def verify_device_signature_of_digest(header: str, digest: bytes, certificates: CertificateCache) -> TrustedCertificate:
    """As `verify_device_signature`, for a body of which only the digest by `device_signature_digest` is at hand."""
    return _verified(_read(header), certificates, digest, body=None)


def device_signature_digest(header: str) -> str:
    """The name of the hash that the signature in the header is made with, as hashlib knows it; raises as above."""
    return _read(header).digest_algorithm.value


def _read(header: str) -> SignedData:
    signed = parse_signed_data(_decoded(header))
    if signed.content is not None:
        raise SignatureInvalid("the signature brings its own content")
    return signed


def _verified(
    signed: SignedData, certificates: CertificateCache, digest: bytes, *, body: bytes | None
) -> TrustedCertificate:
    """The signer; `digest` is looked at where there are signed attributes or no body."""
    signer = _signer(signed, certificates)
    message, is_hashed = _signed_message(signed, digest, body)
    verify(
        signer.public_key,
        signed.signature,
        message,
        signed.signature_algorithm,
        signed.digest_algorithm,
        is_hashed=is_hashed,
    )
    return certificates.trusted(signer)


class DeviceSigner:
    """Makes the header value with which one device proves its bodies; what is the same in all is encoded once.

    `chain` are further certificates to send along, such as the issuer's.
    """

    def __init__(
        self,
        certificate_der: bytes,
        key: PrivateKey,
        *,
        digest: str = "sha256",
        signed_attributes: bool = True,
        chain: Iterable[bytes] = (),
    ) -> None:
        self._key = key
        self._digest = Digest(digest)
        self._has_attributes = signed_attributes
        fields = read_certificate(certificate_der)
        identifier = digest_identifier(self._digest)
        name = signer_names(fields.issuer_der, fields.serial_number, None)[0]
        self._signer_begins = der.integer(1) + name + identifier
        self._signature_identifier = signature_identifier(key, self._digest)
        certificates = der.explicit(0, b"".join([certificate_der, *chain]))
        self._message_begins = der.integer(1) + der.set_of(identifier) + der.sequence(DATA) + certificates

    def sign(self, body: bytes) -> str:
        """The header value for this body."""
        attributes = _attributes(body, self._digest) if self._has_attributes else b""
        signature = sign(self._key, der.element(0x31, attributes) if attributes else body, self._digest)
        signer = der.sequence(
            self._signer_begins,
            der.explicit(0, attributes) if attributes else b"",
            self._signature_identifier,
            der.octet_string(signature),
        )
        signed_data = der.sequence(self._message_begins, der.set_of(signer))
        message = der.sequence(SIGNED_DATA, der.explicit(0, signed_data))
        return binascii.b2a_base64(message, newline=False).decode("ascii")


def sign_device_message(
    body: bytes,
    certificate_der: bytes,
    key: PrivateKey,
    *,
    digest: str = "sha256",
    signed_attributes: bool = True,
) -> str:
    """The header value with which a device proves that this body is its own."""
    return DeviceSigner(certificate_der, key, digest=digest, signed_attributes=signed_attributes).sign(body)


def _decoded(header: str) -> bytes:
    text = header.strip(" \t\r\n")
    if len(text) > _MAX_ENCODED_CHARACTERS:
        raise HeaderMalformed(f"a signature of {len(text)} characters is too long")
    try:
        decoded = binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:
        raise HeaderMalformed("the signature is not base64") from error
    if not decoded:
        raise HeaderMalformed("the signature is empty")
    return decoded


def _signer(signed: SignedData, certificates: CertificateCache) -> DeviceCertificate:
    """The embedded certificate that the signer names, trusted or not."""
    for der_bytes in signed.certificates:
        known = certificates.remembered(der_bytes)
        if known is not None and signed.signer in known.signer_names:
            return known
    unreadable: CertificateError | None = None
    for der_bytes in signed.certificates:
        try:
            certificate = certificates.parsed(der_bytes)
        except CertificateError as error:
            unreadable = error  # it may be another than the signer's, such as a CA's
            continue
        if signed.signer in certificate.signer_names:
            return certificate
    raise unreadable or SignatureInvalid("no certificate in the signature is the one its signer names")


def _signed_message(signed: SignedData, digest: bytes, body: bytes | None) -> tuple[bytes, bool]:
    """The bytes under the signature, and whether they are already hashed: RFC 5652 §5.4."""
    if signed.content_type != DATA:
        raise SignatureInvalid("the content type is not data")
    if signed.signed_attributes is None:
        return (digest, True) if body is None else (body, False)
    return signed_attributes_over(signed, digest), False


def _attributes(body: bytes, algorithm: Digest) -> bytes:
    digest = hashed(body, algorithm)
    attributes = (
        _CONTENT_TYPE_IS_DATA,
        der.sequence(MESSAGE_DIGEST, der.set_of(der.octet_string(digest))),
    )
    return b"".join(sorted(attributes))
