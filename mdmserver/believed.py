"""Which CAs are believed: those of the configuration, and our own, which may change while we run."""

from collections.abc import Mapping
from pathlib import Path

from certs import CertificateCache, DeviceAuthority, DeviceTrust, load_device_certificate, load_pem_certificates
from certs.errors import CertificateError
from mdmserver.config import Config, DeviceCA
from mdmserver.devices.identity import Reenrollment
from mdmserver.errors import Invalid


class BelievedAuthorities:
    """Keeps the certificate cache and the table of policies in step with the CAs that are in force."""

    def __init__(self, config: Config) -> None:
        self._external = configured_authorities(config)
        self._policies = {authority.name: Reenrollment(authority.reenrollment) for authority in config.device_ca}
        self._in_force = dict(self._policies)
        self.certificates = CertificateCache(self._trust([]))

    @property
    def policies(self) -> Mapping[str, Reenrollment]:
        """What a new certificate of each CA may do for a device that is enrolled, by the CA's name; stays current."""
        return self._in_force

    def change(self, own: list[DeviceAuthority]) -> None:
        """Our own CAs are these now."""
        self.certificates.trust_now(self._trust(own))
        self._in_force.clear()
        self._in_force |= self._policies | {authority.name: Reenrollment.INVITED for authority in own}

    def _trust(self, own: list[DeviceAuthority]) -> DeviceTrust:
        trust = DeviceTrust([*self._external, *own])
        if trust.problems:
            raise Invalid(f"device_ca {trust.problems[0]}", code="invalid_device_ca")
        return trust


def configured_authorities(config: Config) -> list[DeviceAuthority]:
    """The device CAs of the configuration. Raises Invalid naming the one that cannot be read."""
    return [_authority(device_ca) for device_ca in config.device_ca]


def _authority(device_ca: DeviceCA) -> DeviceAuthority:
    """Certificates whose issuer is in the same file are intermediates; the others are where trust begins."""
    try:
        certificates = load_pem_certificates(Path(device_ca.certificates).read_bytes())
        parsed = [load_device_certificate(der) for der in certificates]
    except (OSError, CertificateError) as error:
        raise Invalid(
            f"device_ca {device_ca.name}: {device_ca.certificates}: {error}", code="invalid_device_ca"
        ) from error
    subjects = {certificate.subject for certificate in parsed}
    roots = tuple(
        certificate.der
        for certificate in parsed
        if certificate.issuer == certificate.subject or certificate.issuer not in subjects
    )
    intermediates = tuple(certificate.der for certificate in parsed if certificate.der not in roots)
    return DeviceAuthority(name=device_ca.name, roots=roots, intermediates=intermediates)
