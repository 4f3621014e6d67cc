"""What API keys need stored."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from mdmserver.access.model import ApiKey, StoredKey
from mdmserver.transaction import Transaction


class AccessStore(Protocol):
    """API keys by id."""

    async def insert_key(self, tx: Transaction, stored: StoredKey) -> None:
        """Keep a new key."""
        ...

    async def key(self, tx: Transaction, key_id: str) -> StoredKey | None:
        """The key with this id, or None."""
        ...

    async def keys(self, tx: Transaction) -> list[ApiKey]:
        """All keys, oldest first, revoked ones too."""
        ...

    async def revoke_key(self, tx: Transaction, key_id: str, *, at: datetime) -> bool:
        """Mark a key revoked; False if it is unknown or was revoked before."""
        ...

    async def keys_used(self, tx: Transaction, last_used: Mapping[str, datetime]) -> None:
        """Move `last_used_at` forward, never back."""
        ...
