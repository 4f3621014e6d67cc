"""API keys in SQL."""

from collections.abc import Mapping
from datetime import datetime

from mdmserver.access.model import ApiKey, Scope, StoredKey
from mdmserver.storage.times import loaded, stored
from mdmserver.transaction import Row, Transaction

_EVERYTHING = "*"
_COLUMNS = "id, name, scopes, created_at, created_by, expires_at, last_used_at, revoked_at"


class SQLAccessStore:
    """The AccessStore of both engines."""

    async def insert_key(self, tx: Transaction, stored_key: StoredKey) -> None:
        """Keep a new key."""
        key = stored_key.key
        await tx.execute(
            "INSERT INTO api_key (id, name, secret_hash, scopes, created_at, created_by, expires_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            key.id, key.name, stored_key.secret_hash,
            _EVERYTHING if key.may_everything else " ".join(sorted(key.scopes)),
            stored(key.created_at), key.created_by, stored(key.expires_at),
        )  # fmt: skip

    async def key(self, tx: Transaction, key_id: str) -> StoredKey | None:
        """The key with this id, or None."""
        row = await tx.fetch_one(f"SELECT {_COLUMNS}, secret_hash FROM api_key WHERE id = ?", key_id)
        return None if row is None else StoredKey(key=_key_of(row), secret_hash=bytes(row[-1]))

    async def keys(self, tx: Transaction) -> list[ApiKey]:
        """All keys, oldest first, revoked ones too."""
        rows = await tx.fetch_all(f"SELECT {_COLUMNS} FROM api_key ORDER BY created_at, id")
        return [_key_of(row) for row in rows]

    async def revoke_key(self, tx: Transaction, key_id: str, *, at: datetime) -> bool:
        """Mark a key revoked; False if it is unknown or was revoked before."""
        changed = await tx.execute(
            "UPDATE api_key SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", stored(at), key_id
        )
        return changed == 1

    async def keys_used(self, tx: Transaction, last_used: Mapping[str, datetime]) -> None:
        """Move `last_used_at` forward, never back."""
        await tx.execute_many(
            "UPDATE api_key SET last_used_at = ? WHERE id = ? AND (last_used_at IS NULL OR last_used_at < ?)",
            [(stored(at), key_id, stored(at)) for key_id, at in sorted(last_used.items())],
        )


def _key_of(row: Row) -> ApiKey:
    known = {scope.value for scope in Scope}
    may_everything = row[2] == _EVERYTHING
    return ApiKey(
        id=row[0],
        name=row[1],
        # A scope that this version does not know grants nothing.
        scopes=frozenset(Scope if may_everything else (Scope(scope) for scope in row[2].split() if scope in known)),
        created_at=loaded(row[3]),
        created_by=row[4],
        expires_at=loaded(row[5]),
        last_used_at=loaded(row[6]),
        revoked_at=loaded(row[7]),
        may_everything=may_everything,
    )
