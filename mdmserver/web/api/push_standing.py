"""How it stands with waking one enrollment, and what would happen next, in a sentence. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from mdmserver.devices.model import Enrollment, EnrollmentState
from mdmserver.push.model import StoredPushCertificate
from mdmserver.web.routes import Outgoing


class PushStandingView(Outgoing, frozen=True):
    """The last push and the next one; `next` says for people what would happen now.

    `status` is what APNs answered, null if it gave no answer: `reason` then says why not.
    """

    next_at: datetime | None
    pushed_at: datetime | None
    status: int | None
    reason: str | None
    apns_id: str | None
    accepted_at: datetime | None
    stopped_at: datetime | None
    next: str


class EnrollmentProblem(Outgoing, frozen=True):
    """Something that keeps an enrollment from working as it should; `code` is stable."""

    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """Which topics have a certificate, and why some of them are pushed no more."""

    known: frozenset[str] = frozenset()
    halted: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, certificates: Iterable[StoredPushCertificate]) -> "Topics":
        """As the certificates in force have it."""
        present = tuple(certificates)
        return cls(
            known=frozenset(each.topic for each in present),
            halted={each.topic: each.halted_reason or "" for each in present if each.halted_at is not None},
        )


def standing_view(enrollment: Enrollment, topics: Topics, at: datetime) -> PushStandingView:
    """An enrollment's standing as it is shown."""
    push = enrollment.push
    return PushStandingView(
        next_at=push.next_at,
        pushed_at=push.pushed_at,
        status=push.status,
        reason=push.reason,
        apns_id=push.apns_id,
        accepted_at=push.accepted_at,
        stopped_at=push.stopped_at,
        next=_next(enrollment, topics, at),
    )


def push_problems(enrollment: Enrollment, topics: Topics) -> list[EnrollmentProblem]:
    """What keeps an enrollment from being woken; nothing for one that takes no commands anyway."""
    if enrollment.state is not EnrollmentState.ENROLLED:
        return []
    topic, stopped_at, found = enrollment.topic, enrollment.push.stopped_at, {}
    if not enrollment.has_push_token:
        found["no_push_token"] = (
            "the device sent no push token that can be used; it gets commands only when it connects by itself"
        )
    if topic not in topics.known:
        found["no_push_certificate"] = f"there is no push certificate for the topic {topic}: the device is not woken"
    elif topic in topics.halted:
        found["push_halted"] = f"pushing on {topic} is halted: {topics.halted[topic]}"
    if stopped_at is not None:
        found["push_token_stopped"] = (
            f"APNs said at {_time(stopped_at)} that the push token is dead "
            f"({answer_of(enrollment.push.status, enrollment.push.reason)}); it is used again when the device connects "
            "by itself or sends a new one, or a push certificate is installed"
        )
    return [EnrollmentProblem(code=code, text=text) for code, text in found.items()]


def answer_of(status: int | None, reason: str | None) -> str:
    """What APNs answered, as people read it."""
    if status is None:
        return f"no answer: {reason}" if reason else "no answer"
    return f"{status} {reason}" if reason else str(status)


def _next(enrollment: Enrollment, topics: Topics, at: datetime) -> str:
    if enrollment.state is EnrollmentState.ENDED:
        return "nothing: the enrollment has ended"
    if enrollment.state is EnrollmentState.ENROLLING:
        return "nothing until the device has finished enrolling"
    if enrollment.state is EnrollmentState.ERASED:
        return "nothing: the device acknowledged an erase"
    if problems := push_problems(enrollment, topics):
        return f"no push: {problems[0].text}"
    next_at = enrollment.push.next_at
    if next_at is None:
        return "nothing waits for the device: it is pushed as soon as a command is queued"
    again = "" if enrollment.push.pushed_at is None else " again"
    last = enrollment.push
    because = ""
    if last.pushed_at is not None and last.status != 200:
        because = f"; APNs did not take the last push ({answer_of(last.status, last.reason)})"
    if next_at <= at:
        return f"it is pushed{again} now{because}"
    return f"it is pushed{again} at {_time(next_at)} if a command still waits for it then{because}"


def _time(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
