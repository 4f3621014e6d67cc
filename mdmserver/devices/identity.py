"""Which certificate may speak for which enrollment, and what an Authenticate with it begins (S1, S2, S4).

A certificate is bound to a device enrollment and is active, in grace, superseded or revoked. At most one is active
and one in grace. The body's ids only confirm what the certificate says.

    certificate            | enrollment       | an Authenticate is
    -----------------------+------------------+----------------------------------------------------------
    of an invitation       | unknown or ended | a new enrollment, or a new life                       (a)
    of an invitation       | live             | a new life if the invitation may replace it, or it was
                           |                  | released; else refused, asked                         (b)
    ours, believed here    | live             | news of its facts: a renewal, or the same again     (c, d)
    ours, believed here    | ended            | refused
    never seen, external   | unknown or ended | a new enrollment or life; the certificate is pinned   (e)
    never seen, external   | live             | a new life if `allow` or released; else refused, asked (e)
    active here, external  | live             | a new life                                            (d)
    another device's       | any              | refused                                               (f)
    superseded or revoked  | any              | refused                                               (f)
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, StrEnum, auto

from mdmserver.devices.model import EnrollmentRow

GRACE = timedelta(days=7)
"""How long the certificate before a renewed one stays good, unless the renewed one is used sooner."""


class IdentityState(StrEnum):
    """Where a certificate stands. Only active and in-grace ones are believed."""

    ACTIVE = "active"
    GRACE = "grace"
    SUPERSEDED = "superseded"
    REVOKED = "revoked"


class Reenrollment(StrEnum):
    """What a CA's new certificate may do for a device that is enrolled; INVITED stands for the built-in CA."""

    ALLOW = "allow"
    ASK = "ask"
    INVITED = "invited"


class ExpiredIdentity(StrEnum):
    """What a certificate that only expired may still do: renew itself, or nothing (S4)."""

    RENEW = "renew"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentedIdentity:
    """The certificate that a request proved possession of, as the edge found it."""

    fingerprint: bytes
    certificate: bytes
    authority: str
    reenrollment: Reenrollment
    not_before: datetime
    not_after: datetime
    is_expired: bool
    by_signature: bool

    @property
    def description(self) -> str:
        """For people."""
        return f"certificate {self.fingerprint.hex()[:16]} of {self.authority}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownIdentity:
    """A certificate as stored, and the device enrollment it belongs to."""

    enrollment: EnrollmentRow
    state: IdentityState
    changed_at: datetime
    is_first_use: bool = False
    """Renewed, and not used by the device until now."""

    @property
    def is_believed(self) -> bool:
        """Whether it is one of the two states in which a certificate speaks for its device."""
        return self.state in (IdentityState.ACTIVE, IdentityState.GRACE)

    def is_out_of_grace(self, at: datetime) -> bool:
        """Whether it was replaced by a renewed one so long ago that it is good for renewal alone."""
        return self.state is IdentityState.GRACE and at - self.changed_at > GRACE


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """A certificate that is bound to nothing yet, and what vouches for it."""

    is_refused: bool = False
    may_replace: bool = False
    """It may begin a new life of a device that is enrolled."""
    issued: int | None = None
    """Its record, if it is ours."""
    uid: str | None = None
    """The id in its subject, if it is ours; the enrollment takes it over."""
    user_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownEnrollment:
    """The little of a device enrollment that the decision needs."""

    row: EnrollmentRow
    is_live: bool
    is_released: bool
    """An administrator allowed this device to enroll again."""


class Beginning(Enum):
    """What an Authenticate begins."""

    ENROLLMENT = auto()
    LIFE = auto()
    FACTS = auto()
    """Nothing: the device renewed its certificate or says again what it said."""
    PENDING = auto()
    """Refused for now, and listed for an administrator to release."""
    NOTHING = auto()
    """Refused."""


def decide(
    identity: KnownIdentity | None,
    enrollment: KnownEnrollment | None,
    *,
    newcomer: Newcomer,
    reenrollment: Reenrollment,
    at: datetime,
) -> Beginning:
    """What an Authenticate with this certificate for this enrollment begins: the table above, row by row."""
    if identity is not None:
        is_own = enrollment is not None and identity.enrollment == enrollment.row
        if not is_own or not identity.is_believed or identity.is_out_of_grace(at):
            return Beginning.NOTHING
        if reenrollment is Reenrollment.INVITED:
            return Beginning.FACTS if enrollment is not None and enrollment.is_live else Beginning.NOTHING
        return Beginning.LIFE if identity.state is IdentityState.ACTIVE else Beginning.NOTHING
    if newcomer.is_refused:
        return Beginning.NOTHING
    if enrollment is None:
        return Beginning.ENROLLMENT
    if not enrollment.is_live or enrollment.is_released or newcomer.may_replace:
        return Beginning.LIFE
    return Beginning.PENDING


class Verdict(Enum):
    """What a certificate may do in any message but Authenticate."""

    WELCOME = auto()
    RENEWAL_ONLY = auto()
    """Expired or out of grace, and allowed to renew: connects are answered with the renewal, nothing else is done."""
    REFUSED = auto()


def judge(
    identity: KnownIdentity | None,
    device: EnrollmentRow | None,
    *,
    presented: PresentedIdentity,
    expired: ExpiredIdentity,
    at: datetime,
) -> Verdict:
    """Whether the certificate speaks for the device `device` (None: unknown), whichever channel the message is for."""
    if identity is None or device is None or identity.enrollment != device:
        return Verdict.REFUSED
    if not identity.is_believed:
        return Verdict.REFUSED
    if presented.is_expired:
        may_renew = expired is ExpiredIdentity.RENEW and presented.by_signature
        return Verdict.RENEWAL_ONLY if may_renew else Verdict.REFUSED
    if identity.is_out_of_grace(at):
        # The device never used the renewed one. It may have lost it: it is let in to renew, and to do nothing else.
        return Verdict.RENEWAL_ONLY
    return Verdict.WELCOME
