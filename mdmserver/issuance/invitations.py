"""Invite people to enroll a device: the URL, and the challenges that its downloads mint."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from mdmserver.audit.model import Actor, ActorKind
from mdmserver.audit.store import AuditStore
from mdmserver.clock import Clock
from mdmserver.errors import Conflict, Invalid, NotFound
from mdmserver.issuance.model import (
    CHALLENGE_BYTES,
    LONGEST_INVITATION,
    MOST_USES,
    TOKEN_BYTES,
    Invitation,
    InvitationRow,
    secret_hash,
)
from mdmserver.issuance.store import IssuanceStore
from mdmserver.paging import Page, checked_limit, decode_cursor, page_of
from mdmserver.secret import Secret
from mdmserver.transaction import Storage, Transaction

_LONGEST_TEXT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class NewInvitation:
    """What a person asks for; `serial_number` binds it to one device, `user_name` to one person."""

    user_name: str | None = None
    serial_number: str | None = None
    expires_at: datetime
    uses: int = 1
    allow_reenroll: bool = False


class InvitationService:
    """Invitations. Their URL tokens and challenges are shown once; only hashes are kept."""

    def __init__(
        self,
        *,
        storage: Storage,
        issuance: IssuanceStore,
        audit: AuditStore,
        clock: Clock,
        challenge_lifetime: timedelta,
        random_token: Callable[[int], str] = secrets.token_urlsafe,
    ) -> None:
        self._storage = storage
        self._issuance = issuance
        self._audit = audit
        self._clock = clock
        self._challenge_lifetime = challenge_lifetime
        self._random_token = random_token

    async def create(self, wanted: NewInvitation, *, actor: Actor) -> tuple[Invitation, Secret[str]]:
        """A new invitation and, this once, its URL token. Raises Invalid."""
        at = self._clock()
        _check(wanted, at)
        token = self._random_token(TOKEN_BYTES)
        invitation = Invitation(
            row=InvitationRow(0),
            user_name=wanted.user_name,
            serial_number=wanted.serial_number,
            allow_reenroll=wanted.allow_reenroll,
            uses_allowed=wanted.uses,
            uses=0,
            downloads=0,
            created_at=at,
            created_by=actor.name,
            expires_at=wanted.expires_at,
            revoked_at=None,
        )

        async def body(tx: Transaction) -> Invitation:
            row = await self._issuance.insert_invitation(tx, invitation, token_hash=secret_hash(token))
            await self._audit.append(
                tx, at=at, actor=actor, action="invitation.create", subject=str(row),
                detail={
                    "user": wanted.user_name, "serial": wanted.serial_number, "uses": wanted.uses,
                    "allow_reenroll": wanted.allow_reenroll,
                },
            )  # fmt: skip
            kept = await self._issuance.invitation(tx, row)
            assert kept is not None
            return kept

        return await self._storage.run(body), Secret(token)

    async def invitations(self, *, cursor: str | None, limit: int) -> Page[Invitation]:
        """Invitations, newest first."""
        before = decode_cursor(cursor)
        found = await self._storage.read(
            partial(
                self._issuance.invitations,
                before=None if before is None else InvitationRow(before),
                limit=checked_limit(limit) + 1,
            )
        )
        return page_of([(invitation.row, invitation) for invitation in found], limit)

    async def show(self, row: InvitationRow) -> Invitation:
        """One invitation. Raises NotFound."""
        invitation = await self._storage.read(partial(self._issuance.invitation, row=row))
        if invitation is None:
            raise NotFound(f"there is no invitation {row}", code="invitation_not_found")
        return invitation

    async def revoke(self, row: InvitationRow, *, actor: Actor) -> None:
        """End an invitation and its open challenges. Raises NotFound, and Conflict if it was ended before."""
        at = self._clock()

        async def body(tx: Transaction) -> None:
            if await self._issuance.invitation(tx, row) is None:
                raise NotFound(f"there is no invitation {row}", code="invitation_not_found")
            if not await self._issuance.revoke_invitation(tx, row, at=at):
                raise Conflict(f"invitation {row} was ended before", code="invitation_revoked")
            await self._audit.append(tx, at=at, actor=actor, action="invitation.revoke", subject=str(row), detail={})

        await self._storage.run(body)

    async def look_up(self, token: str) -> Invitation:
        """The open invitation behind a URL. Raises NotFound for any other, without saying why."""
        invitation = await self._storage.read(
            partial(self._issuance.invitation_by_token, token_hash=secret_hash(token))
        )
        if invitation is None or not invitation.is_open(self._clock()):
            raise NotFound("this invitation is not valid", code="invitation_not_valid")
        return invitation

    async def challenge(self, invitation: Invitation, *, actor: Actor | None = None) -> Secret[str]:
        """Mint a challenge. Of an invitation for one device it replaces the one before; audited as a download.

        Raises NotFound when the invitation is not open any more.
        """
        challenge = self._random_token(CHALLENGE_BYTES)
        by = actor or Actor(kind=ActorKind.BACKGROUND, name="enrollment page")

        async def body(tx: Transaction) -> None:
            at = self._clock()
            present = await self._issuance.invitation(tx, invitation.row)
            if present is None or not present.is_open(at):
                raise NotFound("this invitation is not valid", code="invitation_not_valid")
            await self._issuance.mint(
                tx,
                secret_hash=secret_hash(challenge),
                invitation=invitation.row,
                enrollment=None,
                replaces=present.uses_allowed == 1,
                expires_at=min(at + self._challenge_lifetime, present.expires_at),
                at=at,
            )
            await self._issuance.count_download(tx, invitation.row)
            await self._audit.append(
                tx, at=at, actor=by, action="invitation.download", subject=str(invitation.row), detail={}
            )

        await self._storage.run(body)
        return Secret(challenge)


def _check(wanted: NewInvitation, at: datetime) -> None:
    if not at < wanted.expires_at <= at + LONGEST_INVITATION:
        raise Invalid("an invitation expires within a year from now", code="invalid_expiry")
    if not 1 <= wanted.uses <= MOST_USES:
        raise Invalid(f"an invitation is for 1 to {MOST_USES} devices, not {wanted.uses}", code="invalid_uses")
    if wanted.serial_number is not None and wanted.uses != 1:
        raise Invalid("an invitation for a serial number is for one device", code="invalid_uses")
    for name, text in (("user", wanted.user_name), ("serial number", wanted.serial_number)):
        if text is not None and not (0 < len(text) <= _LONGEST_TEXT and text.isprintable()):
            raise Invalid(f"the {name} has 1 to {_LONGEST_TEXT} printable characters", code="invalid_invitation")
