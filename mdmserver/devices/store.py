"""What enrollments need stored: records, identities, secrets of a device, and its timeline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from mdmserver.devices.identity import IdentityState, KnownIdentity, PresentedIdentity
from mdmserver.devices.model import (
    CertificateTroubles,
    DeviceFacts,
    Enrollment,
    EnrollmentFilter,
    EnrollmentRow,
    EventKind,
    PendingReenrollment,
    PushInfo,
    TimelineEntry,
)
from mdmserver.protocol import EnrollmentID
from mdmserver.secret import Secret
from mdmserver.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """The part of an enrollment that a request is checked against: itself and the device it hangs on."""

    row: EnrollmentRow
    device: EnrollmentRow
    life: int
    is_live: bool
    enabled: bool
    awaiting_configuration: bool
    token_update_tally: int
    is_to_unenroll: bool = False
    has_reauthenticated: bool = False
    """It renewed its certificate, and no TokenUpdate has come since."""
    is_erased: bool = False
    """It acknowledged an erase, and nothing has shown since that it did not do it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identification:
    """What storage knows of who is speaking; for a device channel `channel` is the device itself."""

    device: Channel | None
    channel: Channel | None
    identity: KnownIdentity | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An enrollment that a person or tool named, and whether it takes commands."""

    row: EnrollmentRow
    is_live: bool
    product_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasedDevice:
    """A device that acknowledged an erase, and when it was last seen."""

    device: EnrollmentRow
    id: EnrollmentID
    life: int
    erased_at: datetime
    last_seen_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DueRenewal:
    """A device whose certificate wants renewal, and how often that was tried before."""

    device: EnrollmentRow
    id: EnrollmentID
    life: int
    attempts: int
    not_after: datetime


class DeviceStore(Protocol):
    """Enrollments by id. Rows are stable numbers of ours; ids are what devices call themselves."""

    async def identify(self, tx: Transaction, id: EnrollmentID, fingerprint: bytes) -> Identification:
        """What is known of the enrollment with this id and of the certificate with this SHA-256 fingerprint."""
        ...

    async def insert_enrollment(
        self, tx: Transaction, id: EnrollmentID, *, parent: EnrollmentRow | None, life: int, at: datetime
    ) -> EnrollmentRow:
        """A new enrollment, not enabled; `parent` is the device for a user channel and None for a device."""
        ...

    async def begin_user_life(self, tx: Transaction, user: EnrollmentRow, *, life: int) -> None:
        """A user channel that had ended is there again, in the device's present life, tally 0."""
        ...

    async def begin_life(self, tx: Transaction, device: EnrollmentRow, *, life: int, at: datetime) -> None:
        """Give a device its next life: not enabled, not ended, tally 0, no tokens, no bootstrap token, no release.
        Its user channels end."""
        ...

    async def end_life(self, tx: Transaction, row: EnrollmentRow, *, at: datetime) -> None:
        """End an enrollment's life and, for a device, its user channels': not enabled, tokens dropped."""
        ...

    async def bind_identity(
        self,
        tx: Transaction,
        device: EnrollmentRow,
        presented: PresentedIdentity,
        *,
        renew_at: datetime | None = None,
        at: datetime,
    ) -> None:
        """Make this certificate the device's one active; what was active or in grace before is superseded."""
        ...

    async def bind_renewed(
        self,
        tx: Transaction,
        device: EnrollmentRow,
        *,
        fingerprint: bytes,
        certificate: bytes,
        authority: str,
        not_after: datetime,
        renew_at: datetime,
        retry_at: datetime,
        at: datetime,
    ) -> None:
        """Make a renewed certificate the active one, its first use to come; the one that the device uses goes into
        grace, and one that it never used is superseded. Unless it is used, renewal is due again at `retry_at`."""
        ...

    async def confirm_identity(self, tx: Transaction, device: EnrollmentRow, *, at: datetime) -> None:
        """The active certificate was used: what was in grace is superseded."""
        ...

    async def believed(self, tx: Transaction, fingerprint: bytes) -> KnownIdentity | None:
        """A certificate that is active or in grace for a live device, or None."""
        ...

    async def active_certificate(self, tx: Transaction, device: EnrollmentRow) -> bytes | None:
        """The device's active certificate (DER), or None."""
        ...

    async def device_with_uid(self, tx: Transaction, uid: str) -> EnrollmentRow | None:
        """The device, live or not, whose certificates carry this id, or None."""
        ...

    async def uid(self, tx: Transaction, device: EnrollmentRow) -> str:
        """The id that certificates of ours carry for this device; made when there is none yet."""
        ...

    async def set_origin(self, tx: Transaction, device: EnrollmentRow, *, uid: str, user_name: str | None) -> None:
        """Take over the id in the certificate and the invited user's name."""
        ...

    async def note_reauthenticated(self, tx: Transaction, device: EnrollmentRow, *, at: datetime) -> None:
        """The Authenticate of a renewal came."""
        ...

    async def request_unenroll(self, tx: Transaction, device: EnrollmentRow, *, at: datetime) -> None:
        """From now on every message of this device is answered that it shall unenroll."""
        ...

    async def forget(self, tx: Transaction, device: EnrollmentRow, *, at: datetime) -> None:
        """Delete what is known of a device and its users: facts, queue, results, timeline. Its revoked certificates
        stay known, so that they stay refused."""
        ...

    async def due_for_renewal(self, tx: Transaction, *, at: datetime, limit: int) -> list[DueRenewal]:
        """Live, enabled devices that shall stay and whose active certificate of ours is to be renewed by now, the
        longest due first."""
        ...

    async def certificate_troubles(self, tx: Transaction, *, at: datetime) -> CertificateTroubles:
        """Live devices whose active certificate has expired, or will soon and was to be renewed long ago."""
        ...

    async def renewal_tried(self, tx: Transaction, device: EnrollmentRow, *, at: datetime, next_at: datetime) -> bool:
        """One attempt more; look again at `next_at`. False, and nothing done, if it is not due any more."""
        ...

    async def set_identity_state(
        self, tx: Transaction, device: EnrollmentRow, state: IdentityState, *, at: datetime
    ) -> None:
        """Put the device's active and in-grace certificates into another state."""
        ...

    async def set_facts(
        self, tx: Transaction, row: EnrollmentRow, facts: DeviceFacts, *, topic: str, at: datetime
    ) -> None:
        """Overwrite facts with those that were said; what was not said stays."""
        ...

    async def update_facts(self, tx: Transaction, row: EnrollmentRow, facts: DeviceFacts) -> None:
        """The same from a command's result: no topic."""
        ...

    async def set_push_info(
        self,
        tx: Transaction,
        id: EnrollmentID,
        row: EnrollmentRow,
        push: PushInfo,
        *,
        unlock_token: Secret[bytes] | None,
        awaiting_configuration: bool | None,
        user_short_name: str | None,
        user_long_name: str | None,
        at: datetime,
    ) -> int:
        """A TokenUpdate: enables, adds one to the tally and returns it. None keeps what is stored."""
        ...

    async def set_awaiting_configuration(self, tx: Transaction, row: EnrollmentRow, awaiting: bool) -> None:
        """Whether the device is held in the Setup Assistant."""
        ...

    async def set_bootstrap_token(self, tx: Transaction, device: EnrollmentID, token: Secret[bytes] | None) -> None:
        """Keep the device's bootstrap token, sealed; None deletes it."""
        ...

    async def bootstrap_token(self, tx: Transaction, device: EnrollmentID) -> Secret[bytes] | None:
        """The device's bootstrap token, or None."""
        ...

    async def unlock_token(self, tx: Transaction, row: EnrollmentRow) -> Secret[bytes] | None:
        """The device's unlock token, for its ClearPasscode alone (S25); None if it sent none."""
        ...

    async def with_unlock_token(self, tx: Transaction, rows: Sequence[EnrollmentRow]) -> set[EnrollmentRow]:
        """Which of these have sent an unlock token."""
        ...

    async def enabled_devices(self, tx: Transaction) -> int:
        """How many devices are enrolled, without their users."""
        ...

    async def mark_erased(self, tx: Transaction, device: EnrollmentRow, *, at: datetime) -> None:
        """The device said that it erases itself: it is not enabled any more."""
        ...

    async def unmark_erased(self, tx: Transaction, device: EnrollmentRow) -> None:
        """It did not: it is enabled as before."""
        ...

    async def erased_devices(self, tx: Transaction, *, after: EnrollmentRow | None, limit: int) -> list[ErasedDevice]:
        """Live devices that acknowledged an erase, in order of row."""
        ...

    async def add_event(
        self, tx: Transaction, row: EnrollmentRow, kind: EventKind, *, detail: str, life: int, at: datetime
    ) -> None:
        """Add to the enrollment's timeline."""
        ...

    async def events_since(self, tx: Transaction, row: EnrollmentRow, kind: EventKind, *, since: datetime) -> int:
        """How many events of this kind the timeline has since then."""
        ...

    async def timeline(self, tx: Transaction, row: EnrollmentRow, *, limit: int) -> list[TimelineEntry]:
        """The newest entries, newest first."""
        ...

    async def note_pending(
        self,
        tx: Transaction,
        id: EnrollmentID,
        presented: PresentedIdentity,
        serial_number: str | None,
        at: datetime,
    ) -> bool:
        """Remember a re-enrollment that waits for an administrator; True at the first attempt with a certificate."""
        ...

    async def pending(self, tx: Transaction) -> list[PendingReenrollment]:
        """Re-enrollments that wait, oldest first."""
        ...

    async def release(self, tx: Transaction, device: EnrollmentRow, *, at: datetime) -> None:
        """Let the device's next Authenticate with a new certificate begin a life; what was pending is forgotten."""
        ...

    async def is_released(self, tx: Transaction, device: EnrollmentRow) -> bool:
        """Whether `release` was called since the device's life began."""
        ...

    async def enrollment(self, tx: Transaction, row: EnrollmentRow) -> Enrollment | None:
        """The whole record."""
        ...

    async def find(self, tx: Transaction, reference: str) -> list[EnrollmentRow]:
        """Rows that a person may mean: a key, else an external id, else live devices with this serial number."""
        ...

    async def find_many(self, tx: Transaction, references: Sequence[str]) -> dict[str, Target]:
        """The same without serial numbers, for many at once; unknown and ambiguous ones are missing from the answer."""
        ...

    async def enrollments(
        self, tx: Transaction, filter: EnrollmentFilter, *, after: EnrollmentRow | None, limit: int
    ) -> list[Enrollment]:
        """Enrollments in order of row."""
        ...

    async def counts(self, tx: Transaction) -> dict[str, int]:
        """How many enrollments are in each state, by `EnrollmentState` value, devices and users together."""
        ...

    async def flush_last_seen(
        self, tx: Transaction, seen: Mapping[EnrollmentRow, datetime], *, worth_writing: timedelta
    ) -> None:
        """Move `last_seen_at` forward for many rows in the order given, where it moves by more than `worth_writing`."""
        ...
