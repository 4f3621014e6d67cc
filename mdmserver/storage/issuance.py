"""Authorities and issued certificates in SQL; invitations and challenges are `invitations`."""

from datetime import datetime

from certs import RevocationReason
from mdmserver.devices.model import EnrollmentRow
from mdmserver.issuance.model import (
    AuthorityRole,
    AuthorityRow,
    ChallengeRow,
    InvitationRow,
    Issue,
    IssuedCertificate,
    IssuedRow,
    Purpose,
    Revoked,
    StoredAuthority,
)
from mdmserver.secret import Secret
from mdmserver.storage.invitations import InvitationRows
from mdmserver.storage.times import loaded, stored
from mdmserver.storage.vault import Place, Vault
from mdmserver.transaction import Row, Transaction

_ISSUED = (
    "SELECT id, authority_id, serial_number, enrollment_uid, challenge_id, invitation_id, enrollment_id, "
    "transaction_id, public_key_hash, not_before, not_after, certificate, fingerprint, revoked_at, purpose "
    "FROM issued_certificate WHERE "
)


class SQLIssuanceStore(InvitationRows):
    """The IssuanceStore of SQLite."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def insert_authority(
        self, tx: Transaction, *, name: str, certificate: bytes, key: Secret[bytes], at: datetime
    ) -> AuthorityRow:
        """Keep a CA, its key sealed, as the one that issues; the one before stays trusted."""
        await tx.execute("UPDATE authority SET role = 'trusted' WHERE role = 'issuing'")
        row = await tx.fetch_one(
            "INSERT INTO authority (name, role, certificate, key_sealed, created_at) "
            "VALUES (?, 'issuing', ?, ?, ?) RETURNING id",
            name,
            certificate,
            self._vault.seal(key.reveal(), _place(name)),
            stored(at),
        )
        assert row is not None
        return AuthorityRow(row[0])

    async def authorities(self, tx: Transaction) -> list[StoredAuthority]:
        """All CAs of ours, the issuing one first, then the newest."""
        rows = await tx.fetch_all(
            "SELECT id, name, role, certificate, key_sealed, created_at FROM authority "
            "ORDER BY role = 'issuing' DESC, id DESC"
        )
        return [
            StoredAuthority(
                row=AuthorityRow(row[0]),
                name=row[1],
                role=AuthorityRole(row[2]),
                certificate=bytes(row[3]),
                key=Secret(self._vault.open(bytes(row[4]), _place(row[1]))),
                created_at=loaded(row[5]),
            )
            for row in rows
        ]

    async def next_crl_number(self, tx: Transaction, authority: AuthorityRow) -> int:
        """Counts up with every CRL that is signed."""
        row = await tx.fetch_one(
            "UPDATE authority SET crl_number = crl_number + 1 WHERE id = ? RETURNING crl_number", authority
        )
        assert row is not None
        return int(row[0])

    async def record(self, tx: Transaction, issue: Issue, *, at: datetime) -> IssuedRow:
        """The intent to sign: uses up the challenge and a use of the invitation."""
        row = await tx.fetch_one(
            "INSERT INTO issued_certificate (authority_id, serial_number, purpose, enrollment_uid, challenge_id, "
            "invitation_id, enrollment_id, transaction_id, public_key_hash, not_before, not_after, recorded_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
            *_values(issue),
            stored(at),
        )
        assert row is not None
        if issue.challenge is not None:
            await tx.execute("UPDATE challenge SET used_at = ? WHERE id = ?", stored(at), issue.challenge)
        if issue.invitation is not None:
            await tx.execute("UPDATE invitation SET uses = uses + 1 WHERE id = ?", issue.invitation)
        return IssuedRow(row[0])

    async def signed(self, tx: Transaction, row: IssuedRow, *, certificate: bytes, fingerprint: bytes) -> bool:
        """Add the signed certificate to its record; False if it is there already."""
        changed = await tx.execute(
            "UPDATE issued_certificate SET certificate = ?, fingerprint = ? WHERE id = ? AND certificate IS NULL",
            certificate,
            fingerprint,
            row,
        )
        return changed == 1

    async def issued_for_challenge(self, tx: Transaction, secret_hash: bytes) -> IssuedCertificate | None:
        """What a used challenge was turned into, or None."""
        return _issued_of(
            await tx.fetch_one(
                f"{_ISSUED} challenge_id = (SELECT id FROM challenge WHERE secret_hash = ?)", secret_hash
            )
        )

    async def issued_for_renewal(
        self, tx: Transaction, enrollment: EnrollmentRow, public_key_hash: bytes
    ) -> IssuedCertificate | None:
        """The newest certificate of this enrollment for this key, or None."""
        return _issued_of(
            await tx.fetch_one(
                f"{_ISSUED} enrollment_id = ? AND public_key_hash = ? ORDER BY id DESC LIMIT 1",
                enrollment,
                public_key_hash,
            )
        )

    async def issued_in_transaction(
        self, tx: Transaction, transaction_id: str, public_key_hash: bytes
    ) -> IssuedCertificate | None:
        """The newest certificate of this SCEP transaction for this key, or None."""
        return _issued_of(
            await tx.fetch_one(
                f"{_ISSUED} transaction_id = ? AND public_key_hash = ? ORDER BY id DESC LIMIT 1",
                transaction_id,
                public_key_hash,
            )
        )

    async def issued(self, tx: Transaction, fingerprint: bytes) -> IssuedCertificate | None:
        """The record of a certificate that was signed, or None if none of ours has this fingerprint."""
        return _issued_of(await tx.fetch_one(f"{_ISSUED} fingerprint = ?", fingerprint))

    async def recorded(self, tx: Transaction, authority: AuthorityRow, serial_number: int) -> IssuedCertificate | None:
        """The record of the certificate that this CA was to sign under this number, signed or not, or None."""
        return _issued_of(
            await tx.fetch_one(f"{_ISSUED} authority_id = ? AND serial_number = ?", authority, f"{serial_number:x}")
        )

    async def adopt(
        self, tx: Transaction, issue: Issue, *, certificate: bytes, fingerprint: bytes, at: datetime
    ) -> IssuedRow:
        """Record a certificate that is ours and has no record, as after the restore of an older backup."""
        row = await self.record(tx, issue, at=at)
        await self.signed(tx, row, certificate=certificate, fingerprint=fingerprint)
        return row

    async def belongs_to(self, tx: Transaction, row: IssuedRow, enrollment: EnrollmentRow) -> None:
        """The certificate began or continues this enrollment."""
        await tx.execute("UPDATE issued_certificate SET enrollment_id = ? WHERE id = ?", enrollment, row)

    async def revoke_issued(self, tx: Transaction, row: IssuedRow, *, reason: RevocationReason, at: datetime) -> None:
        """Put a certificate on the CRL; one that is on it stays as it is."""
        await tx.execute(
            "UPDATE issued_certificate SET revoked_at = ?, revocation_reason = ? WHERE id = ? AND revoked_at IS NULL",
            stored(at),
            reason.value,
            row,
        )

    async def revoke_unused(self, tx: Transaction, *, recorded_before: datetime, at: datetime) -> int:
        """Revoke certificates that enrolled nothing, recorded before then; how many."""
        return await tx.execute(
            "UPDATE issued_certificate SET revoked_at = ?, revocation_reason = ? "
            "WHERE purpose = 'device' AND enrollment_id IS NULL AND revoked_at IS NULL AND recorded_at < ?",
            stored(at),
            RevocationReason.CESSATION_OF_OPERATION.value,
            stored(recorded_before),
        )

    async def revoked(self, tx: Transaction, authority: AuthorityRow, *, at: datetime) -> list[Revoked]:
        """The CRL's entries: revoked or superseded, and not expired yet."""
        rows = await tx.fetch_all(
            "SELECT c.serial_number, coalesce(c.revoked_at, i.changed_at), "
            "coalesce(c.revocation_reason, CASE i.state WHEN 'superseded' THEN ? ELSE ? END) "
            "FROM issued_certificate c LEFT JOIN identity i ON i.fingerprint = c.fingerprint "
            "WHERE c.authority_id = ? AND c.not_after > ? "
            "AND (c.revoked_at IS NOT NULL OR i.state IN ('superseded', 'revoked')) ORDER BY c.id",
            RevocationReason.SUPERSEDED.value,
            RevocationReason.CESSATION_OF_OPERATION.value,
            authority,
            stored(at),
        )
        return [
            Revoked(serial_number=int(row[0], 16), at=loaded(row[1]), reason=RevocationReason(row[2])) for row in rows
        ]


