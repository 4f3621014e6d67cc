"""What is wrong, or soon will be, with waking devices at all: certificates that are missing or end, halts, silence."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from mdmserver.push.certificates import days_left, warned_at
from mdmserver.push.model import StoredPushCertificate
from mdmserver.web.api.certificate_problems import ServerProblem

_RENEW = "renew it (not: create a new one) in Apple's portal with the same Apple ID, then install it"


def topic_problems(
    certificates: Sequence[StoredPushCertificate], silences: Mapping[str, str], at: datetime
) -> list[ServerProblem]:
    """All that there are now; `silences` are topics on which APNs does not answer, and why not."""
    if not certificates:
        text = "there is no push certificate: devices are not woken; see `mdmserver push-certificate request`"
        return [ServerProblem(code="no_push_certificate", text=text)]
    problems = [problem for each in certificates for problem in _problems_of(each, at)]
    for topic, reason in silences.items():
        text = f"pushes on {topic} have no answer from APNs: {reason}; they are tried again by themselves"
        problems.append(ServerProblem(code="apns_does_not_answer", text=text))
    return problems


def _problems_of(certificate: StoredPushCertificate, at: datetime) -> Iterable[ServerProblem]:
    topic, until, days = certificate.topic, certificate.not_after.date(), days_left(certificate.not_after, at)
    if certificate.not_after <= at:
        text = f"the push certificate for {topic} expired on {until}: devices are not woken; {_RENEW}"
        yield ServerProblem(code="push_certificate_expired", text=text)
    elif warned_at(days) is not None:
        text = f"the push certificate for {topic} expires in {days} days, on {until}; {_RENEW}"
        yield ServerProblem(code="push_certificate_expiring", text=text)
    if certificate.halted_at is not None:
        text = (
            f"pushing on {topic} is halted since {certificate.halted_at.isoformat(timespec='seconds')}: "
            f"{certificate.halted_reason}. When that is mended: `mdmctl push resume {topic}`"
        )
        yield ServerProblem(code="push_halted", text=text)
