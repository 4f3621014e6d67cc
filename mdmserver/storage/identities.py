"""Which certificate belongs to which device, in SQL; with it what waits for an administrator to vouch for."""

from datetime import datetime

from mdmserver.devices.identity import IdentityState, KnownIdentity, PresentedIdentity
from mdmserver.devices.model import EnrollmentRow, PendingReenrollment
from mdmserver.devices.store import Channel, Identification
from mdmserver.protocol import EnrollmentID
from mdmserver.storage.times import loaded, stored
from mdmserver.transaction import Row, Transaction

_CHANNEL = (
    "SELECT id, coalesce(parent_id, id), life, ended_at IS NULL, enabled, awaiting_configuration, tally "
    "FROM enrollment WHERE key = ?"
)


class IdentityRows:
    """The part of the device store that deals in certificates."""

    async def identify(self, tx: Transaction, id: EnrollmentID, fingerprint: bytes) -> Identification:
        """What is known of the enrollment with this id and of the certificate with this SHA-256 fingerprint."""
        row = await tx.fetch_one("SELECT enrollment_id, state FROM identity WHERE fingerprint = ?", fingerprint)
        identity = None if row is None else KnownIdentity(enrollment=row[0], state=IdentityState(row[1]))
        channel = _channel_of(await tx.fetch_one(_CHANNEL, id.key))
        if not id.is_user_channel:
            return Identification(device=channel, channel=channel, identity=identity)
        device = _channel_of(await tx.fetch_one(_CHANNEL, id.parent.key))
        return Identification(device=device, channel=channel, identity=identity)

    async def bind_identity(
        self, tx: Transaction, device: EnrollmentRow, presented: PresentedIdentity, *, at: datetime
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
            "(fingerprint, enrollment_id, state, authority, certificate, not_after, bound_at, changed_at) "
            "VALUES (?, ?, 'active', ?, ?, ?, ?, ?) "
            "ON CONFLICT (fingerprint) DO UPDATE SET bound_at = excluded.bound_at",
            presented.fingerprint, device, presented.authority, presented.certificate,
            stored(presented.not_after), stored(at), stored(at),
        )  # fmt: skip

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
    )
