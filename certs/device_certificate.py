"""The certificate a device identifies itself with.

Trust by chain is decided in `trust`; whether the certificate is the active one of an enrollment elsewhere.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from certs.certificate_fields import read_certificate, subject_key_identifier
from certs.cms import signer_names
from certs.errors import CertificateError, CertificateExpired, CertificateRefused, MalformedDER
from certs.keys import PublicKey, verifiable


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCertificate:
    """A certificate with a key that devices may have; names are RFC 4514.

    `fingerprint` is SHA-256 over the part that is signed (tbsCertificate), not over the whole: whoever holds an
    ECDSA-signed certificate can write its signature another way (s as n-s), and would else return as a stranger.
    `signer_names` are the elements by which a CMS signer may name it.
    """

    der: bytes
    fingerprint: bytes
    subject: str
    issuer: str
    issuer_der: bytes
    serial_number: int
    not_before: datetime
    not_after: datetime
    public_key: PublicKey
    signer_names: tuple[bytes, ...] = ()


def load_device_certificate(der: bytes) -> DeviceCertificate:
    """Reads one certificate; raises MalformedDER, or CertificateRefused for a key that is not accepted.

    Accepted are RSA keys of 1024 to 4096 bits and EC keys on P-256, P-384 and P-521.
    """
    parts = read_certificate(der)
    # Said before the parser sees it: it warns about these, and a warning is global state.
    if parts.serial_number <= 0:
        raise CertificateRefused(f"serial number {parts.serial_number} is not positive")
    try:
        certificate = x509.load_der_x509_certificate(der)
        return DeviceCertificate(
            der=der,
            fingerprint=hashlib.sha256(parts.signed).digest(),
            subject=certificate.subject.rfc4514_string(),
            issuer=certificate.issuer.rfc4514_string(),
            issuer_der=parts.issuer_der,
            serial_number=parts.serial_number,
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            public_key=verifiable(certificate.public_key()),
            signer_names=signer_names(parts.issuer_der, parts.serial_number, subject_key_identifier(parts)),
        )
    except CertificateError:
        raise
    except Exception as error:  # whatever the parser raises, it is about these bytes
        raise MalformedDER(f"certificate cannot be read: {type(error).__name__}") from error


def check_validity(certificate: DeviceCertificate, at: datetime) -> None:
    """Raises CertificateExpired after its time, CertificateRefused before it."""
    if at > certificate.not_after:
        raise CertificateExpired(f"certificate expired at {certificate.not_after.isoformat()}")
    if at < certificate.not_before:
        raise CertificateRefused(f"certificate is not valid before {certificate.not_before.isoformat()}")
