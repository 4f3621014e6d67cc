"""Which CAs may issue device certificates, and whether one of them issued a given certificate.

Link by link with pinned CAs, because path builders refuse what devices have: no alternative name, SHA-1
signatures, issuers that expired years ago. Time and revocation are not looked at; name constraints and
policies are not either: the operator configured these CAs for devices.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from certs.certificate_fields import is_authority, may_authenticate_clients, read_certificate
from certs.device_certificate import DeviceCertificate
from certs.errors import CertificateRefused, MalformedDER
from certs.issuer import Issuer, usable_issuers
from certs.pem import decode_certificates


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceAuthority:
    """One CA that issues device certificates, ours or another's; certificates are DER."""

    name: str
    roots: tuple[bytes, ...]
    intermediates: tuple[bytes, ...] = ()


def load_pem_certificates(pem: bytes) -> tuple[bytes, ...]:
    """The DER of all certificates in a PEM file; raises MalformedDER if there is none or one is unreadable."""
    certificates = decode_certificates(pem)
    if not certificates:
        raise MalformedDER("no certificate in the PEM")
    for number, der in enumerate(certificates, start=1):
        try:
            read_certificate(der)
        except MalformedDER as error:
            raise MalformedDER(f"certificate {number} in the PEM: {error}") from error
    return certificates


class DeviceTrust:
    """The configured device CAs; raises MalformedDER for a CA certificate that cannot be read.

    A CA certificate that can be part of no path is kept out, and `problems` says so.
    """

    def __init__(self, authorities: Sequence[DeviceAuthority]) -> None:
        self._configured: set[bytes] = set()
        self._issuers: dict[bytes, list[tuple[str, Issuer]]] = {}
        self._problems: list[str] = []
        for authority in authorities:
            usable, problems = usable_issuers(authority.roots, authority.intermediates)
            self._configured.update(authority.roots, authority.intermediates)
            self._problems += [f"{authority.name}: {problem}" for problem in problems]
            for issuer in usable:
                self._issuers.setdefault(issuer.fields.subject_der, []).append((authority.name, issuer))

    @property
    def problems(self) -> tuple[str, ...]:
        """One sentence for every configured certificate that no path can use."""
        return tuple(self._problems)

    def issuer_of(self, leaf: DeviceCertificate) -> str:
        """The name of the authority that issued this certificate; raises CertificateRefused."""
        fields = read_certificate(leaf.der)
        if leaf.der in self._configured or is_authority(fields):
            raise CertificateRefused(f"{leaf.subject!r} is a CA certificate, not a device's")
        if not may_authenticate_clients(fields):
            raise CertificateRefused(f"the extended key usage of {leaf.subject!r} does not allow clientAuth")
        namesakes = self._issuers.get(fields.issuer_der)
        if namesakes is None:
            raise CertificateRefused(f"issuer {leaf.issuer!r} is no CA configured for devices")
        for authority, issuer in namesakes:  # two CAs may have one name: the signature decides
            if issuer.signed(fields):
                return authority
        raise CertificateRefused(f"no CA {leaf.issuer!r} configured for devices made this signature")
