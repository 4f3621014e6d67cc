"""The certificates that are trusted, remembered: a request should not cost reading and checking them again."""

from collections import OrderedDict
from dataclasses import dataclass, fields
from typing import TypeVar

from certs.device_certificate import DeviceCertificate, load_device_certificate
from certs.errors import CertificateRefused
from certs.trust import DeviceTrust

MAX_REFUSED = 1024

_Value = TypeVar("_Value")


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


def _remember(store: OrderedDict[bytes, _Value], der: bytes, value: _Value, capacity: int) -> None:
    store[der] = value
    if len(store) > capacity:
        store.popitem(last=False)
