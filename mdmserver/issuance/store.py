"""What issuing certificates needs stored."""

from datetime import datetime
from typing import Protocol

from certs import RevocationReason
from mdmserver.devices.model import EnrollmentRow
from mdmserver.issuance.model import (
    AuthorityRow,
    Challenge,
    Invitation,
    InvitationRow,
    Issue,
    IssuedCertificate,
    IssuedRow,
    Revoked,
    StoredAuthority,
)
from mdmserver.secret import Secret
from mdmserver.transaction import Transaction


class IssuanceStore(Protocol):
    """Authorities, invitations, challenges and certificates."""

    async def insert_authority(
        self, tx: Transaction, *, name: str, certificate: bytes, key: Secret[bytes], at: datetime
    ) -> AuthorityRow:
        """Keep a CA, its key sealed, as the one that issues; the one before stays trusted."""
        ...

    async def authorities(self, tx: Transaction) -> list[StoredAuthority]:
        """All CAs of ours, the issuing one first, then the newest."""
        ...

    async def next_crl_number(self, tx: Transaction, authority: AuthorityRow) -> int:
        """Counts up with every CRL that is signed."""
        ...

    async def insert_invitation(self, tx: Transaction, invitation: Invitation, *, token_hash: bytes) -> InvitationRow:
        """Keep an invitation; its `row` is ignored."""
        ...

    async def invitation(self, tx: Transaction, row: InvitationRow) -> Invitation | None:
        """The invitation with this number, or None."""
        ...

    async def invitation_by_token(self, tx: Transaction, token_hash: bytes) -> Invitation | None:
        """The invitation behind a URL, or None."""
        ...

    async def invitations(self, tx: Transaction, *, before: InvitationRow | None, limit: int) -> list[Invitation]:
        """Invitations, newest first."""
        ...

    async def revoke_invitation(self, tx: Transaction, row: InvitationRow, *, at: datetime) -> bool:
        """End an invitation and its open challenges; False if it was ended before."""
        ...

    async def count_download(self, tx: Transaction, row: InvitationRow) -> None:
        """One more download of the profile."""
        ...

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
        ...

    async def end_challenges(self, tx: Transaction, enrollment: EnrollmentRow, *, at: datetime) -> None:
        """The open challenges for renewals of this enrollment can be used no more."""
        ...

    async def challenge(self, tx: Transaction, secret_hash: bytes) -> Challenge | None:
        """The challenge with this secret, or None."""
        ...

    async def record(self, tx: Transaction, issue: Issue, *, at: datetime) -> IssuedRow:
        """The intent to sign: uses up the challenge and a use of the invitation."""
        ...

    async def signed(self, tx: Transaction, row: IssuedRow, *, certificate: bytes, fingerprint: bytes) -> bool:
        """Add the signed certificate to its record; False if it is there already."""
        ...

    async def issued_for_challenge(self, tx: Transaction, secret_hash: bytes) -> IssuedCertificate | None:
        """What a used challenge was turned into, or None."""
        ...

    async def issued_for_renewal(
        self, tx: Transaction, enrollment: EnrollmentRow, public_key_hash: bytes
    ) -> IssuedCertificate | None:
        """The newest certificate of this enrollment for this key, or None."""
        ...

    async def issued_in_transaction(
        self, tx: Transaction, transaction_id: str, public_key_hash: bytes
    ) -> IssuedCertificate | None:
        """The newest certificate of this SCEP transaction for this key, or None."""
        ...

    async def issued(self, tx: Transaction, fingerprint: bytes) -> IssuedCertificate | None:
        """The record of a certificate that was signed, or None if none of ours has this fingerprint."""
        ...

    async def recorded(self, tx: Transaction, authority: AuthorityRow, serial_number: int) -> IssuedCertificate | None:
        """The record of the certificate that this CA was to sign under this number, signed or not, or None."""
        ...

    async def adopt(
        self, tx: Transaction, issue: Issue, *, certificate: bytes, fingerprint: bytes, at: datetime
    ) -> IssuedRow:
        """Record a certificate that is ours and has no record, as after the restore of an older backup."""
        ...

    async def belongs_to(self, tx: Transaction, row: IssuedRow, enrollment: EnrollmentRow) -> None:
        """The certificate began or continues this enrollment."""
        ...

    async def revoke_issued(self, tx: Transaction, row: IssuedRow, *, reason: RevocationReason, at: datetime) -> None:
        """Put a certificate on the CRL; one that is on it stays as it is."""
        ...

    async def revoke_unused(self, tx: Transaction, *, recorded_before: datetime, at: datetime) -> int:
        """Revoke certificates that enrolled nothing, recorded before then; how many."""
        ...

    async def revoked(self, tx: Transaction, authority: AuthorityRow, *, at: datetime) -> list[Revoked]:
        """The CRL's entries: revoked or superseded, and not expired yet."""
        ...
