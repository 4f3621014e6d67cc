"""Which certificate belongs to which device, in SQL; with it what waits for an administrator to vouch for."""

from datetime import datetime
from uuid import uuid4

from mdmserver.devices.identity import IdentityState, KnownIdentity, PresentedIdentity
from mdmserver.devices.model import CertificateTroubles, EnrollmentRow, PendingReenrollment
from mdmserver.devices.store import Channel, DueRenewal, Identification
from mdmserver.protocol import EnrollmentID
from mdmserver.storage.times import loaded, stored
from mdmserver.transaction import Row, Transaction

_CHANNEL = (
    "SELECT id, coalesce(parent_id, id), life, ended_at IS NULL, enabled, awaiting_configuration, tally, "
    "unenroll_requested_at IS NOT NULL, reauthenticated_at IS NOT NULL, "
    "erased_at IS NOT NULL "
    "FROM enrollment WHERE key = ?"
)


class IdentityRows:
    """The part of the device store that deals in certificates."""

    async def identify(self, tx: Transaction, id: EnrollmentID, fingerprint: bytes) -> Identification:
        """What is known of the enrollment with this id and of the certificate with this SHA-256 fingerprint."""
        row = await tx.fetch_one(
            "SELECT enrollment_id, state, changed_at, first_used_at IS NULL FROM identity WHERE fingerprint = ?",
            fingerprint,
        )
        identity = None if row is None else _identity_of(row)
        channel = _channel_of(await tx.fetch_one(_CHANNEL, id.key))
        if not id.is_user_channel:
            return Identification(device=channel, channel=channel, identity=identity)
        device = _channel_of(await tx.fetch_one(_CHANNEL, id.parent.key))
        return Identification(device=device, channel=channel, identity=identity)

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
        await tx.execute(
            "UPDATE identity SET state = 'superseded', changed_at = ? "
            "WHERE enrollment_id = ? AND state IN ('active', 'grace') AND fingerprint <> ?",
            stored(at),
            device,
            presented.fingerprint,
        )
        await tx.execute(
            "INSERT INTO identity "
            "(fingerprint, enrollment_id, state, authority, certificate, not_after, bound_at, changed_at, "
            "first_used_at, renew_at, planned_renewal_at) VALUES (?, ?, 'active', ?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (fingerprint) DO UPDATE SET bound_at = excluded.bound_at",
            presented.fingerprint, device, presented.authority, presented.certificate,
            stored(presented.not_after), stored(at), stored(at), stored(at), stored(renew_at), stored(renew_at),
        )  # fmt: skip

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
        """Make a renewed certificate the active one, its first use to come; until then it is due at `retry_at`."""
        # One that was renewed before and never used makes room; the one that is in use goes, or stays, in grace.
        await tx.execute(
            "UPDATE identity SET state = 'superseded', changed_at = ? "
            "WHERE enrollment_id = ? AND state = 'active' AND first_used_at IS NULL",
            stored(at),
            device,
        )
        await tx.execute(
            "UPDATE identity SET state = 'superseded', changed_at = ? WHERE enrollment_id = ? AND state = 'grace' "
            "AND EXISTS (SELECT 1 FROM identity WHERE enrollment_id = ? AND state = 'active')",
            stored(at),
            device,
            device,
        )
        await tx.execute(
            "UPDATE identity SET state = 'grace', changed_at = ? "
            "WHERE enrollment_id = ? AND state IN ('active', 'grace')",
            stored(at),
            device,
        )
        await tx.execute(
            "INSERT INTO identity (fingerprint, enrollment_id, state, authority, certificate, not_after, bound_at, "
            "changed_at, renew_at, planned_renewal_at) VALUES (?, ?, 'active', ?, ?, ?, ?, ?, ?, ?)",
            fingerprint, device, authority, certificate, stored(not_after), stored(at), stored(at), stored(retry_at),
            stored(renew_at),
        )  # fmt: skip

    async def confirm_identity(self, tx: Transaction, device: EnrollmentRow, *, at: datetime) -> None:
        """The active certificate was used: what was in grace is superseded, and its renewal waits for its time."""
        await tx.execute(
            "UPDATE identity SET first_used_at = ?, renew_at = planned_renewal_at, renew_attempts = 0 "
            "WHERE enrollment_id = ? AND state = 'active' AND first_used_at IS NULL",
            stored(at),
            device,
        )
        await tx.execute(
            "UPDATE identity SET state = 'superseded', changed_at = ? WHERE enrollment_id = ? AND state = 'grace'",
            stored(at),
            device,
        )

    async def believed(self, tx: Transaction, fingerprint: bytes) -> KnownIdentity | None:
        """A certificate that is active or in grace for a live device, or None."""
        row = await tx.fetch_one(
            "SELECT i.enrollment_id, i.state, i.changed_at, i.first_used_at IS NULL "
            "FROM identity i JOIN enrollment e ON e.id = i.enrollment_id "
            "WHERE i.fingerprint = ? AND i.state IN ('active', 'grace') AND e.ended_at IS NULL",
            fingerprint,
        )
        return None if row is None else _identity_of(row)

    async def active_certificate(self, tx: Transaction, device: EnrollmentRow) -> bytes | None:
        """The device's active certificate (DER), or None."""
        row = await tx.fetch_one(
            "SELECT certificate FROM identity WHERE enrollment_id = ? AND state = 'active'", device
        )
        return None if row is None else bytes(row[0])

    async def device_with_uid(self, tx: Transaction, uid: str) -> EnrollmentRow | None:
        """The device, live or not, whose certificates carry this id, or None."""
        row = await tx.fetch_one("SELECT id FROM enrollment WHERE uid = ?", uid)
        return None if row is None else EnrollmentRow(row[0])

    async def uid(self, tx: Transaction, device: EnrollmentRow) -> str:
        """The id that certificates of ours carry for this device; made when there is none yet."""
        row = await tx.fetch_one(
            "UPDATE enrollment SET uid = coalesce(uid, ?) WHERE id = ? RETURNING uid", str(uuid4()), device
        )
        assert row is not None
        return str(row[0])

    async def due_for_renewal(self, tx: Transaction, *, at: datetime, limit: int) -> list[DueRenewal]:
        """Live, enabled devices that shall stay and whose active certificate of ours is to be renewed by now."""
        rows = await tx.fetch_all(
            "SELECT e.id, e.key, e.life, i.renew_attempts, i.not_after FROM identity i "
            "JOIN enrollment e ON e.id = i.enrollment_id WHERE i.state = 'active' AND i.renew_at IS NOT NULL "
            "AND i.renew_at <= ? AND e.ended_at IS NULL AND e.enabled = 1 AND e.unenroll_requested_at IS NULL "
            "ORDER BY i.renew_at LIMIT ?",
            stored(at),
            limit,
        )
        return [
            DueRenewal(
                device=EnrollmentRow(row[0]),
                id=EnrollmentID.from_key(row[1]),
                life=row[2],
                attempts=row[3],
                not_after=loaded(row[4]),
            )
            for row in rows
        ]

    async def certificate_troubles(self, tx: Transaction, *, at: datetime) -> CertificateTroubles:
        """Live devices whose active certificate has expired, or will soon and was to be renewed long ago."""
        row = await tx.fetch_one(
            "SELECT coalesce(sum(i.not_after <= ?), 0), coalesce(sum(i.not_after > ? AND i.renew_at IS NOT NULL "
            "AND i.not_after - ? < (i.not_after - i.bound_at) / 6), 0) FROM identity i "
            "JOIN enrollment e ON e.id = i.enrollment_id WHERE i.state = 'active' AND e.ended_at IS NULL",
            stored(at),
            stored(at),
            stored(at),
        )
        assert row is not None
        return CertificateTroubles(expired=row[0], overdue=row[1])

    async def renewal_tried(self, tx: Transaction, device: EnrollmentRow, *, at: datetime, next_at: datetime) -> bool:
        """One attempt more; look again at `next_at`. False, and nothing done, if it is not due any more."""
        changed = await tx.execute(
            "UPDATE identity SET renew_attempts = renew_attempts + 1, renew_at = ? "
            "WHERE enrollment_id = ? AND state = 'active' AND renew_at <= ? AND EXISTS (SELECT 1 FROM enrollment "
            "WHERE id = ? AND enabled = 1 AND unenroll_requested_at IS NULL)",
            stored(next_at),
            device,
            stored(at),
            device,
        )
        return changed == 1

    async def set_identity_state(
        self, tx: Transaction, device: EnrollmentRow, state: IdentityState, *, at: datetime
    ) -> None:
        """Put the device's active and in-grace certificates into another state."""
        await tx.execute(
            "UPDATE identity SET state = ?, changed_at = ? WHERE enrollment_id = ? AND state IN ('active', 'grace')",
            state.value,
            stored(at),
            device,
        )

    async def note_pending(
        self,
        tx: Transaction,
        id: EnrollmentID,
        presented: PresentedIdentity,
        serial_number: str | None,
        at: datetime,
    ) -> bool:
        """Remember a re-enrollment that waits for an administrator; True at the first attempt with a certificate."""
        row = await tx.fetch_one(
            "INSERT INTO pending_reenrollment (enrollment_id, fingerprint, serial_number, first_at, last_at, attempts) "
            "SELECT id, ?, ?, ?, ?, 1 FROM enrollment WHERE key = ? "
            "ON CONFLICT (enrollment_id, fingerprint) "
            "DO UPDATE SET last_at = excluded.last_at, attempts = pending_reenrollment.attempts + 1 "
            "RETURNING attempts",
            presented.fingerprint, serial_number, stored(at), stored(at), id.key,
        )  # fmt: skip
        return row is not None and row[0] == 1

    async def pending(self, tx: Transaction) -> list[PendingReenrollment]:
        """Re-enrollments that wait, oldest first."""
        rows = await tx.fetch_all(
            "SELECT e.key, p.fingerprint, p.serial_number, p.first_at, p.last_at, p.attempts "
            "FROM pending_reenrollment p JOIN enrollment e ON e.id = p.enrollment_id "
            "ORDER BY p.first_at, p.enrollment_id LIMIT 1000"
        )
        return [
            PendingReenrollment(
                id=EnrollmentID.from_key(row[0]),
                fingerprint=bytes(row[1]),
                serial_number=row[2],
                first_at=loaded(row[3]),
                last_at=loaded(row[4]),
                attempts=row[5],
            )
            for row in rows
        ]

    async def release(self, tx: Transaction, device: EnrollmentRow, *, at: datetime) -> None:
        """Let the device's next Authenticate with a new certificate begin a life; what was pending is forgotten."""
        await tx.execute("UPDATE enrollment SET released_at = ? WHERE id = ?", stored(at), device)
        await tx.execute("DELETE FROM pending_reenrollment WHERE enrollment_id = ?", device)

    async def is_released(self, tx: Transaction, device: EnrollmentRow) -> bool:
        """Whether `release` was called since the device's life began."""
        row = await tx.fetch_one("SELECT released_at FROM enrollment WHERE id = ?", device)
        return row is not None and row[0] is not None


def _channel_of(row: Row | None) -> Channel | None:
    if row is None:
        return None
    return Channel(
        row=row[0],
        device=row[1],
        life=row[2],
        is_live=bool(row[3]),
        enabled=bool(row[4]),
        awaiting_configuration=bool(row[5]),
        token_update_tally=row[6],
        is_to_unenroll=bool(row[7]),
        has_reauthenticated=bool(row[8]),
        is_erased=bool(row[9]),
    )


def _identity_of(row: Row) -> KnownIdentity:
    state = IdentityState(row[1])
    return KnownIdentity(
        enrollment=row[0],
        state=state,
        changed_at=loaded(row[2]),
        is_first_use=state is IdentityState.ACTIVE and bool(row[3]),
    )
