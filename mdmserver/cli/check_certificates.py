"""Checks of certificates: those of TLS and of the CAs that devices hold theirs from."""

import ssl
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from certs import CertificateError, DeviceCertificate, load_device_certificate, load_pem_certificates
from mdmserver.believed import BelievedAuthorities
from mdmserver.cli.findings import Finding, failure, ok, warning
from mdmserver.cli.simulator_ca import SIMULATOR_CA_NAME
from mdmserver.config import Config
from mdmserver.errors import MDMError

_SOON = timedelta(days=21)
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def check_tls_files(config: Config, *, now: datetime) -> Iterator[Finding]:
    """Certificate and key load, belong together and do not expire soon."""
    if not (config.tls.certificate and config.tls.key):
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            config.tls.certificate, config.tls.key, password=lambda: ""
        )
        leaf = load_device_certificate(load_pem_certificates(Path(config.tls.certificate).read_bytes())[0])
    except (OSError, ValueError, CertificateError) as error:
        yield failure("tls", f"{config.tls.certificate} and {config.tls.key} cannot be used: {error}")
        return
    # Devices refuse an expired server certificate.
    yield by_expiry("tls", leaf, now=now, expired=failure)


def check_device_authorities(config: Config, *, now: datetime) -> Iterator[Finding]:
    """The CAs load and can be used; the simulator's is not trusted by a server that others reach."""
    try:
        BelievedAuthorities(config)
    except MDMError as error:
        yield failure("device CA", str(error))
        return
    for authority in config.device_ca:
        for der in load_pem_certificates(Path(authority.certificates).read_bytes()):
            # Only told: what an expired CA signed stays believed (`certs.trust`).
            yield by_expiry(f"device CA {authority.name}", load_device_certificate(der), now=now, expired=warning)
    is_public = urlsplit(config.server.url).hostname not in _LOOPBACK
    if is_public and any(authority.name == SIMULATOR_CA_NAME for authority in config.device_ca):
        yield warning(
            "simulator CA", f"it is trusted while the public name is {config.server.url}: take it out of config.toml"
        )


def by_expiry(
    check: str, certificate: DeviceCertificate, *, now: datetime, expired: Callable[[str, str], Finding]
) -> Finding:
    """ok; a warning for what expires soon; what `expired` makes of one that has."""
    text = f"{certificate.subject}, valid until {certificate.not_after.date()}"
    if certificate.not_after <= now:
        return expired(check, f"{text}: expired")
    return warning(check, f"{text}: expires soon") if certificate.not_after - now < _SOON else ok(check, text)
