"""An empty issuance store and short ways to fill it."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from mdmserver.devices.model import EnrollmentRow
from mdmserver.issuance.model import (
    AuthorityRow,
    Challenge,
    Invitation,
    InvitationRow,
    Issue,
    IssuedCertificate,
    IssuedRow,
    secret_hash,
)
from mdmserver.secret import Secret
from mdmserver.storage.devices import SQLDeviceStore
from mdmserver.storage.issuance import SQLIssuanceStore
from mdmserver.transaction import Storage
from tests.fleet import START, device_id

LATER = START + timedelta(hours=1)


def invitation(**fields: object) -> Invitation:
    """An invitation for anybody, for one device, for a day."""
    usual = Invitation(
        row=InvitationRow(0),
        user_name=None,
        serial_number=None,
        allow_reenroll=False,
        uses_allowed=1,
        uses=0,
        downloads=0,
        created_at=START,
        created_by="me",
        expires_at=START + timedelta(days=1),
        revoked_at=None,
    )
    return replace(usual, **fields)  # type: ignore[arg-type]  # each test names its fields


def issue(authority: AuthorityRow, serial_number: int, **fields: object) -> Issue:
    """An issue on no ground at all."""
    usual = Issue(
        authority=authority,
        serial_number=serial_number,
        enrollment_uid="uid",
        challenge=None,
        invitation=None,
        enrollment=None,
        transaction_id=None,
        public_key_hash=b"key",
        not_before=START,
        not_after=START + timedelta(days=365),
    )
    return replace(usual, **fields)  # type: ignore[arg-type]  # each test names its fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The store and its storage."""

    storage: Storage
    store: SQLIssuanceStore
    devices: SQLDeviceStore

    async def authority(self, name: str = "ca", *, certificate: bytes = b"certificate") -> AuthorityRow:
        """A CA that issues."""
        insert = partial(
            self.store.insert_authority, name=name, certificate=certificate, key=Secret(b"key of " + name.encode()),
            at=START,
        )  # fmt: skip
        return await self.storage.run(insert)

    async def device(self, number: int = 1) -> EnrollmentRow:
        """An enrollment."""
        return await self.storage.run(
            partial(self.devices.insert_enrollment, id=device_id(number), parent=None, life=1, at=START)
        )

    async def invite(self, token: str = "token", **fields: object) -> InvitationRow:
        """An invitation."""
        insert = partial(self.store.insert_invitation, invitation=invitation(**fields), token_hash=secret_hash(token))
        return await self.storage.run(insert)

    async def shown(self, row: InvitationRow) -> Invitation:
        """An invitation that is there."""
        found = await self.storage.read(partial(self.store.invitation, row=row))
        assert found is not None
        return found

    async def mint(
        self,
        secret: str,
        *,
        invitation: InvitationRow | None = None,
        enrollment: EnrollmentRow | None = None,
        replaces: bool = True,
        at: datetime = START,
    ) -> Challenge:
        """A challenge."""
        await self.storage.run(
            partial(
                self.store.mint, secret_hash=secret_hash(secret), invitation=invitation, enrollment=enrollment,
                replaces=replaces, expires_at=at + timedelta(hours=1), at=at,
            )
        )  # fmt: skip
        return await self.challenge(secret)

    async def challenge(self, secret: str) -> Challenge:
        """A challenge that is there."""
        found = await self.storage.read(partial(self.store.challenge, secret_hash=secret_hash(secret)))
        assert found is not None
        return found

    async def record(self, wanted: Issue, *, at: datetime = START) -> IssuedRow:
        """The intent to sign."""
        return await self.storage.run(partial(self.store.record, issue=wanted, at=at))

    async def sign(self, row: IssuedRow, certificate: bytes) -> bool:
        """Add a certificate."""
        return await self.storage.run(
            partial(self.store.signed, row=row, certificate=certificate, fingerprint=b"fp " + certificate)
        )

    async def issued(self, authority: AuthorityRow, serial_number: int) -> IssuedCertificate | None:
        """The record under a serial number."""
        return await self.storage.read(partial(self.store.recorded, authority=authority, serial_number=serial_number))
