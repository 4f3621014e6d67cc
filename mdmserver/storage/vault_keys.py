"""Where the vault's keys lie: key-encryption keys as files in STATE/keys, wrapped data keys in the database.

The newest file (by name, which counts up) wraps; older ones stay readable until `rewrap` has moved every data key.
"""

import os
import re
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from mdmserver.clock import Clock
from mdmserver.storage.times import stored
from mdmserver.storage.vault import KEY_BYTES, RandomBytes, Vault, VaultBroken, unwrap, wrap
from mdmserver.transaction import Storage, Transaction

_FILE_NAME = re.compile(r"vault-(\d{4})\.key")
_PURPOSES = ("seal", "fingerprint")


def read_wrapping_keys(folder: Path) -> dict[str, bytes]:
    """Key-encryption keys by name, oldest first; empty if there is none. Raises VaultBroken for a damaged file."""
    keys: dict[str, bytes] = {}
    for path in sorted(folder.glob("vault-*.key")):
        if _FILE_NAME.fullmatch(path.name):
            key = path.read_bytes()
            if len(key) != KEY_BYTES:
                raise VaultBroken(f"{path} holds {len(key)} bytes and not {KEY_BYTES}; restore it from your backup")
            keys[path.stem] = key
    return keys


def add_wrapping_key(folder: Path, *, random_bytes: RandomBytes = os.urandom) -> str:
    """Write a new key-encryption key (mode 0600) and return its name; it becomes the one that wraps."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    newest = max((int(name.removeprefix("vault-")) for name in read_wrapping_keys(folder)), default=0)
    name = f"vault-{newest + 1:04d}"
    descriptor = os.open(folder / f"{name}.key", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(random_bytes(KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    return name


def remove_wrapping_keys(folder: Path, names: Iterable[str]) -> None:
    """Delete the files of these key-encryption keys, durably. Nothing may be wrapped by them any more."""
    for name in names:
        (folder / f"{name}.key").unlink(missing_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


async def open_vault(
    storage: Storage, wrapping_keys: dict[str, bytes], *, clock: Clock, random_bytes: RandomBytes = os.urandom
) -> Vault:
    """The vault of this database; its data keys are made when there are none yet.

    Raises VaultBroken when a data key is wrapped by a key-encryption key that is not there.
    """

    async def body(tx: Transaction) -> dict[str, dict[int, bytes]]:
        rows = await tx.fetch_all("SELECT id, purpose, wrapping_key, wrapped FROM vault_key ORDER BY id")
        if not rows:
            return await _made(tx)
        keys: dict[str, dict[int, bytes]] = {purpose: {} for purpose in _PURPOSES}
        for key_id, purpose, wrapping_name, wrapped in rows:
            keys[purpose][key_id] = _unwrapped(key_id, purpose, wrapping_name, wrapped, wrapping_keys)
        return keys

    async def _made(tx: Transaction) -> dict[str, dict[int, bytes]]:
        if not wrapping_keys:
            raise VaultBroken("there is no key-encryption key; run `mdmserver init`")
        name = max(wrapping_keys)
        keys: dict[str, dict[int, bytes]] = {}
        for key_id, purpose in enumerate(_PURPOSES, start=1):
            data_key = random_bytes(KEY_BYTES)
            wrapped = wrap(
                data_key,
                wrapping_key=wrapping_keys[name],
                purpose=purpose,
                key_id=key_id,
                random_bytes=random_bytes,
            )
            await tx.execute(
                "INSERT INTO vault_key (id, purpose, wrapping_key, wrapped, created_at) VALUES (?, ?, ?, ?, ?)",
                key_id, purpose, name, wrapped, stored(clock()),
            )  # fmt: skip
            keys[purpose] = {key_id: data_key}
        return keys

    keys = await storage.run(body)
    return Vault(keys["seal"], fingerprint_key=next(iter(keys["fingerprint"].values())), random_bytes=random_bytes)


async def rewrap(
    storage: Storage,
    wrapping_keys: dict[str, bytes],
    *,
    random_bytes: RandomBytes = os.urandom,
    noted: Callable[[Transaction], Awaitable[None]] | None = None,
) -> int:
    """Wrap every data key with the newest key-encryption key, in one transaction; how many. Older files may then go.

    `noted` is awaited at the end of that transaction: for the audit record.
    """
    newest = max(wrapping_keys)

    async def body(tx: Transaction) -> int:
        rows = await tx.fetch_all("SELECT id, purpose, wrapping_key, wrapped FROM vault_key ORDER BY id")
        for key_id, purpose, wrapping_name, wrapped in rows:
            data_key = _unwrapped(key_id, purpose, wrapping_name, wrapped, wrapping_keys)
            again = wrap(
                data_key,
                wrapping_key=wrapping_keys[newest],
                purpose=purpose,
                key_id=key_id,
                random_bytes=random_bytes,
            )
            await tx.execute("UPDATE vault_key SET wrapping_key = ?, wrapped = ? WHERE id = ?", newest, again, key_id)
        if noted is not None:
            await noted(tx)
        return len(rows)

    return await storage.run(body)


def _unwrapped(key_id: int, purpose: str, wrapping_name: str, wrapped: bytes, wrapping_keys: dict[str, bytes]) -> bytes:
    wrapping_key = wrapping_keys.get(wrapping_name)
    if wrapping_key is None:
        raise VaultBroken(f"the key-encryption key {wrapping_name} is missing; restore {wrapping_name}.key")
    return unwrap(wrapped, wrapping_key=wrapping_key, purpose=purpose, key_id=key_id)
