"""Makes, reads and writes private keys, reads public ones; using them is the business of others."""

from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from certs.errors import CertificateRefused, MalformedDER

PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey
PublicKey = RSAPublicKey | EllipticCurvePublicKey
RSAKey = RSAPrivateKey
"""The one kind of private key that SCEP can use."""
CurveName = Literal["P-256", "P-384", "P-521"]

_VERIFIED_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_RSA_BITS = range(1024, 4096 + 1)
_LONGEST_EXPONENT_BITS = 64  # an exponent as long as the modulus makes one verification take milliseconds

_CURVES: dict[CurveName, type[ec.EllipticCurve]] = {
    "P-256": ec.SECP256R1,
    "P-384": ec.SECP384R1,
    "P-521": ec.SECP521R1,
}


def generate_rsa(bits: int = 2048) -> RSAPrivateKey:
    """A new RSA key with exponent 65537."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def generate_ec(curve: CurveName = "P-256") -> EllipticCurvePrivateKey:
    """A new key on a NIST curve."""
    return ec.generate_private_key(_CURVES[curve]())


def load_private_key(pem: bytes) -> PrivateKey:
    """Reads an unencrypted RSA or EC key; raises MalformedDER or, for another kind, CertificateRefused."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Without the cause: what the parser says about a key stays out of tracebacks.
        raise MalformedDER("not an unencrypted private key in PEM") from None
    return accepted_private_key(key)


def accepted_private_key(key: object) -> PrivateKey:
    """The same key, if it is of a kind that is used here; raises CertificateRefused."""
    if not isinstance(key, RSAPrivateKey | EllipticCurvePrivateKey):
        raise CertificateRefused("the private key is neither RSA nor EC")
    return key


def dump_private_key(key: PrivateKey) -> bytes:
    """PEM, PKCS #8, not encrypted: the caller decides how it is kept."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def load_public_key(der: bytes) -> PublicKey:
    """Reads a SubjectPublicKeyInfo; raises MalformedDER, or CertificateRefused as `verifiable` does."""
    try:
        key = serialization.load_der_public_key(der)
    except Exception as error:  # whatever the parser raises, it is about these bytes
        raise MalformedDER(f"public key cannot be read: {type(error).__name__}") from error
    return verifiable(key)


def dump_public_key(key: PublicKey) -> bytes:
    """The SubjectPublicKeyInfo in DER: equal for equal keys."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def verifiable(key: object) -> PublicKey:
    """The same key, if signatures by it can be checked at a bounded cost; raises CertificateRefused.

    These are RSA keys of 1024 to 4096 bits and EC keys on P-256, P-384 and P-521.
    """
    if isinstance(key, RSAPublicKey):
        if key.key_size not in _RSA_BITS:
            raise CertificateRefused(f"an RSA key of {key.key_size} bits is not accepted")
        if key.public_numbers().e.bit_length() > _LONGEST_EXPONENT_BITS:
            raise CertificateRefused("an RSA exponent longer than 64 bits is not accepted")
        return key
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, _VERIFIED_CURVES):
        return key
    raise CertificateRefused("the key is neither RSA nor on P-256, P-384 or P-521")
