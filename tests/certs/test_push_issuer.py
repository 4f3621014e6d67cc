"""Push certificates for the stand-in for APNs: of the shape of Apple's, and verified by OpenSSL."""

import ssl
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs import (
    CertificateRefused,
    PrivateKey,
    PublicKey,
    create_authority,
    enrollment_id_of,
    generate_ec,
    server_names_of,
)
from certs.push_issuer import APPLE_PUSH_PRODUCTION, issue_push_certificate, issue_server_certificate

TOPIC = "com.apple.mgmt.External.7f1f2e11-9c0a-4b57-8f0e-0a3f5b8d2c41"
FROM, UNTIL = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture
def key() -> PrivateKey:
    return generate_ec()


@pytest.fixture
def authority(key: PrivateKey) -> bytes:
    return create_authority(common_name="test", key=key, not_before=FROM, not_after=UNTIL, serial_number=1)


@pytest.fixture
def public_key() -> PublicKey:
    return generate_ec().public_key()


def push_certificate(authority: bytes, key: PrivateKey, public_key: PublicKey, topic: str = TOPIC) -> bytes:
    return issue_push_certificate(
        authority_der=authority,
        authority_key=key,
        public_key=public_key,
        topic=topic,
        serial_number=2,
        not_before=FROM,
        not_after=UNTIL,
    )


def test_a_push_certificate_is_of_the_shape_of_apples(authority: bytes, key: PrivateKey, public_key: PublicKey) -> None:
    certificate = x509.load_der_x509_certificate(push_certificate(authority, key, public_key))

    assert [(each.oid, each.value) for each in certificate.subject] == [
        (NameOID.USER_ID, TOPIC),
        (NameOID.COMMON_NAME, "APSP:7f1f2e11-9c0a-4b57-8f0e-0a3f5b8d2c41"),
        (NameOID.COUNTRY_NAME, "US"),
    ]
    usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    mark = certificate.extensions.get_extension_for_oid(x509.ObjectIdentifier(APPLE_PUSH_PRODUCTION)).value
    assert mark.public_bytes() == b"\x05\x00"
    assert enrollment_id_of(push_certificate(authority, key, public_key)) == TOPIC


@pytest.mark.parametrize("purpose", ["sslclient", "sslserver"])
def test_openssl_verifies_each_certificate_for_its_use_alone(
    authority: bytes, key: PrivateKey, public_key: PublicKey, purpose: str, tmp_path: Path
) -> None:
    server = issue_server_certificate(
        authority_der=authority,
        authority_key=key,
        public_key=public_key,
        server_names=("localhost", "127.0.0.1"),
        serial_number=3,
        not_before=FROM,
        not_after=UNTIL,
    )
    (tmp_path / "ca.pem").write_text(ssl.DER_cert_to_PEM_cert(authority))
    verified = {}
    for name, der in (("sslclient", push_certificate(authority, key, public_key)), ("sslserver", server)):
        (tmp_path / "leaf.pem").write_text(ssl.DER_cert_to_PEM_cert(der))
        command = ["openssl", "verify", "-x509_strict", "-attime", str(int(FROM.timestamp()) + 1), "-purpose", purpose]
        done = subprocess.run([*command, "-CAfile", tmp_path / "ca.pem", tmp_path / "leaf.pem"], capture_output=True)
        verified[name] = done.returncode == 0

    assert verified == {"sslclient": purpose == "sslclient", "sslserver": purpose == "sslserver"}
    assert server_names_of(server) == {"localhost", "127.0.0.1"}


def test_a_key_that_is_not_the_authoritys_signs_nothing(authority: bytes, public_key: PublicKey) -> None:
    with pytest.raises(CertificateRefused):
        push_certificate(authority, generate_ec(), public_key)


@pytest.mark.parametrize("topic", ["", "com.example.app", "com.apple.mgmtExternal"])
def test_what_is_no_topic_of_mdm_gets_no_certificate(
    authority: bytes, key: PrivateKey, public_key: PublicKey, topic: str
) -> None:
    with pytest.raises(CertificateRefused):
        push_certificate(authority, key, public_key, topic=topic)
