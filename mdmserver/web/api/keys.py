"""API keys over the API. A key's text is in the answer to its making and nowhere else."""

from datetime import datetime
from typing import Annotated

import msgspec

from mdmserver.access.model import ApiKey, Scope
from mdmserver.errors import ScopeMissing
from mdmserver.web.routes import AnyRoute, Call, Incoming, Nothing, Outgoing, Route, Surface


class KeyView(Outgoing, frozen=True):
    """A key without its secret."""

    id: str
    name: str
    scopes: list[Scope]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class Keys(Outgoing, frozen=True):
    """All keys, oldest first, revoked and expired ones too."""

    items: list[KeyView]


class NewKey(Incoming, frozen=True):
    """A key to make; `expires_at` null is for ever."""

    name: str
    scopes: Annotated[tuple[Scope, ...], msgspec.Meta(min_length=1)]
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class CreatedKey(Outgoing, frozen=True):
    """A new key; `secret` is its whole text, shown this once."""

    key: KeyView
    secret: str


async def list_keys(call: Call[Nothing, Nothing]) -> Keys:
    """All keys."""
    return Keys(items=[key_view(key) for key in await call.services.access.list_keys()])


async def create_key(call: Call[Nothing, NewKey]) -> CreatedKey:
    """A new key that may do no more than the one that asks for it."""
    wanted = frozenset(call.body.scopes)
    beyond = wanted - (call.key.scopes if call.key is not None else frozenset())
    if beyond:
        raise ScopeMissing(
            f"a key grants only scopes it has itself, and not {' '.join(sorted(beyond))}", code="scope_not_held"
        )
    key, secret = await call.services.access.create_key(
        name=call.body.name, scopes=wanted, expires_at=call.body.expires_at, actor=call.actor
    )
    return CreatedKey(key=key_view(key), secret=secret.reveal())


async def revoke_key(call: Call[Nothing, Nothing]) -> None:
    """End a key at once."""
    await call.services.access.revoke_key(call.path["id"], actor=call.actor)


def key_view(key: ApiKey) -> KeyView:
    """A key as it is shown."""
    return KeyView(
        id=key.id,
        name=key.name,
        scopes=sorted(key.scopes),
        created_at=key.created_at,
        created_by=key.created_by,
        expires_at=key.expires_at,
        last_used_at=key.last_used_at,
        revoked_at=key.revoked_at,
    )


ROUTES: list[AnyRoute] = [
    Route(
        method="GET", path="/api/v1/keys", scope=Scope.KEYS_MANAGE, surface=Surface.API,
        summary="List API keys", handler=list_keys,
        query=Nothing, body=Nothing, response=Keys,
    ),
    Route(
        method="POST", path="/api/v1/keys", scope=Scope.KEYS_MANAGE, surface=Surface.API,
        summary="Make an API key", handler=create_key,
        query=Nothing, body=NewKey, response=CreatedKey, status=201,
    ),
    Route(
        method="DELETE", path="/api/v1/keys/{id}", scope=Scope.KEYS_MANAGE, surface=Surface.API,
        summary="Revoke an API key", handler=revoke_key,
        query=Nothing, body=Nothing, response=None, status=204,
    ),
]  # fmt: skip
