"""Which certificate may speak for which enrollment, and what an Authenticate with it begins (S1, S2, S4).

A certificate is bound to a device enrollment and is active, in grace, superseded or revoked. At most one is active
and one in grace. The body's ids only confirm what the certificate says.

    certificate            | enrollment       | an Authenticate is
    -----------------------+------------------+----------------------------------------------------------
    never seen, external   | unknown          | a new enrollment; the certificate is pinned to it     (e)
    never seen, external   | ended            | a new life, likewise                                  (e)
    never seen, external   | live             | a new life if `allow` or released; else refused, asked (e)
    active here, external  | live             | a new life                                            (d)
    another device's       | any              | refused                                               (f)
    superseded or revoked  | any              | refused                                               (f)
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum, auto

from mdmserver.devices.model import EnrollmentRow


class IdentityState(StrEnum):
    """Where a certificate stands. Only active and in-grace ones are believed."""

    ACTIVE = "active"
    GRACE = "grace"
    SUPERSEDED = "superseded"
    REVOKED = "revoked"


class Reenrollment(StrEnum):
    """What an external CA's new certificate may do for a device that is enrolled."""

    ALLOW = "allow"
    ASK = "ask"


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
    not_after: datetime
    is_expired: bool
    by_signature: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownIdentity:
    """A certificate as stored, and the device enrollment it belongs to."""

    enrollment: EnrollmentRow
    state: IdentityState


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
    PENDING = auto()
    """Refused for now, and listed for an administrator to release."""
    NOTHING = auto()
    """Refused."""


def decide(
    identity: KnownIdentity | None, enrollment: KnownEnrollment | None, *, reenrollment: Reenrollment
) -> Beginning:
    """What an Authenticate with this certificate for this enrollment begins: the table above, row by row."""
    if identity is not None:
        is_own = enrollment is not None and identity.enrollment == enrollment.row
        return Beginning.LIFE if is_own and identity.state is IdentityState.ACTIVE else Beginning.NOTHING
    if enrollment is None:
        return Beginning.ENROLLMENT
    if not enrollment.is_live or enrollment.is_released or reenrollment is Reenrollment.ALLOW:
        return Beginning.LIFE
    return Beginning.PENDING


class Verdict(Enum):
    """What a certificate may do in any message but Authenticate."""

    WELCOME = auto()
    RENEWAL_ONLY = auto()
    """Expired, proved by signature, and allowed to renew: connects are answered, nothing else is done."""
    REFUSED = auto()


def judge(
    identity: KnownIdentity | None,
    device: EnrollmentRow | None,
    *,
    presented: PresentedIdentity,
    expired: ExpiredIdentity,
) -> Verdict:
    """Whether the certificate speaks for the device `device` (None: unknown), whichever channel the message is for."""
    if identity is None or device is None or identity.enrollment != device:
        return Verdict.REFUSED
    if identity.state not in (IdentityState.ACTIVE, IdentityState.GRACE):
        return Verdict.REFUSED
    if not presented.is_expired:
        return Verdict.WELCOME
    may_renew = expired is ExpiredIdentity.RENEW and presented.by_signature
    return Verdict.RENEWAL_ONLY if may_renew else Verdict.REFUSED
