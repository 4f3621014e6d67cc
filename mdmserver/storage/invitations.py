"""Invitations and challenges in SQL. Tokens and challenges are kept as hashes alone."""

from datetime import datetime

from mdmserver.devices.model import EnrollmentRow
from mdmserver.issuance.model import Challenge, ChallengeRow, Invitation, InvitationRow
from mdmserver.storage.times import loaded, stored
from mdmserver.transaction import Row, Transaction

_INVITATION = (
    "SELECT id, user_name, serial_number, allow_reenroll, uses_allowed, uses, downloads, created_at, created_by, "
    "expires_at, revoked_at FROM invitation WHERE "
)


class InvitationRows:
    """The part of the issuance store that deals in permission."""

    async def insert_invitation(self, tx: Transaction, invitation: Invitation, *, token_hash: bytes) -> InvitationRow:
        """Keep an invitation; its `row` is ignored."""
        row = await tx.fetch_one(
            "INSERT INTO invitation (token_hash, user_name, serial_number, allow_reenroll, uses_allowed, created_at, "
            "created_by, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
            token_hash, invitation.user_name, invitation.serial_number, int(invitation.allow_reenroll),
            invitation.uses_allowed, stored(invitation.created_at), invitation.created_by,
            stored(invitation.expires_at),
        )  # fmt: skip
        assert row is not None
        return InvitationRow(row[0])

    async def invitation(self, tx: Transaction, row: InvitationRow) -> Invitation | None:
        """The invitation with this number, or None."""
        found = await tx.fetch_one(f"{_INVITATION} id = ?", row)
        return None if found is None else _invitation_of(found)

    async def invitation_by_token(self, tx: Transaction, token_hash: bytes) -> Invitation | None:
        """The invitation behind a URL, or None."""
        found = await tx.fetch_one(f"{_INVITATION} token_hash = ?", token_hash)
        return None if found is None else _invitation_of(found)

    async def invitations(self, tx: Transaction, *, before: InvitationRow | None, limit: int) -> list[Invitation]:
        """Invitations, newest first."""
        rows = await tx.fetch_all(
            f"{_INVITATION} id < ? ORDER BY id DESC LIMIT ?", 2**62 if before is None else before, limit
        )
        return [_invitation_of(row) for row in rows]

    async def revoke_invitation(self, tx: Transaction, row: InvitationRow, *, at: datetime) -> bool:
        """End an invitation and its open challenges; False if it was ended before."""
        changed = await tx.execute(
            "UPDATE invitation SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", stored(at), row
        )
        await self._end_challenges(tx, "invitation_id", row, at)
        return changed == 1

    async def count_download(self, tx: Transaction, row: InvitationRow) -> None:
        """One more download of the profile."""
        await tx.execute("UPDATE invitation SET downloads = downloads + 1 WHERE id = ?", row)

    async def mint(
        self,
        tx: Transaction,
        *,
        secret_hash: bytes,
        invitation: InvitationRow | None,
        enrollment: EnrollmentRow | None,
        replaces: bool,
        expires_at: datetime,
        at: datetime,
    ) -> None:
        """Keep a challenge; `replaces` ends the open ones of the same invitation or enrollment."""
        if replaces and invitation is not None:
            await self._end_challenges(tx, "invitation_id", invitation, at)
        if replaces and enrollment is not None:
            await self._end_challenges(tx, "enrollment_id", enrollment, at)
        await tx.execute(
            "INSERT INTO challenge (secret_hash, invitation_id, enrollment_id, expires_at) VALUES (?, ?, ?, ?)",
            secret_hash,
            invitation,
            enrollment,
            stored(expires_at),
        )

    async def end_challenges(self, tx: Transaction, enrollment: EnrollmentRow, *, at: datetime) -> None:
        """The open challenges for renewals of this enrollment can be used no more."""
        await self._end_challenges(tx, "enrollment_id", enrollment, at)

    async def challenge(self, tx: Transaction, secret_hash: bytes) -> Challenge | None:
        """The challenge with this secret, or None."""
        row = await tx.fetch_one(
            "SELECT id, invitation_id, enrollment_id, expires_at, replaced_at, used_at FROM challenge "
            "WHERE secret_hash = ?",
            secret_hash,
        )
        if row is None:
            return None
        return Challenge(
            row=ChallengeRow(row[0]),
            invitation=None if row[1] is None else InvitationRow(row[1]),
            enrollment=None if row[2] is None else EnrollmentRow(row[2]),
            expires_at=loaded(row[3]),
            is_replaced=row[4] is not None,
            is_used=row[5] is not None,
        )

    async def _end_challenges(self, tx: Transaction, column: str, row: int, at: datetime) -> None:
        await tx.execute(
            f"UPDATE challenge SET replaced_at = ? WHERE {column} = ? AND used_at IS NULL AND replaced_at IS NULL",
            stored(at),
            row,
        )


def _invitation_of(row: Row) -> Invitation:
    return Invitation(
        row=InvitationRow(row[0]),
        user_name=row[1],
        serial_number=row[2],
        allow_reenroll=bool(row[3]),
        uses_allowed=row[4],
        uses=row[5],
        downloads=row[6],
        created_at=loaded(row[7]),
        created_by=row[8],
        expires_at=loaded(row[9]),
        revoked_at=loaded(row[10]),
    )
