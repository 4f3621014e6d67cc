"""Who may have a certificate of the built-in CA, and what was issued.

An invitation is permission for a person to enroll; it is shown as a URL. Each download of its profile, and each
delivery of a renewal, mints a challenge: a secret for one certificate, which replaces the one minted before. A
challenge is used up when its certificate is recorded, which is before that certificate is signed (S10, S15, S16).
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType

from certs import RevocationReason
from mdmserver.devices.model import EnrollmentRow
from mdmserver.secret import Secret

InvitationRow = NewType("InvitationRow", int)
ChallengeRow = NewType("ChallengeRow", int)
AuthorityRow = NewType("AuthorityRow", int)
IssuedRow = NewType("IssuedRow", int)

TOKEN_BYTES = 24
CHALLENGE_BYTES = 20
SERIAL_BITS = 127
LONGEST_INVITATION = timedelta(days=366)
MOST_USES = 1000
UNUSED_CERTIFICATE_LIFETIME = timedelta(hours=24)
UNUSED_RENEWAL_WAIT = timedelta(days=1)
"""A device that does not use its renewed certificate may have lost it: after this time it is offered another."""


class AuthorityRole(StrEnum):
    """The one authority that issues, and those whose certificates are still believed during a roll-over."""

    ISSUING = "issuing"
    TRUSTED = "trusted"


class Purpose(StrEnum):
    """What a certificate is for: the identity of a device, or the server's own TLS."""

    DEVICE = "device"
    SERVER = "server"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAuthority:
    """A CA of ours as it is kept; the key is PEM."""

    row: AuthorityRow
    name: str
    role: AuthorityRole
    certificate: bytes
    key: Secret[bytes]
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """Permission to enroll `uses_allowed` devices. `user_name` and `serial_number` are for whom, None for anyone."""

    row: InvitationRow
    user_name: str | None
    serial_number: str | None
    allow_reenroll: bool
    uses_allowed: int
    uses: int
    downloads: int
    created_at: datetime
    created_by: str
    expires_at: datetime
    revoked_at: datetime | None

    def is_open(self, at: datetime) -> bool:
        """Whether it still lets a device enroll."""
        return self.revoked_at is None and at < self.expires_at and self.uses < self.uses_allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """A minted secret, by what it is for: an invitation, or the renewal of an enrollment."""

    row: ChallengeRow
    invitation: InvitationRow | None
    enrollment: EnrollmentRow | None
    expires_at: datetime
    is_replaced: bool
    is_used: bool

    def is_open(self, at: datetime) -> bool:
        """Whether it can still be turned into a certificate."""
        return not self.is_used and not self.is_replaced and at < self.expires_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """A certificate that is to be signed: everything it will hold but its signature.

    `enrollment_uid` is empty in the server's own.
    """

    purpose: Purpose = Purpose.DEVICE
    authority: AuthorityRow
    serial_number: int
    enrollment_uid: str
    challenge: ChallengeRow | None
    invitation: InvitationRow | None
    enrollment: EnrollmentRow | None
    transaction_id: str | None
    public_key_hash: bytes
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedCertificate:
    """What was recorded of a certificate; `certificate` is None between its recording and its signature."""

    row: IssuedRow
    issue: Issue
    certificate: bytes | None
    fingerprint: bytes | None
    revoked_at: datetime | None

    def repeats(self, *, transaction_id: str, public_key_hash: bytes) -> bool:
        """Whether a request with these is the one it was issued for, whose answer was lost."""
        issue = self.issue
        return issue.transaction_id == transaction_id and issue.public_key_hash == public_key_hash

    @property
    def is_for_newcomers(self) -> bool:
        """Whether a device may begin to enroll with it: not with a renewed, a revoked or the server's own one."""
        is_device = self.issue.purpose is Purpose.DEVICE
        return is_device and self.issue.enrollment is None and self.revoked_at is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoked:
    """An entry of the CRL."""

    serial_number: int
    at: datetime
    reason: RevocationReason


def secret_hash(secret: str) -> bytes:
    """SHA-256 of a URL token or challenge: enough, as both are random and long."""
    return hashlib.sha256(secret.encode()).digest()


def key_hash(public_key_der: bytes) -> bytes:
    """SHA-256 over a SubjectPublicKeyInfo."""
    return hashlib.sha256(public_key_der).digest()
