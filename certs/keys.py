"""Makes, reads and writes private keys; using them is the business of others."""

from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from certs.errors import CertificateRefused, MalformedDER

PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey
PublicKey = RSAPublicKey | EllipticCurvePublicKey
CurveName = Literal["P-256", "P-384", "P-521"]

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
