"""Where fuzzing of SCEP starts: certificate requests, and messages that carry them to a CA made for it.

The CA's RSA key is a new one in each process. What only one key could decrypt is covered by the target for requests.
"""

from base64 import b64encode
from datetime import timedelta
from functools import cache

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from certs import (
    Authority,
    MessageType,
    build_request,
    create_csr,
    create_signer_certificate,
    generate_ec,
    generate_rsa,
)
from tests.fuzz.seeds import NOW


@cache
def authority() -> Authority:
    """The CA that the messages are for."""
    return Authority.create(
        common_name="Fuzz SCEP CA",
        key=generate_rsa(),
        not_before=NOW,
        not_after=NOW + timedelta(days=3650),
        serial_number=1,
    )


@cache
def _client_key() -> RSAPrivateKey:
    return generate_rsa()


@cache
def csrs() -> list[bytes]:
    """Requests as devices and as Macs write them."""
    return [
        create_csr(_client_key(), common_name="device", challenge_password="secret"),
        create_csr(_client_key(), common_name="Mac", version=2, digest="sha1"),
        create_csr(generate_ec(), common_name=""),
    ]


@cache
def messages() -> list[bytes]:
    """PKCSReq in both encodings."""
    signer = create_signer_certificate(_client_key(), not_before=NOW, not_after=NOW + timedelta(days=365))
    return [
        build_request(
            MessageType.PKCS_REQ,
            csrs()[0],
            signer_der=signer,
            signer_key=_client_key(),
            authority_der=authority().certificate_der,
            transaction_id="transaction",
            sender_nonce=b"n" * 16,
            apple_encoding=is_apple,
        )
        for is_apple in (True, False)
    ]


def get_messages() -> list[bytes]:
    """The same as they stand in a query."""
    return [b64encode(message).replace(b"+", b"%2B") for message in messages()]
