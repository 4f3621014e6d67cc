"""Waking devices: what is sent to APNs, what it answers, and when an enrollment is pushed next.

An enrollment is due while something waits in its queue: at once when it is asked for, then again after 15 minutes,
an hour, four hours and each day, until nothing is open any more. Several asks before a push make one push.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from mdmserver.devices.model import EnrollmentRow
from mdmserver.secret import Secret

EXPIRATION = timedelta(days=7)
"""How long APNs keeps a push for a device that is off."""
REPUSH_AFTER = (timedelta(minutes=15), timedelta(hours=1), timedelta(hours=4), timedelta(days=1))
REFUSED_AGAIN_AFTER = timedelta(days=1)
RETRY_FIRST, RETRY_LONGEST = timedelta(seconds=2), timedelta(minutes=15)
ATTEMPTS_KEPT = timedelta(days=30)
STOPS_TOKEN = 410
RETRIED_DAILY = frozenset({"BadDeviceToken", "DeviceTokenNotForTopic"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PushIdentity:
    """What APNs knows us by for one topic: PEM of the certificate with its chain, and of its key."""

    topic: str
    certificate: bytes = field(repr=False)
    key: Secret[bytes]
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One push. `apns_id` is a UUID in lower case; the same one again is the same push to APNs."""

    token: Secret[bytes]
    magic: Secret[str]
    apns_id: str
    expires_at: datetime
    priority: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a push. `status` None: no answer, and `reason` says why not (connection lost, timed out …).

    `timestamp` comes with 410: since when APNs has known that the token is no more.
    """

    status: int | None
    apns_id: str | None = None
    reason: str | None = None
    timestamp: datetime | None = None

    @property
    def is_accepted(self) -> bool:
        """Whether APNs took it. That the device heard it is not said."""
        return self.status == 200


class OutcomeClass(StrEnum):
    """What came of a push, for counting: taken, refused, refused for good (410), or not answered."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    STOPPED = "stopped"
    UNANSWERED = "unanswered"


def class_of(outcome: Outcome) -> OutcomeClass:
    """The class of an outcome."""
    if outcome.is_accepted:
        return OutcomeClass.ACCEPTED
    if outcome.status is None:
        return OutcomeClass.UNANSWERED
    return OutcomeClass.STOPPED if outcome.status == STOPS_TOKEN else OutcomeClass.REFUSED


class Fate(StrEnum):
    """What an outcome means for the enrollment."""

    ACCEPTED = "accepted"
    STOPPED = "stopped"
    """The token is dead until a TokenUpdate, a connect or a new push certificate."""
    DAILY = "daily"
    """The token may be wrong: once a day."""
    RETRIED = "retried"
    """Nothing is said about the token: later again."""


def fate_of(outcome: Outcome, *, token_since: datetime | None) -> Fate:
    """What to do after an outcome; `token_since` is when the device sent this token.

    A 410 that APNs dates before the device sent its token is about an earlier registration, not about this token.
    """
    if outcome.is_accepted:
        return Fate.ACCEPTED
    if outcome.status == STOPS_TOKEN:
        is_older = outcome.timestamp is not None and token_since is not None and outcome.timestamp < token_since
        return Fate.RETRIED if is_older else Fate.STOPPED
    if outcome.reason in RETRIED_DAILY:
        return Fate.DAILY
    return Fate.RETRIED


def repush_after(step: int) -> timedelta:
    """How long after the push number `step` (1 is the first) what is still open is pushed again."""
    return REPUSH_AFTER[min(step, len(REPUSH_AFTER)) - 1]


def retry_after(failures: int, *, jitter: float) -> timedelta:
    """How long after this many failures in a row; `jitter` from 0 to 1 spreads it over half to all of the time."""
    doublings: int = 2 ** min(failures - 1, 20)
    return min(RETRY_FIRST * doublings, RETRY_LONGEST) * (0.5 + jitter / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """An enrollment claimed for a push."""

    enrollment: EnrollmentRow
    topic: str
    token: Secret[bytes]
    magic: Secret[str]
    token_since: datetime | None
    last_seen_at: datetime | None
    asks: int
    """How often waking it was asked for so far; when that changes meanwhile, it is pushed once more."""
    step: int
    failures: int
    apns_id: str
    claimed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A push as the timeline has it."""

    at: datetime
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class PushCounts:
    """How many enrollments are due for a push now, will be, and have a token that APNs called dead."""

    due: int
    waiting: int
    stopped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPushCertificate:
    """A topic's certificate. `certificate` is PEM with its chain; halted: pushing was stopped, and why."""

    topic: str
    certificate: bytes = field(repr=False)
    fingerprint: str
    not_before: datetime
    not_after: datetime
    installed_at: datetime
    installed_by: str
    halted_at: datetime | None = None
    halted_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRequest:
    """A request (DER) and its key (PEM); with mdmcert.download also what its mailed answer is encrypted to."""

    id: str
    csr: bytes = field(repr=False)
    key: Secret[bytes]
    reply_certificate: bytes | None = field(default=None, repr=False)
    reply_key: Secret[bytes] | None = None
    created_at: datetime
    created_by: str
