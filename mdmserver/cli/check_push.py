"""Checks of push certificates: that there is one, that it does not end soon, that its topic is not halted."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from mdmserver.cli.findings import Finding, failure, ok, warning
from mdmserver.push.certificates import days_left, warned_at
from mdmserver.push.model import StoredPushCertificate

_CHECK = "push certificate"


def check_push_certificates(certificates: Sequence[StoredPushCertificate], *, now: datetime) -> Iterator[Finding]:
    """One finding for each; without any a warning, since devices still come by themselves."""
    if not certificates:
        yield warning(_CHECK, "there is none: devices are not woken; see mdmserver push-certificate --help")
    for each in certificates:
        yield _found(each, now)


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
