"""Checking an Mdm-Signature with the body's digest alone, for bodies too long to keep or to hash at once."""

import hashlib
from datetime import UTC, datetime

import pytest

from certs import (
    CertificateCache,
    DeviceAuthority,
    DeviceTrust,
    HeaderMalformed,
    PrivateKey,
    SignatureInvalid,
    create_authority,
    device_signature_digest,
    generate_ec,
    generate_rsa,
    issue_device_certificate,
    sign_device_message,
    verify_device_signature_of_digest,
)

BEGIN, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2044, 1, 1, tzinfo=UTC)
CA_KEY = generate_ec()
CA = create_authority(common_name="CA", key=CA_KEY, not_before=BEGIN, not_after=END, serial_number=1)
BODY = b"<plist>" * 1000


@pytest.fixture(scope="module", params=["RSA", "EC"])
def key(request: pytest.FixtureRequest) -> PrivateKey:
    return generate_rsa() if request.param == "RSA" else generate_ec("P-384")


@pytest.fixture
def certificate(key: PrivateKey) -> bytes:
    return issue_device_certificate(
        authority_der=CA, authority_key=CA_KEY, public_key=key.public_key(), common_name="device",
        serial_number=2, not_before=BEGIN, not_after=END,
    )  # fmt: skip


@pytest.fixture
def certificates() -> CertificateCache:
    return CertificateCache(DeviceTrust([DeviceAuthority(name="test", roots=(CA,))]))


@pytest.mark.parametrize("has_attributes", [True, False])
@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha384", "sha512"])
def test_the_digest_of_the_body_is_enough(
    key: PrivateKey, certificate: bytes, certificates: CertificateCache, digest: str, has_attributes: bool
) -> None:
    header = sign_device_message(BODY, certificate, key, digest=digest, signed_attributes=has_attributes)

    name = device_signature_digest(header)
    signer = verify_device_signature_of_digest(header, hashlib.new(name, BODY).digest(), certificates)

    assert name == digest
    assert signer.der == certificate


@pytest.mark.parametrize("has_attributes", [True, False])
@pytest.mark.parametrize("wrong", [b"", b"\0" * 32, hashlib.sha256(b"another").digest(), b"\0" * 1000])
def test_another_digest_is_refused(
    key: PrivateKey, certificate: bytes, certificates: CertificateCache, has_attributes: bool, wrong: bytes
) -> None:
    header = sign_device_message(BODY, certificate, key, signed_attributes=has_attributes)

    with pytest.raises(SignatureInvalid):
        verify_device_signature_of_digest(header, wrong, certificates)


def test_a_header_that_is_none_names_no_digest() -> None:
    with pytest.raises(HeaderMalformed):
        device_signature_digest("!")
