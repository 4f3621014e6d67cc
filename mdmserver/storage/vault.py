"""Secrets at rest (S24): AES-256-GCM envelopes whose associated data names table, row and column.

Values are sealed under data keys. Data keys lie in the database, wrapped by a key-encryption key that lies outside it,
in a file of its own. Changing the key-encryption key re-wraps the few data keys and touches no sealed value, so it
needs no downtime: a running server holds the data keys in memory.
"""

import hashlib
import hmac
import os
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mdmserver.errors import MDMError

KEY_BYTES = 32
_NONCE_BYTES = 12
_VERSION = 1
_HEADER_BYTES = 5
RandomBytes = Callable[[int], bytes]


class VaultBroken(MDMError):
    """An envelope does not open: wrong key, moved to another place, or tampered with."""

    code = "vault_broken"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sealed value belongs; it opens nowhere else."""

    table: str
    row: str
    column: str

    @property
    def associated_data(self) -> bytes:
        """The bytes that the envelope is bound to."""
        return f"{self.table}\0{self.row}\0{self.column}".encode()


class Vault:
    """Seals and opens values. An envelope is: version (1 byte), data key id (4), nonce (12), ciphertext and tag."""

    def __init__(
        self, data_keys: dict[int, bytes], *, fingerprint_key: bytes, random_bytes: RandomBytes = os.urandom
    ) -> None:
        self._ciphers = {key_id: AESGCM(key) for key_id, key in data_keys.items()}
        self._current = max(data_keys)
        self._header = bytes([_VERSION]) + self._current.to_bytes(4, "big")
        self._fingerprint_key = fingerprint_key
        self._random_bytes = random_bytes

    def seal(self, value: bytes, place: Place) -> bytes:
        """An envelope of the value, for this place only."""
        nonce = self._random_bytes(_NONCE_BYTES)
        return self._header + nonce + self._ciphers[self._current].encrypt(nonce, value, place.associated_data)

    def open(self, envelope: bytes, place: Place) -> bytes:
        """The value in an envelope. Raises VaultBroken, naming the place and nothing of the value."""
        cipher = self._ciphers.get(int.from_bytes(envelope[1:_HEADER_BYTES], "big"))
        nonce = envelope[_HEADER_BYTES : _HEADER_BYTES + _NONCE_BYTES]
        if cipher is None or len(nonce) < _NONCE_BYTES or envelope[0] != _VERSION:
            raise VaultBroken(f"{place.table}.{place.column} of {place.row} is no envelope of this vault")
        try:
            return cipher.decrypt(nonce, envelope[_HEADER_BYTES + _NONCE_BYTES :], place.associated_data)
        except InvalidTag as error:
            raise VaultBroken(f"{place.table}.{place.column} of {place.row} does not open") from error

    def fingerprint(self, value: bytes) -> str:
        """A short, stable name for a secret value that tells nothing about it to those without the vault."""
        return hmac.new(self._fingerprint_key, value, hashlib.sha256).hexdigest()[:16]


def wrap(data_key: bytes, *, wrapping_key: bytes, purpose: str, key_id: int, random_bytes: RandomBytes) -> bytes:
    """A data key as it lies in the database."""
    nonce = random_bytes(_NONCE_BYTES)
    return nonce + AESGCM(wrapping_key).encrypt(nonce, data_key, _wrapping_data(purpose, key_id))


def unwrap(wrapped: bytes, *, wrapping_key: bytes, purpose: str, key_id: int) -> bytes:
    """The data key. Raises VaultBroken for another wrapping key or a changed row."""
    try:
        return AESGCM(wrapping_key).decrypt(
            wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], _wrapping_data(purpose, key_id)
        )
    except (InvalidTag, ValueError) as error:
        raise VaultBroken(f"data key {key_id} ({purpose}) does not open with this key-encryption key") from error


def _wrapping_data(purpose: str, key_id: int) -> bytes:
    return f"vault_key\0{purpose}\0{key_id}".encode()
