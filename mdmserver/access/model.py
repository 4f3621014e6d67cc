"""API keys and what each may do. A key is shown once, when it is made; only its hash is kept (S26)."""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from mdmserver.secret import Secret

PREFIX = "mdm"
SECRET_BYTES = 32
KEY_ID_LENGTH = 10
RandomToken = Callable[[int], str]


class Scope(StrEnum):
    """One thing that a key may do; every route names the one it needs."""

    STATUS_READ = "status:read"
    DEVICES_READ = "devices:read"
    DEVICES_WRITE = "devices:write"
    COMMANDS_READ = "commands:read"
    COMMANDS_SEND = "commands:send"
    COMMANDS_DESTROY = "commands:destroy"
    """Erase, lock, clear a passcode, end management (S28); beside commands:send, and never part of it."""
    PUSH_SEND = "push:send"
    PUSH_CERTIFICATES_READ = "push_certificates:read"
    PUSH_CERTIFICATES_MANAGE = "push_certificates:manage"
    KEYS_MANAGE = "keys:manage"
    AUDIT_READ = "audit:read"
    INVITATIONS_READ = "invitations:read"
    INVITATIONS_WRITE = "invitations:write"
    CA_READ = "ca:read"
    CA_MANAGE = "ca:manage"
    APPS_READ = "apps:read"
    APPS_WRITE = "apps:write"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as it is listed: everything but its secret.

    With `may_everything` its scopes are all there are, those of later versions too.
    """

    id: str
    name: str
    scopes: frozenset[Scope]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    may_everything: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    """A key and the hash that its secret must have."""

    key: ApiKey
    secret_hash: bytes


def hash_secret(secret: str) -> bytes:
    """SHA-256: enough for 256 random bits, and fast enough to check on every request."""
    return hashlib.sha256(secret.encode()).digest()


def compose(key_id: str, secret: str) -> Secret[str]:
    """The text a person copies: `mdm_<id>_<secret>`."""
    return Secret(f"{PREFIX}_{key_id}_{secret}")


def split(presented: str) -> tuple[str, str] | None:
    """Id and secret of a presented key, or None when it does not look like one."""
    if not presented.isascii():
        return None
    prefix, _, rest = presented.partition("_")
    key_id, _, secret = rest.partition("_")
    if prefix != PREFIX or len(key_id) != KEY_ID_LENGTH or not secret or len(presented) > 256:
        return None
    return key_id, secret


def is_usable(stored: StoredKey, secret: str, at: datetime) -> bool:
    """Whether this secret opens this key at this time; the secret is compared in constant time."""
    matches = hmac.compare_digest(stored.secret_hash, hash_secret(secret))
    key = stored.key
    return matches and key.revoked_at is None and (key.expires_at is None or at < key.expires_at)
