"""The certificate a device identifies itself with, and the cache of those that are trusted.

Trust by chain is decided in `trust`; whether the certificate is the active one of an enrollment elsewhere.
"""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, fields
from datetime import datetime
from typing import TypeVar

from cryptography import x509

from certs.certificate_fields import read_certificate, subject_key_identifier
from certs.cms import signer_names
from certs.errors import CertificateError, CertificateExpired, CertificateRefused, MalformedDER
from certs.keys import PublicKey, verifiable
from certs.trust import DeviceTrust

MAX_REFUSED = 1024

_Value = TypeVar("_Value")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedCertificate(DeviceCertificate):
    """A certificate that one of the configured CAs issued; `authority` is that CA's name."""

    authority: str


class CertificateCache:
    """Remembers what can never change about a certificate: its parts, its hash, who issued it.

    Time and revocation are not remembered. Least recently used entries go first; refusals have a small
    store of their own, so that strangers cannot push devices out. For one thread.
    """

    def __init__(self, trust: DeviceTrust, capacity: int = 16_384) -> None:
        self._trust = trust
        self._capacity = capacity
        self._trusted: OrderedDict[bytes, TrustedCertificate] = OrderedDict()
        self._refused: OrderedDict[bytes, str] = OrderedDict()

    def trust_now(self, trust: DeviceTrust) -> None:
        """Believe other CAs from now on; what was remembered under the old ones is forgotten."""
        self._trust = trust
        self._trusted.clear()
        self._refused.clear()

    def get(self, der: bytes) -> TrustedCertificate:
        """The trusted certificate with these bytes; raises MalformedDER or CertificateRefused."""
        return self.trusted(self.parsed(der))

    def remembered(self, der: bytes) -> TrustedCertificate | None:
        """The certificate if it has been trusted before; None says nothing about it."""
        certificate = self._trusted.get(der)
        if certificate is not None:
            self._trusted.move_to_end(der)
        return certificate

    def parsed(self, der: bytes) -> DeviceCertificate:
        """The certificate with these bytes, trusted or not; raises MalformedDER or CertificateRefused."""
        return self.remembered(der) or load_device_certificate(der)

    def trusted(self, certificate: DeviceCertificate) -> TrustedCertificate:
        """The same certificate with the CA that issued it; raises CertificateRefused."""
        if isinstance(certificate, TrustedCertificate):
            return certificate
        if (refusal := self._refused.get(certificate.der)) is not None:
            raise CertificateRefused(refusal)
        try:
            authority = self._trust.issuer_of(certificate)
        except CertificateRefused as error:
            _remember(self._refused, certificate.der, str(error), MAX_REFUSED)
            raise
        trusted = TrustedCertificate(
            authority=authority,
            **{field.name: getattr(certificate, field.name) for field in fields(certificate)},
        )
        _remember(self._trusted, certificate.der, trusted, self._capacity)
        return trusted


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


def _remember(store: OrderedDict[bytes, _Value], der: bytes, value: _Value, capacity: int) -> None:
    store[der] = value
    if len(store) > capacity:
        store.popitem(last=False)
