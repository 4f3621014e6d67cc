"""Invitations over the API. The URL and a challenge are in the answer to their making and nowhere else."""

from datetime import datetime, timedelta
from typing import Annotated

import msgspec

from mdmserver.access.model import Scope
from mdmserver.enrollment.service import SCEPAccess
from mdmserver.errors import NotFound
from mdmserver.issuance.invitations import NewInvitation
from mdmserver.issuance.model import Invitation, InvitationRow
from mdmserver.web.api.page_query import PageQuery
from mdmserver.web.routes import AnyRoute, Call, Incoming, Nothing, Outgoing, Route, Surface

_DEFAULT_LIFETIME = timedelta(days=7)
_LARGEST_ROW = 2**63 - 1


class InvitationView(Outgoing, frozen=True):
    """An invitation without its URL; `is_open` says whether it still lets a device enroll."""

    id: str
    user: str | None
    serial_number: str | None
    allow_reenroll: bool
    uses_allowed: int
    uses: int
    downloads: int
    is_open: bool
    created_at: datetime
    created_by: str
    expires_at: datetime
    revoked_at: datetime | None


class InvitationPage(Outgoing, frozen=True):
    """A page of invitations, newest first."""

    items: list[InvitationView]
    next_cursor: str | None


class InvitationRequest(Incoming, frozen=True):
    """Whom to invite. Without `expires_at` it is open for seven days; `challenge` asks for SCEP access as well."""

    user: str | None = None
    serial_number: str | None = None
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    uses: int = 1
    allow_reenroll: bool = False
    challenge: bool = False


class ChallengeView(Outgoing, frozen=True):
    """What another SCEP client needs: where, and a secret for one certificate."""

    url: str
    challenge: str


class CreatedInvitation(Outgoing, frozen=True):
    """A new invitation and its URL, shown this once."""

    invitation: InvitationView
    url: str
    challenge: ChallengeView | None


async def create_invitation(call: Call[Nothing, InvitationRequest]) -> CreatedInvitation:
    """Invite a person, or with `uses` a lab."""
    wanted, services = call.body, call.services
    invitation, token = await services.invitations.create(
        NewInvitation(
            user_name=wanted.user,
            serial_number=wanted.serial_number,
            expires_at=wanted.expires_at or services.clock() + _DEFAULT_LIFETIME,
            uses=wanted.uses,
            allow_reenroll=wanted.allow_reenroll,
        ),
        actor=call.actor,
    )
    challenge = None
    if wanted.challenge:
        challenge = _challenge_view(await services.enrollment.scep_access(invitation.row, actor=call.actor))
        invitation = await services.invitations.show(invitation.row)
    return CreatedInvitation(
        invitation=_view(invitation, services.clock()),
        url=services.enrollment.page_url(token).reveal(),
        challenge=challenge,
    )


async def list_invitations(call: Call[PageQuery, Nothing]) -> InvitationPage:
    """Invitations, also those that are over."""
    page = await call.services.invitations.invitations(cursor=call.query.cursor, limit=call.query.limit)
    at = call.services.clock()
    return InvitationPage(items=[_view(each, at) for each in page.items], next_cursor=page.next_cursor)


async def show_invitation(call: Call[Nothing, Nothing]) -> InvitationView:
    """One invitation."""
    return _view(await call.services.invitations.show(_row(call.path["id"])), call.services.clock())


async def revoke_invitation(call: Call[Nothing, Nothing]) -> None:
    """End an invitation and its open challenges."""
    await call.services.invitations.revoke(_row(call.path["id"]), actor=call.actor)


async def mint_challenge(call: Call[Nothing, Nothing]) -> ChallengeView:
    """SCEP access for another client; of an invitation for one device it replaces the one before."""
    return _challenge_view(await call.services.enrollment.scep_access(_row(call.path["id"]), actor=call.actor))


def _view(invitation: Invitation, at: datetime) -> InvitationView:
    return InvitationView(
        id=str(invitation.row),
        user=invitation.user_name,
        serial_number=invitation.serial_number,
        allow_reenroll=invitation.allow_reenroll,
        uses_allowed=invitation.uses_allowed,
        uses=invitation.uses,
        downloads=invitation.downloads,
        is_open=invitation.is_open(at),
        created_at=invitation.created_at,
        created_by=invitation.created_by,
        expires_at=invitation.expires_at,
        revoked_at=invitation.revoked_at,
    )


def _challenge_view(access: SCEPAccess) -> ChallengeView:
    return ChallengeView(url=access.url, challenge=access.challenge.reveal())


def _row(id: str) -> InvitationRow:
    is_number = id.isascii() and id.isdigit() and len(id) <= len(str(_LARGEST_ROW))
    if not is_number or int(id) > _LARGEST_ROW:
        raise NotFound(f"there is no invitation {id!r}", code="invitation_not_found")
    return InvitationRow(int(id))


_ALL = "/api/v1/invitations"
_ONE = f"{_ALL}/{{id}}"

ROUTES: list[AnyRoute] = [
    Route(
        method="POST", path=_ALL, scope=Scope.INVITATIONS_WRITE, surface=Surface.API,
        summary="Invite somebody to enroll a device", handler=create_invitation,
        query=Nothing, body=InvitationRequest, response=CreatedInvitation, status=201,
    ),
    Route(
        method="GET", path=_ALL, scope=Scope.INVITATIONS_READ, surface=Surface.API,
        summary="List invitations", handler=list_invitations,
        query=PageQuery, body=Nothing, response=InvitationPage,
    ),
    Route(
        method="GET", path=_ONE, scope=Scope.INVITATIONS_READ, surface=Surface.API,
        summary="Show an invitation", handler=show_invitation,
        query=Nothing, body=Nothing, response=InvitationView,
    ),
    Route(
        method="DELETE", path=_ONE, scope=Scope.INVITATIONS_WRITE, surface=Surface.API,
        summary="End an invitation", handler=revoke_invitation,
        query=Nothing, body=Nothing, response=None, status=204,
    ),
    Route(
        method="POST", path=f"{_ONE}/challenge", scope=Scope.INVITATIONS_WRITE, surface=Surface.API,
        summary="Mint a challenge for another SCEP client", handler=mint_challenge,
        query=Nothing, body=Nothing, response=ChallengeView, status=201,
    ),
]  # fmt: skip
