"""Certificates and private keys out of the files that people have: PEM in any order, DER, PKCS #12.

What belongs together is decided by those who read them. No message repeats anything of a key.
"""

import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

from certs.ber import BIT_STRING, INTEGER, OCTET_STRING, SEQUENCE, Reader, expected
from certs.certificate_fields import read_certificate
from certs.errors import CertificateRefused, MalformedDER
from certs.keys import PrivateKey, accepted_private_key
from certs.pem import decode_certificates, key_blocks
from certs.pkcs12 import check_iterations, read_pkcs12

MAX_FILE_BYTES = 1024 * 1024
MAX_CERTIFICATES = 64
MAX_KEYS = 16

_PEM = b"-----BEGIN "
_ENCRYPTED_KEY = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"
_PKCS12_VERSION = b"\x03"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityFile:
    """What a file holds: certificates in DER, readable each, and keys that are no longer encrypted."""

    certificates: tuple[bytes, ...] = ()
    keys: tuple[PrivateKey, ...] = field(default=(), repr=False)


def read_identity_file(encoded: bytes, passphrase: bytes | None = None) -> IdentityFile:
    """Everything in a file; keys that are not encrypted need no passphrase and do not mind one.

    Raises MalformedDER for what cannot be read, CertificateRefused for a passphrase that is wrong or missing and
    for keys neither RSA nor EC.
    """
    _check_size(encoded)
    if _PEM in encoded:
        blocks = key_blocks(encoded)
        if len(blocks) > MAX_KEYS:
            raise MalformedDER(f"more than {MAX_KEYS} private keys in one file")
        keys = tuple(_load_pem_key(block, passphrase) for block in blocks)
        return IdentityFile(certificates=certificates_in(encoded), keys=keys)
    tags, first = _shape(encoded)
    if tags[:1] == (INTEGER,) and first == _PKCS12_VERSION:
        certificates, key = read_pkcs12(encoded, passphrase)
        return IdentityFile(certificates=_checked(certificates), keys=() if key is None else (key,))
    if tags == (SEQUENCE, SEQUENCE, BIT_STRING):
        return IdentityFile(certificates=_checked([encoded]))
    if tags[:1] == (INTEGER,) or tags == (SEQUENCE, OCTET_STRING):
        check_iterations(encoded)
        return IdentityFile(keys=(_opened(load_der_private_key, encoded, passphrase),))
    raise MalformedDER("the file is neither PEM nor PKCS #12, and no certificate or private key in DER")


def certificates_in(encoded: bytes) -> tuple[bytes, ...]:
    """The DER of the certificates in PEM or of the one in DER; keys beside them are not opened.

    Raises MalformedDER; nothing but other kinds of PEM is no certificates.
    """
    _check_size(encoded)
    return _checked(decode_certificates(encoded) if _PEM in encoded else [encoded])


def _check_size(encoded: bytes) -> None:
    if len(encoded) > MAX_FILE_BYTES:
        raise MalformedDER(f"a file of {len(encoded)} bytes is longer than {MAX_FILE_BYTES}")


def _checked(certificates: Sequence[bytes]) -> tuple[bytes, ...]:
    if len(certificates) > MAX_CERTIFICATES:
        raise MalformedDER(f"more than {MAX_CERTIFICATES} certificates in one file")
    for number, der in enumerate(certificates, start=1):
        try:
            read_certificate(der)
        except MalformedDER as error:
            raise MalformedDER(f"certificate {number}: {error}") from error
    return tuple(dict.fromkeys(certificates))


def _shape(encoded: bytes) -> tuple[tuple[int, ...], bytes]:
    """The tags inside the outermost element, and the content of the first: enough to tell the kinds apart."""
    try:
        reader = Reader(encoded)
        parts = reader.children(expected(reader.root(), SEQUENCE))
    except MalformedDER:
        return (), b""
    return tuple(part.tag for part in parts), reader.content(parts[0]) if parts else b""


def _load_pem_key(block: bytes, passphrase: bytes | None) -> PrivateKey:
    if block.startswith(_ENCRYPTED_KEY):
        try:
            check_iterations(binascii.a2b_base64(block.split(b"-----")[2]))
        except binascii.Error:
            raise MalformedDER("a private key in the PEM is not base64") from None
    return _opened(load_pem_private_key, block, passphrase)


def _opened(load: Callable[..., object], encoded: bytes, passphrase: bytes | None) -> PrivateKey:
    # All of it without the cause: what a parser says about a key stays out of tracebacks.
    try:
        key = load(encoded, password=passphrase or None)
    except TypeError:
        if passphrase:
            return _opened(load, encoded, None)  # a passphrase for a key that is not encrypted
        raise CertificateRefused("the private key is encrypted, and no passphrase was given") from None
    except UnsupportedAlgorithm:
        raise CertificateRefused("the private key is of a kind, or encrypted in a way, that is not read here") from None
    except Exception:  # whatever else the parser raises, it is about these bytes
        if passphrase:
            raise CertificateRefused("the passphrase does not open the private key, or the key is damaged") from None
        raise MalformedDER("the private key cannot be read") from None
    return accepted_private_key(key)
