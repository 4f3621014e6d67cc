"""S12: of a certificate request only the public key is taken."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AttributeOID, ExtendedKeyUsageOID, NameOID

from certs import FailInfo, MessageType, PKIStatus, SCEPReply, build_request, create_signer_certificate, parse_reply
from mdmserver.config import CA, Config
from tests.certs.scep_parties import rsa_key
from tests.enrollment.world import World, open_world
from tests.fleet import FakeClock


def greedy_request(key: RSAPrivateKey, challenge: str) -> bytes:
    """A CSR that asks for everything: a CA certificate for another name, valid as a server."""
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Root CA"), x509.NameAttribute(
            NameOID.USER_ID, "00000000-0000-4000-8000-000000000009")]))
        .add_attribute(AttributeOID.CHALLENGE_PASSWORD, challenge.encode())
        .add_extension(x509.BasicConstraints(ca=True, path_length=3), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("mdm.example.org")]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )  # fmt: skip


async def ask(world: World, key: RSAPrivateKey) -> SCEPReply:
    _, token = await world.invite()
    now = world.clock()
    signer = create_signer_certificate(key, not_before=now.replace(year=2025), not_after=now.replace(year=2027))
    ca = world.services.own_authorities.issuing.authority.certificate_der
    request = build_request(
        MessageType.PKCS_REQ, greedy_request(key, await world.challenge(token)), signer_der=signer, signer_key=key,
        authority_der=ca, transaction_id="1", sender_nonce=bytes(16),
    )  # fmt: skip
    return parse_reply(
        await world.services.scep.answer(request), signer_der=signer, signer_key=key, transaction_id="1",
        sender_nonce=bytes(16), authorities=[ca],
    )  # fmt: skip


async def test_names_usages_and_lifetime_come_from_the_server(world: World) -> None:
    key = rsa_key("phone")

    reply = await ask(world, key)

    certificate = x509.load_der_x509_certificate(reply.certificates[0])
    uid = certificate.subject.get_attributes_for_oid(NameOID.USER_ID)[0].value
    extensions = {extension.oid._name: extension.value for extension in certificate.extensions}
    assert certificate.public_key() == key.public_key()
    assert certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "MDM identity"
    assert uid != "00000000-0000-4000-8000-000000000009"
    assert await world.count("SELECT count(*) FROM issued_certificate WHERE enrollment_uid = ?", uid) == 1
    assert extensions["basicConstraints"] == x509.BasicConstraints(ca=False, path_length=None)
    assert extensions["extendedKeyUsage"] == x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    assert "subjectAltName" not in extensions
    assert (certificate.not_valid_after_utc - world.clock()).days == 365
    assert (world.clock() - certificate.not_valid_before_utc).total_seconds() == 3600


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(lambda: rsa.generate_private_key(public_exponent=3, key_size=2048), id="exponent 3"),
        pytest.param(lambda: rsa_key("short", 1024), id="1024 bits"),
    ],
)
async def test_weak_keys_are_refused_and_use_nothing_up(world: World, key: Callable[[], RSAPrivateKey]) -> None:
    reply = await ask(world, key())

    assert (reply.status, reply.fail_info) == (PKIStatus.FAILURE, FailInfo.BAD_ALG)
    assert await world.count("SELECT count(*) FROM issued_certificate") == 0
    assert await world.count("SELECT count(*) FROM challenge WHERE used_at IS NOT NULL") == 0


async def test_1024_bits_take_explicit_configuration(world: World, keys: Path, clock: FakeClock) -> None:
    lenient = await open_world(world.storage, keys, clock, Config(ca=CA(allow_rsa_1024=True)))

    reply = await ask(lenient, rsa_key("short", 1024))

    assert reply.status is PKIStatus.SUCCESS