def _values(issue: Issue) -> tuple[object, ...]:
    return (
        issue.authority,
        f"{issue.serial_number:x}",
        issue.purpose.value,
        issue.enrollment_uid,
        issue.challenge,
        issue.invitation,
        issue.enrollment,
        issue.transaction_id,
        issue.public_key_hash,
        stored(issue.not_before),
        stored(issue.not_after),
    )


def _issued_of(row: Row | None) -> IssuedCertificate | None:
    if row is None:
        return None
    return IssuedCertificate(
        row=IssuedRow(row[0]),
        issue=Issue(
            authority=AuthorityRow(row[1]),
            serial_number=int(row[2], 16),
            purpose=Purpose(row[14]),
            enrollment_uid=row[3],
            challenge=None if row[4] is None else ChallengeRow(row[4]),
            invitation=None if row[5] is None else InvitationRow(row[5]),
            enrollment=None if row[6] is None else EnrollmentRow(row[6]),
            transaction_id=row[7],
            public_key_hash=bytes(row[8]),
            not_before=loaded(row[9]),
            not_after=loaded(row[10]),
        ),
        certificate=None if row[11] is None else bytes(row[11]),
        fingerprint=None if row[12] is None else bytes(row[12]),
        revoked_at=loaded(row[13]),
    )


def _place(name: str) -> Place:
    return Place("authority", name, "key")
