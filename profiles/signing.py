"""Signs rendered profiles and reads signed ones: DER, CMS SignedData with the content attached (protocol.md 4.5).

A signature shows who made a profile; it hides nothing of it. Whether the signer is trusted is not decided here.
"""

from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from certs import (
    CertificateError,
    DeviceCertificate,
    PrivateKey,
    SignatureInvalid,
    SignedData,
    load_device_certificate,
    parse_signed_data,
)
from certs.algorithms import hashed, verify
from certs.cms import DATA, signed_attributes_over
from profiles.errors import SigningFailed

# Without Binary every LF inside the profile becomes CRLF.
_OPTIONS = [pkcs7.PKCS7Options.Binary, pkcs7.PKCS7Options.NoCapabilities]


def sign_profile(rendered: bytes, certificate_der: bytes, key: PrivateKey, chain: Sequence[bytes] = ()) -> bytes:
    """The signed profile in DER: SHA-256, RSA PKCS #1 v1.5 or ECDSA; the certificate and the chain (DER) go with it.

    The signature holds the time it was made, so that no two are the same. Takes about a millisecond of one core.
    Raises SigningFailed.
    """
    certificate = _loaded(certificate_der, "certificate")
    if certificate.public_key() != key.public_key():
        raise SigningFailed("key", "not the one of the certificate")
    builder = pkcs7.PKCS7SignatureBuilder().set_data(rendered).add_signer(certificate, key, hashes.SHA256())
    for link in dict.fromkeys(chain):
        if link != certificate_der:
            builder = builder.add_certificate(_loaded(link, "chain"))
    try:
        return builder.sign(Encoding.DER, _OPTIONS)
    except (ValueError, TypeError) as error:
        raise SigningFailed("key", "no signature can be made with it") from error


def read_signed_profile(signed_profile: bytes) -> tuple[bytes, bytes]:
    """The content and the DER of the certificate that signed it, its signature checked; DER or BER.

    Raises MalformedDER, SignatureInvalid or CertificateRefused of `certs`.
    """
    signed = parse_signed_data(signed_profile)
    if signed.content is None:
        raise SignatureInvalid("the signature has no content with it")
    signer = _signer(signed)
    message = _signed_message(signed, signed.content)
    verify(signer.public_key, signed.signature, message, signed.signature_algorithm, signed.digest_algorithm)
    return signed.content, signer.der


def _loaded(der: bytes, what: str) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(der)
    except Exception as error:  # whatever the parser raises, it is about these bytes
        raise SigningFailed(what, f"not a certificate in DER: {type(error).__name__}") from error


def _signed_message(signed: SignedData, content: bytes) -> bytes:
    """The bytes under the signature: RFC 5652 §5.4."""
    if signed.content_type != DATA:
        raise SignatureInvalid("the content type is not data")
    if signed.signed_attributes is None:
        return content
    return signed_attributes_over(signed, hashed(content, signed.digest_algorithm))


def _signer(signed: SignedData) -> DeviceCertificate:
    unreadable: CertificateError | None = None
    for der in signed.certificates:
        try:
            certificate = load_device_certificate(der)
        except CertificateError as error:
            unreadable = error  # it may be one of the chain, which nothing depends on
            continue
        if signed.signer in certificate.signer_names:
            return certificate
    raise unreadable or SignatureInvalid("no certificate in the signature is the one its signer names")
