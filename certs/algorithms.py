"""Which digests and signature algorithms are accepted, by what their AlgorithmIdentifier holds.

An identifier is recognised by its whole content (OID and parameters), so parameters that do not belong
are unknown algorithms. SHA-1 stays: devices in use sign with it. MD5, DSA and RSA-PSS are not accepted.
"""

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from certs.der import NULL, object_identifier, sequence
from certs.errors import SignatureInvalid
from certs.keys import PrivateKey, PublicKey


class Digest(StrEnum):
    """A hash that a signer may name."""

    SHA1 = "sha1"
    SHA256 = "sha256"
    SHA384 = "sha384"
    SHA512 = "sha512"


class KeyKind(StrEnum):
    """The kind of key that a signature algorithm belongs to."""

    RSA = "RSA"
    EC = "EC"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureAlgorithm:
    """How a signature is made; `digest` is None where the identifier names only the kind of key."""

    key_kind: KeyKind
    digest: Digest | None


_DIGEST_OIDS = {
    Digest.SHA1: "1.3.14.3.2.26",
    Digest.SHA256: "2.16.840.1.101.3.4.2.1",
    Digest.SHA384: "2.16.840.1.101.3.4.2.2",
    Digest.SHA512: "2.16.840.1.101.3.4.2.3",
}
_RSA_OIDS: dict[Digest | None, str] = {
    None: "1.2.840.113549.1.1.1",
    Digest.SHA1: "1.2.840.113549.1.1.5",
    Digest.SHA256: "1.2.840.113549.1.1.11",
    Digest.SHA384: "1.2.840.113549.1.1.12",
    Digest.SHA512: "1.2.840.113549.1.1.13",
}
_EC_OIDS: dict[Digest | None, str] = {
    None: "1.2.840.10045.2.1",
    Digest.SHA1: "1.2.840.10045.4.1",
    Digest.SHA256: "1.2.840.10045.4.3.2",
    Digest.SHA384: "1.2.840.10045.4.3.3",
    Digest.SHA512: "1.2.840.10045.4.3.4",
}
_PSS = object_identifier("1.2.840.113549.1.1.10")

_HASHES: dict[Digest, hashes.HashAlgorithm] = {
    Digest.SHA1: hashes.SHA1(),  # noqa: S303  # old devices and old device CAs
    Digest.SHA256: hashes.SHA256(),
    Digest.SHA384: hashes.SHA384(),
    Digest.SHA512: hashes.SHA512(),
}
_HASHERS = {
    Digest.SHA1: hashlib.sha1,
    Digest.SHA256: hashlib.sha256,
    Digest.SHA384: hashlib.sha384,
    Digest.SHA512: hashlib.sha512,
}
_ECDSA = {digest: ec.ECDSA(algorithm) for digest, algorithm in _HASHES.items()}
_PKCS1V15 = padding.PKCS1v15()

# With NULL parameters and without: both are written, whatever the RFC of the algorithm says.
_DIGESTS = {
    object_identifier(oid) + parameters: digest for digest, oid in _DIGEST_OIDS.items() for parameters in (b"", NULL)
}
_SIGNATURES = {
    object_identifier(oid) + parameters: SignatureAlgorithm(key_kind=kind, digest=digest)
    for kind, oids in ((KeyKind.RSA, _RSA_OIDS), (KeyKind.EC, _EC_OIDS))
    for digest, oid in oids.items()
    for parameters in (b"", NULL)
}


def hashed(message: bytes, digest: Digest) -> bytes:
    """The digest of the message."""
    return _HASHERS[digest](message).digest()


def digest_of(identifier: bytes) -> Digest:
    """The digest that the content of an AlgorithmIdentifier names; raises SignatureInvalid."""
    if digest := _DIGESTS.get(identifier):
        return digest
    raise SignatureInvalid(f"digest algorithm {identifier[:16].hex()} is not accepted")


def signature_algorithm_of(identifier: bytes) -> SignatureAlgorithm:
    """The algorithm that the content of an AlgorithmIdentifier names; raises SignatureInvalid."""
    if algorithm := _SIGNATURES.get(identifier):
        return algorithm
    if identifier.startswith(_PSS):
        raise SignatureInvalid("RSA-PSS signatures are not accepted")
    raise SignatureInvalid(f"signature algorithm {identifier[:16].hex()} is not accepted")


def digest_identifier(digest: Digest) -> bytes:
    """The AlgorithmIdentifier of a digest."""
    return sequence(object_identifier(_DIGEST_OIDS[digest]), NULL)


def signature_identifier(key: PrivateKey, digest: Digest) -> bytes:
    """The AlgorithmIdentifier of what `sign` does with this key."""
    if isinstance(key, RSAPrivateKey):
        return sequence(object_identifier(_RSA_OIDS[digest]), NULL)
    return sequence(object_identifier(_EC_OIDS[digest]))


def plain_key_identifier(key: PrivateKey) -> bytes:
    """The AlgorithmIdentifier that names only the kind of key: rsaEncryption or id-ecPublicKey."""
    if isinstance(key, RSAPrivateKey):
        return sequence(object_identifier(_RSA_OIDS[None]), NULL)
    return sequence(object_identifier(_EC_OIDS[None]))


def sign(key: PrivateKey, message: bytes, digest: Digest) -> bytes:
    """An RSA PKCS #1 v1.5 or ECDSA signature over the message."""
    if isinstance(key, EllipticCurvePrivateKey):
        return key.sign(message, _ECDSA[digest])
    return key.sign(message, _PKCS1V15, _HASHES[digest])


def verify(
    key: PublicKey,
    signature: bytes,
    message: bytes,
    algorithm: SignatureAlgorithm,
    digest: Digest,
    *,
    is_hashed: bool = False,
) -> None:
    """Raises SignatureInvalid unless the key made this signature over the message, in this way.

    With `is_hashed` the message is the digest of what was signed.
    """
    if algorithm.digest not in (None, digest):
        raise SignatureInvalid(f"the signature algorithm says {algorithm.digest}, the signer {digest}")
    how = Prehashed(_HASHES[digest]) if is_hashed else _HASHES[digest]
    try:
        if algorithm.key_kind is KeyKind.RSA and isinstance(key, RSAPublicKey):
            key.verify(signature, message, _PKCS1V15, how)
        elif algorithm.key_kind is KeyKind.EC and isinstance(key, EllipticCurvePublicKey):
            key.verify(signature, message, ec.ECDSA(how) if is_hashed else _ECDSA[digest])
        else:
            raise SignatureInvalid(f"an {algorithm.key_kind} signature by a key of another kind")
    except (InvalidSignature, UnsupportedAlgorithm, ValueError) as error:
        raise SignatureInvalid("the signature does not belong to these bytes and this key") from error
