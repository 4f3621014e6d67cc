"""Checks of push: that there is a certificate that does not end soon, that its topic is not halted, who APNs is."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from certs import CertificateError, load_pem_certificates
from mdmserver.cli.findings import Finding, failure, ok, warning
from mdmserver.config import Config
from mdmserver.push.certificates import days_left, warned_at
from mdmserver.push.model import StoredPushCertificate

_CHECK = "push certificate"
_APPLE = ".push.apple.com"


def check_push_certificates(certificates: Sequence[StoredPushCertificate], *, now: datetime) -> Iterator[Finding]:
    """One finding for each; without any a warning, since devices still come by themselves."""
    if not certificates:
        yield warning(_CHECK, "there is none: devices are not woken; see mdmserver push-certificate --help")
    for each in certificates:
        yield _found(each, now)


def check_apns(config: Config) -> Iterator[Finding]:
    """Another push service than Apple's is told, and the CA that is named for it can be read."""
    apns = config.apns
    if apns.ca_file:
        try:
            found = len(load_pem_certificates(Path(apns.ca_file).read_bytes()))
        except (OSError, ValueError, CertificateError) as error:
            yield failure("apns", f"apns.ca_file {apns.ca_file} cannot be used: {error}")
            return
        if not found:
            yield failure("apns", f"there is no certificate in apns.ca_file {apns.ca_file}")
            return
    if not apns.host.endswith(_APPLE):
        yield warning("apns", f"pushes go to {apns.host}, which is not Apple's: real devices are not woken")


def _found(certificate: StoredPushCertificate, now: datetime) -> Finding:
    days = days_left(certificate.not_after, now)
    text = f"{certificate.topic}, valid until {certificate.not_after.date()}"
    if certificate.not_after <= now:
        return failure(_CHECK, f"{text}: expired, devices are not woken; renew it in Apple's portal")
    if certificate.halted_at is not None:
        return failure(_CHECK, f"{text}: pushing is halted: {certificate.halted_reason}")
    if warned_at(days) is not None:
        return warning(_CHECK, f"{text}: expires in {days} days; renew it in Apple's portal")
    return ok(_CHECK, text)
