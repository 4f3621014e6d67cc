"""The built-in CA over the API: which there are, a new one, an existing one. Keys go in and never come out."""

from datetime import datetime
from typing import Annotated

import msgspec

from mdmserver.access.model import Scope
from mdmserver.issuance.authorities import OwnAuthority
from mdmserver.issuance.model import AuthorityRole
from mdmserver.secret import Secret
from mdmserver.web.routes import AnyRoute, Call, Incoming, Nothing, Outgoing, Route, Surface

_Pem = Annotated[str, msgspec.Meta(min_length=1, max_length=65536)]


class AuthorityView(Outgoing, frozen=True):
    """A CA of the server's own; `sha256` is the fingerprint of its certificate."""

    id: str
    role: AuthorityRole
    name: str
    sha256: str
    not_after: datetime
    created_at: datetime


class Authorities(Outgoing, frozen=True):
    """All CAs that are believed, the one that issues first."""

    authorities: list[AuthorityView]


class RollOver(Incoming, frozen=True):
    """The common name of the new CA."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class ExistingAuthority(Incoming, frozen=True):
    """A CA certificate and its RSA key, both PEM, the key not encrypted."""

    certificate: _Pem
    key: _Pem


async def show_authorities(call: Call[Nothing, Nothing]) -> Authorities:
    """The CAs as they stand now."""
    return Authorities(authorities=[_view(own) for own in call.services.own_authorities.all])


async def roll_over(call: Call[Nothing, RollOver]) -> AuthorityView:
    """A new CA issues from now on; the one before stays trusted until its certificates are renewed."""
    return _view(await call.services.own_authorities.create(common_name=call.body.name, actor=call.actor))


async def import_authority(call: Call[Nothing, ExistingAuthority]) -> AuthorityView:
    """An existing CA issues from now on."""
    imported = await call.services.own_authorities.import_existing(
        call.body.certificate.encode(), Secret(call.body.key.encode()), actor=call.actor
    )
    return _view(imported)


def _view(own: OwnAuthority) -> AuthorityView:
    return AuthorityView(
        id=str(own.row),
        role=own.role,
        name=own.authority.name,
        sha256=own.authority.sha256_fingerprint.hex(),
        not_after=own.authority.not_after,
        created_at=own.created_at,
    )


ROUTES: list[AnyRoute] = [
    Route(
        method="GET", path="/api/v1/ca", scope=Scope.CA_READ, surface=Surface.API,
        summary="Show the server's own CAs", handler=show_authorities,
        query=Nothing, body=Nothing, response=Authorities,
    ),
    Route(
        method="POST", path="/api/v1/ca/rollover", scope=Scope.CA_MANAGE, surface=Surface.API,
        summary="Make a new CA that issues from now on", handler=roll_over,
        query=Nothing, body=RollOver, response=AuthorityView, status=201,
    ),
    Route(
        method="POST", path="/api/v1/ca/import", scope=Scope.CA_MANAGE, surface=Surface.API,
        summary="Take an existing CA that issues from now on", handler=import_authority,
        query=Nothing, body=ExistingAuthority, response=AuthorityView, status=201,
    ),
]  # fmt: skip
