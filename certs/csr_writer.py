"""Makes PKCS #10 certificate requests (RFC 2986), also with the version number that Apple's client writes."""

from certs import der
from certs.algorithms import Digest, sign, signature_identifier
from certs.cms_writer import attribute
from certs.csr import CHALLENGE_PASSWORD, EXTENSION_REQUEST
from certs.keys import PrivateKey, dump_public_key

_COMMON_NAME = der.object_identifier("2.5.4.3")
_KEY_USAGE = der.object_identifier("2.5.29.15")
_SIGN_AND_ENCIPHER = der.octet_string(bytes.fromhex("030205a0"))  # digitalSignature, keyEncipherment


def create_csr(
    key: PrivateKey,
    *,
    common_name: str,
    challenge_password: str | None = None,
    version: int = 0,
    digest: str = "sha256",
) -> bytes:
    """The DER of a request for this key; macOS writes version 2."""
    name = der.sequence(der.set_of(der.sequence(_COMMON_NAME, der.printable_string(common_name))))
    usage = der.sequence(der.sequence(_KEY_USAGE, der.boolean(True), _SIGN_AND_ENCIPHER))
    attributes = [attribute(EXTENSION_REQUEST, usage)]
    if challenge_password is not None:
        attributes.append(attribute(CHALLENGE_PASSWORD, der.printable_string(challenge_password)))
    info = der.sequence(
        der.integer(version),
        name,
        dump_public_key(key.public_key()),
        der.explicit(0, *sorted(attributes)),
    )
    algorithm = Digest(digest)
    return der.sequence(info, signature_identifier(key, algorithm), der.bit_string(sign(key, info, algorithm)))
