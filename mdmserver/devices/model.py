"""Who is enrolled. An enrollment is one channel of one device; sending it commands is `commands`.

An enrollment has lives. A life begins with an Authenticate that `identity.decide` calls a new one and ends with a
CheckOut, a deletion or the next life. `enabled` is true from a life's first TokenUpdate to its end.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType

from mdmserver.protocol import EnrollmentID
from mdmserver.secret import Secret

EnrollmentRow = NewType("EnrollmentRow", int)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFacts:
    """What a device says of itself; every field is its own claim. None means that it did not say."""

    serial_number: str | None = None
    device_name: str | None = None
    model: str | None = None
    model_name: str | None = None
    product_name: str | None = None
    os_version: str | None = None
    build_version: str | None = None
    imei: str | None = None
    meid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PushInfo:
    """Where APNs finds an enrollment. A None token is one that the device sent and nobody can read."""

    topic: str
    token: Secret[bytes] | None
    magic: Secret[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PushStanding:
    """How it stands with waking an enrollment. `next_at` None: nothing waits for it, so it is not woken."""

    next_at: datetime | None = None
    pushed_at: datetime | None = None
    status: int | None = None
    """What APNs answered to the last push; None if it gave no answer, and `reason` then says why."""
    reason: str | None = None
    apns_id: str | None = None
    accepted_at: datetime | None = None
    stopped_at: datetime | None = None
    """APNs called the token dead: no push until a TokenUpdate, a connect or a new push certificate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrollment:
    """One enrollment as people see it. It holds no secret: of the push token only whether there is one."""

    row: EnrollmentRow
    id: EnrollmentID
    life: int
    enabled: bool
    ended_at: datetime | None
    topic: str | None
    has_push_token: bool
    token_update_tally: int
    awaiting_configuration: bool
    facts: DeviceFacts = field(default_factory=DeviceFacts)
    user_short_name: str | None
    user_long_name: str | None
    user_name: str | None = None
    """For whom the device was invited, as the administrator wrote it."""
    is_to_unenroll: bool = False
    erased_at: datetime | None = None
    """When it acknowledged an erase, if it did in this life and has not shown since that it did not do it."""
    created_at: datetime
    enrolled_at: datetime | None
    last_seen_at: datetime | None
    push: PushStanding = field(default_factory=PushStanding)

    @property
    def state(self) -> "EnrollmentState":
        """Where the enrollment stands in its life."""
        if self.ended_at is not None:
            return EnrollmentState.ENDED
        if self.enabled:
            return EnrollmentState.ENROLLED
        return EnrollmentState.ENROLLING if self.erased_at is None else EnrollmentState.ERASED


class EnrollmentState(StrEnum):
    """enrolling: Authenticate came, TokenUpdate not yet; enrolled: takes commands; erased: it acknowledged an
    erase and ends a day later; ended: checked out or deleted."""

    ENROLLING = "enrolling"
    ENROLLED = "enrolled"
    ERASED = "erased"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentFilter:
    """Which enrollments to list; None asks for nothing in particular. Text matches exactly."""

    state: EnrollmentState | None = None
    serial_number: str | None = None
    device: str | None = None
    """The device part of the enrollment id: the device and all its users."""
    types: frozenset[str] = frozenset()


class EventKind(StrEnum):
    """What can happen in the life of an enrollment."""

    ENROLLMENT_BEGAN = "enrollment_began"
    NEW_LIFE = "new_life"
    FACTS_UPDATED = "facts_updated"
    REENROLLMENT_PENDING = "reenrollment_pending"
    REENROLLMENT_ALLOWED = "reenrollment_allowed"
    ENROLLED = "enrolled"
    CHECKED_OUT = "checked_out"
    BOOTSTRAP_TOKEN_STORED = "bootstrap_token_stored"
    BOOTSTRAP_TOKEN_DELETED = "bootstrap_token_deleted"
    BOOTSTRAP_TOKEN_RETURNED = "bootstrap_token_returned"
    CONFIGURED = "configured"
    RENEWED = "certificate_renewed"
    UNENROLL_REQUESTED = "unenroll_requested"
    RETIRED = "retired"
    ERASE_ACKNOWLEDGED = "erase_acknowledged"
    ERASE_NOT_DONE = "erase_not_done"
    ERASED = "erased"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateTroubles:
    """How many live devices have an expired certificate, and how many one whose renewal is overdue.

    Overdue is a certificate of ours that is in the last sixth of its time: half of what there was for its renewal.
    """

    expired: int
    overdue: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEntry:
    """One thing that happened, at a time; `detail` is for people and holds no secret."""

    at: datetime
    kind: str
    detail: str
    life: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingReenrollment:
    """A known device that asked to enroll again with a certificate that nobody vouched for (S2 e, ask)."""

    id: EnrollmentID
    fingerprint: bytes
    serial_number: str | None
    first_at: datetime
    last_at: datetime
    attempts: int
