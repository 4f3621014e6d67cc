"""Makes, checks, lists and revokes API keys."""

import secrets
from collections.abc import Iterable
from datetime import datetime
from functools import partial

from mdmserver.access.model import (
    KEY_ID_LENGTH,
    SECRET_BYTES,
    ApiKey,
    RandomToken,
    Scope,
    StoredKey,
    compose,
    hash_secret,
    is_usable,
    split,
)
from mdmserver.access.store import AccessStore
from mdmserver.audit.model import Actor
from mdmserver.audit.store import AuditStore
from mdmserver.clock import Clock
from mdmserver.errors import AccessRefused, Conflict, Invalid, NotFound
from mdmserver.secret import Secret
from mdmserver.transaction import Storage, Transaction

_NAME_LENGTH = 100


class AccessService:
    """API keys. A revoked key stops working at once, in every process: each use reads the key's row."""

    def __init__(
        self,
        *,
        storage: Storage,
        access: AccessStore,
        audit: AuditStore,
        clock: Clock,
        random_token: RandomToken = secrets.token_hex,
    ) -> None:
        self._storage = storage
        self._access = access
        self._audit = audit
        self._clock = clock
        self._random_token = random_token
        self._last_used: dict[str, datetime] = {}

    async def authenticate(self, presented: str) -> ApiKey:
        """The key that this text opens. Raises AccessRefused, without saying which part was wrong."""
        parts = split(presented)
        if parts is None:
            raise AccessRefused("the API key is not valid")
        key_id, secret = parts
        stored = await self._storage.read(partial(self._access.key, key_id=key_id))
        now = self._clock()
        if stored is None or not is_usable(stored, secret, now):
            raise AccessRefused("the API key is not valid")
        self._last_used[key_id] = now
        return stored.key

    async def create_key(
        self, *, name: str, scopes: Iterable[Scope] | None, expires_at: datetime | None, actor: Actor
    ) -> tuple[ApiKey, Secret[str]]:
        """A new key and, this once, its text; None for the scopes lets it do everything, also what comes later.

        Raises Invalid for an empty name, no scope or an expiry in the past.
        """
        now = self._clock()
        granted = frozenset(Scope if scopes is None else scopes)
        _check_new_key(name, granted, expires_at, now)
        key_id, secret = self._random_token(KEY_ID_LENGTH // 2), self._random_token(SECRET_BYTES)
        key = ApiKey(
            id=key_id, name=name, scopes=granted, created_at=now, created_by=actor.name,
            expires_at=expires_at, last_used_at=None, revoked_at=None, may_everything=scopes is None,
        )  # fmt: skip

        async def body(tx: Transaction) -> None:
            await self._access.insert_key(tx, StoredKey(key=key, secret_hash=hash_secret(secret)))
            await self._audit.append(
                tx, at=now, actor=actor, action="key.create", subject=key_id,
                detail={"name": name, "scopes": "*" if scopes is None else " ".join(sorted(granted))},
            )  # fmt: skip

        await self._storage.run(body)
        return key, compose(key_id, secret)

    async def list_keys(self) -> list[ApiKey]:
        """All keys, oldest first; revoked and expired ones stay listed."""
        return await self._storage.read(self._access.keys)

    async def revoke_key(self, key_id: str, *, actor: Actor) -> None:
        """End a key. Raises NotFound for an unknown one and Conflict for one that was revoked before."""
        now = self._clock()

        async def body(tx: Transaction) -> None:
            if await self._access.key(tx, key_id) is None:
                raise NotFound(f"there is no API key {key_id!r}", code="key_not_found")
            if not await self._access.revoke_key(tx, key_id, at=now):
                raise Conflict(f"API key {key_id} was revoked before", code="key_already_revoked")
            await self._audit.append(tx, at=now, actor=actor, action="key.revoke", subject=key_id, detail={})

        await self._storage.run(body)

    async def flush_last_used(self) -> None:
        """Write the times of use that have come together; up to one flush interval of them may be lost in a crash."""
        pending, self._last_used = self._last_used, {}
        if pending:
            try:
                await self._storage.run(partial(self._access.keys_used, last_used=pending))
            except Exception:
                # The next turn writes it; uses since then are newer.
                self._last_used = pending | self._last_used
                raise


def _check_new_key(name: str, scopes: frozenset[Scope], expires_at: datetime | None, now: datetime) -> None:
    if not name or len(name) > _NAME_LENGTH or not name.isprintable():
        raise Invalid(f"a key's name has 1 to {_NAME_LENGTH} printable characters", code="invalid_key_name")
    if not scopes:
        raise Invalid("a key needs at least one scope", code="no_scope")
    if expires_at is not None and expires_at <= now:
        raise Invalid("the expiry lies in the past", code="expiry_in_the_past")
