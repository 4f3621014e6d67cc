"""The ciphers that contents of envelopes are encrypted with, by what their AlgorithmIdentifier holds.

Single DES can be read, where that is asked for, and never written.
"""

from dataclasses import dataclass
from enum import StrEnum

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import ciphers, padding
from cryptography.hazmat.primitives.ciphers import modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from certs import der
from certs.errors import MalformedDER


class Cipher(StrEnum):
    """A block cipher in CBC mode."""

    AES_128_CBC = "aes-128-cbc"
    AES_192_CBC = "aes-192-cbc"
    AES_256_CBC = "aes-256-cbc"
    DES_EDE3_CBC = "des-ede3-cbc"
    DES_CBC = "des-cbc"


@dataclass(frozen=True, slots=True, kw_only=True)
class CipherShape:
    """How an algorithm is named, and how many octets its key and its blocks have."""

    oid: bytes
    key_octets: int
    block_octets: int


SHAPES = {
    cipher: CipherShape(oid=der.object_identifier(oid), key_octets=key, block_octets=block)
    for cipher, oid, key, block in (
        (Cipher.AES_128_CBC, "2.16.840.1.101.3.4.1.2", 16, 16),
        (Cipher.AES_192_CBC, "2.16.840.1.101.3.4.1.22", 24, 16),
        (Cipher.AES_256_CBC, "2.16.840.1.101.3.4.1.42", 32, 16),
        (Cipher.DES_EDE3_CBC, "1.2.840.113549.3.7", 24, 8),
        (Cipher.DES_CBC, "1.3.14.3.2.7", 8, 8),
    )
}
_BY_OID = {shape.oid: cipher for cipher, shape in SHAPES.items()}


def cipher_of(oid: bytes) -> Cipher:
    """The cipher that an OID element names; raises MalformedDER for one that is not read."""
    if cipher := _BY_OID.get(oid):
        return cipher
    raise MalformedDER(f"content encryption algorithm {oid[:16].hex()} is not accepted")


def encrypt(cipher: Cipher, key: bytes, iv: bytes, content: bytes) -> bytes:
    """The content padded (PKCS #7) and encrypted; ValueError for single DES, which is not written."""
    if cipher is Cipher.DES_CBC:
        raise ValueError("nothing is encrypted with single DES")
    padder = padding.PKCS7(SHAPES[cipher].block_octets * 8).padder()
    encryptor = _algorithm(cipher, key, iv).encryptor()
    return encryptor.update(padder.update(content) + padder.finalize()) + encryptor.finalize()


def decrypt(cipher: Cipher, key: bytes, iv: bytes, encrypted: bytes) -> bytes:
    """The content without its padding; ValueError for whatever does not fit."""
    decryptor = _algorithm(cipher, key, iv).decryptor()
    unpadder = padding.PKCS7(SHAPES[cipher].block_octets * 8).unpadder()
    padded = decryptor.update(encrypted) + decryptor.finalize()
    return unpadder.update(padded) + unpadder.finalize()


def _algorithm(cipher: Cipher, key: bytes, iv: bytes) -> ciphers.Cipher[modes.CBC]:
    match cipher:
        case Cipher.DES_CBC:
            # The same key three times: the middle decryption undoes the first encryption.
            return ciphers.Cipher(TripleDES(key * 3), modes.CBC(iv))
        case Cipher.DES_EDE3_CBC:
            return ciphers.Cipher(TripleDES(key), modes.CBC(iv))
        case _:
            return ciphers.Cipher(AES(key), modes.CBC(iv))
