"""Mdm-Signatures put together by hand, each wrong (or unusual) in one part that openssl always writes right."""

import base64
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from certs import CertificateCache, SignatureInvalid, der, verify_device_signature

BODY = b"<plist><dict><key>Status</key><string>Idle</string></dict></plist>"


def header(message: bytes) -> str:
    return base64.b64encode(message).decode()


def test_id_ec_public_key_may_be_named_where_ecdsa_is_meant(pki: Any, cache: CertificateCache) -> None:
    message = signed_by_hand(pki.ec256, algorithm=der.sequence(der.object_identifier("1.2.840.10045.2.1")))

    assert verify_device_signature(header(message), BODY, cache).der == pki.ec256.der


def test_changed_attribute_is_refused(pki: Any, cache: CertificateCache) -> None:
    attributes = signed_attributes(BODY)
    changed = attributes + der.sequence(
        der.object_identifier("1.2.840.113549.1.9.5"),
        der.set_of(der.element(0x17, b"240101000000Z")),
    )
    message = signed_by_hand(pki.ec256, attributes=changed, signed=der.element(0x31, attributes))

    with pytest.raises(SignatureInvalid, match="does not belong"):
        verify_device_signature(header(message), BODY, cache)


@pytest.mark.parametrize("attribute", ["contentType", "messageDigest"])
@pytest.mark.parametrize("times", [0, 2])
def test_attributes_that_must_come_once_come_once(
    attribute: str, times: int, pki: Any, cache: CertificateCache
) -> None:
    both = {"contentType": content_type_attribute(), "messageDigest": digest_attribute(BODY)}
    attributes = b"".join(value * (times if name == attribute else 1) for name, value in both.items())

    with pytest.raises(SignatureInvalid):
        verify_device_signature(header(signed_by_hand(pki.ec256, attributes=attributes)), BODY, cache)


def test_two_digests_in_one_attribute_are_refused(pki: Any, cache: CertificateCache) -> None:
    two = digest_attribute(BODY, b"another body")

    with pytest.raises(SignatureInvalid):
        verify_device_signature(
            header(signed_by_hand(pki.ec256, attributes=content_type_attribute() + two)), BODY, cache
        )


def test_attributes_that_name_another_content_type_are_refused(pki: Any, cache: CertificateCache) -> None:
    attributes = content_type_attribute("1.2.840.113549.1.7.3") + digest_attribute(BODY)

    with pytest.raises(SignatureInvalid, match="content type"):
        verify_device_signature(header(signed_by_hand(pki.ec256, attributes=attributes)), BODY, cache)


def test_digest_that_contradicts_the_signature_algorithm_is_refused(pki: Any, cache: CertificateCache) -> None:
    ecdsa_with_sha384 = der.sequence(der.object_identifier("1.2.840.10045.4.3.3"))
    message = signed_by_hand(pki.ec256, algorithm=ecdsa_with_sha384)

    with pytest.raises(SignatureInvalid, match="sha384"):
        verify_device_signature(header(message), BODY, cache)


def test_signature_algorithm_of_another_kind_of_key_is_refused(pki: Any, cache: CertificateCache) -> None:
    message = signed_by_hand(
        pki.ec256, algorithm=der.sequence(der.object_identifier("1.2.840.113549.1.1.11"), der.NULL)
    )

    with pytest.raises(SignatureInvalid, match="another kind"):
        verify_device_signature(header(message), BODY, cache)


def content_type_attribute(oid: str = "1.2.840.113549.1.7.1") -> bytes:
    return der.sequence(der.object_identifier("1.2.840.113549.1.9.3"), der.set_of(der.object_identifier(oid)))


def digest_attribute(*bodies: bytes) -> bytes:
    values = (der.octet_string(sha256(body).digest()) for body in bodies)
    return der.sequence(der.object_identifier("1.2.840.113549.1.9.4"), der.set_of(*values))


def signed_attributes(body: bytes) -> bytes:
    return content_type_attribute() + digest_attribute(body)


def signed_by_hand(
    device: Any,
    *,
    attributes: bytes | None = None,
    signed: bytes | None = None,
    algorithm: bytes | None = None,
) -> bytes:
    """A message of an EC device with SHA-256, each part of which a test may get wrong."""
    attributes = signed_attributes(BODY) if attributes is None else attributes
    signed = der.element(0x31, attributes) if signed is None else signed
    digest = der.sequence(der.object_identifier("2.16.840.1.101.3.4.2.1"))
    signer = der.sequence(
        der.integer(1),
        der.sequence(device.certificate.issuer.public_bytes(), der.integer(device.certificate.serial_number)),
        digest,
        der.explicit(0, attributes),
        algorithm or der.sequence(der.object_identifier("1.2.840.10045.4.3.2")),
        der.octet_string(device.key.sign(signed, ec.ECDSA(hashes.SHA256()))),
    )
    signed_data = der.sequence(
        der.integer(1),
        der.set_of(digest),
        der.sequence(der.object_identifier("1.2.840.113549.1.7.1")),
        der.explicit(0, device.der),
        der.set_of(signer),
    )
    return der.sequence(der.object_identifier("1.2.840.113549.1.7.2"), der.explicit(0, signed_data))
