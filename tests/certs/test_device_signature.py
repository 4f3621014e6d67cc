"""Mdm-Signature, with openssl on the other side of every positive claim."""

import base64
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from certs import (
    CertificateCache,
    CertificateError,
    CertificateRefused,
    DeviceAuthority,
    DeviceTrust,
    HeaderMalformed,
    MalformedDER,
    SignatureInvalid,
    der,
    sign_device_message,
    verify_device_signature,
)

BODY = b"<plist><dict><key>Status</key><string>Idle</string></dict></plist>"
SIGNERS = ("rsa", "ec256", "ec384")


def header(message: bytes) -> str:
    return base64.b64encode(message).decode()


@pytest.mark.parametrize("signer", SIGNERS)
@pytest.mark.parametrize("md", ["sha1", "sha256", "sha384", "sha512"])
@pytest.mark.parametrize("options", [(), ("-noattr",), ("-keyid",), ("-noattr", "-keyid")])
def test_what_openssl_signs_is_verified(
    signer: str, md: str, options: tuple[str, ...], pki: Any, cms_sign: Any, cache: CertificateCache
) -> None:
    device = getattr(pki, signer)
    message = cms_sign(BODY, device, *options, md=md)

    trusted = verify_device_signature(header(message), BODY, cache)

    assert (trusted.der, trusted.authority) == (device.der, "corp")


@pytest.mark.parametrize("signer", SIGNERS)
@pytest.mark.parametrize("md", ["sha1", "sha256", "sha384", "sha512"])
@pytest.mark.parametrize("signed_attributes", [True, False])
def test_what_we_sign_is_verified_by_openssl(
    signer: str, md: str, signed_attributes: bool, pki: Any, openssl: Any, tmp_path: Path
) -> None:
    device = getattr(pki, signer)
    value = sign_device_message(BODY, device.der, device.key, digest=md, signed_attributes=signed_attributes)
    body, message = tmp_path / "body", tmp_path / "message"
    body.write_bytes(BODY)
    message.write_bytes(base64.b64decode(value))

    content = openssl(
        *("cms", "-verify", "-binary", "-inform", "DER", "-in", message, "-content", body),
        *("-CAfile", pki.root.certificate_file, "-purpose", "any"),
    )

    assert content == BODY


@pytest.mark.parametrize("signer", SIGNERS)
@pytest.mark.parametrize("signed_attributes", [True, False])
def test_what_we_sign_we_verify(signer: str, signed_attributes: bool, pki: Any, cache: CertificateCache) -> None:
    device = getattr(pki, signer)
    value = sign_device_message(BODY, device.der, device.key, signed_attributes=signed_attributes)

    assert verify_device_signature(value, BODY, cache).der == device.der


@pytest.mark.parametrize("signer", SIGNERS)
@pytest.mark.parametrize("options", [(), ("-noattr",), ("-keyid",)])
def test_indefinite_lengths_are_read_as_devices_write_them(
    signer: str,
    options: tuple[str, ...],
    pki: Any,
    cms_sign: Any,
    as_devices_write: Callable[[bytes], bytes],
    cache: CertificateCache,
) -> None:
    message = as_devices_write(cms_sign(BODY, getattr(pki, signer), *options, md="sha1"))

    assert message.startswith(b"\x30\x80\x06\x09")
    assert message.endswith(b"\x00\x00")
    assert verify_device_signature(header(message), BODY, cache).authority == "corp"


def test_attributes_in_indefinite_lengths_are_verified_over_their_der(
    pki: Any, cms_sign: Any, everything_indefinite: Callable[[bytes], bytes], cache: CertificateCache
) -> None:
    message = everything_indefinite(cms_sign(BODY, pki.rsa))

    assert b"\xa0\x80\x30\x80\x06\x09" in message
    assert verify_device_signature(header(message), BODY, cache).der == pki.rsa.der


def test_signature_over_an_empty_body_is_verified(pki: Any, cache: CertificateCache) -> None:
    value = sign_device_message(b"", pki.rsa.der, pki.rsa.key, signed_attributes=False)

    assert verify_device_signature(value, b"", cache).der == pki.rsa.der


def test_device_with_an_empty_subject_and_sha1_is_verified(pki: Any, cms_sign: Any, cache: CertificateCache) -> None:
    device = pki.issue("", pki.rsa.key, pki.root)
    message = cms_sign(BODY, device, "-noattr", md="sha1")

    assert verify_device_signature(header(message), BODY, cache).subject == ""


def test_signer_is_found_among_other_certificates(pki: Any, cms_sign: Any, cache: CertificateCache) -> None:
    message = cms_sign(BODY, pki.rsa, "-certfile", pki.root.certificate_file)

    assert verify_device_signature(header(message), BODY, cache).der == pki.rsa.der


def test_embedded_certificate_that_we_would_not_accept_does_not_disturb(
    pki: Any, cms_sign: Any, openssl: Any, tmp_path: Path, cache: CertificateCache
) -> None:
    strange = tmp_path / "ed25519.pem"
    openssl(
        *("req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=strange"),
        *("-keyout", tmp_path / "key", "-out", strange),
    )
    message = cms_sign(BODY, pki.rsa, "-certfile", strange)

    assert verify_device_signature(header(message), BODY, cache).der == pki.rsa.der


def test_rsa_encryption_may_be_named_where_sha_with_rsa_is_meant(pki: Any, cache: CertificateCache) -> None:
    message = base64.b64decode(sign_device_message(BODY, pki.rsa.der, pki.rsa.key))
    named = der.object_identifier("1.2.840.113549.1.1.11")
    at = message.rindex(named)
    renamed = message[:at] + der.object_identifier("1.2.840.113549.1.1.1") + message[at + len(named) :]

    assert verify_device_signature(header(renamed), BODY, cache).der == pki.rsa.der


def test_id_ec_public_key_may_be_named_where_ecdsa_is_meant(pki: Any, cache: CertificateCache) -> None:
    message = signed_by_hand(pki.ec256, algorithm=der.sequence(der.object_identifier("1.2.840.10045.2.1")))

    assert verify_device_signature(header(message), BODY, cache).der == pki.ec256.der


def test_white_space_around_the_value_is_ignored(pki: Any, cache: CertificateCache) -> None:
    value = sign_device_message(BODY, pki.rsa.der, pki.rsa.key)

    assert verify_device_signature(f" \t{value}\r\n ", BODY, cache).der == pki.rsa.der


@pytest.mark.parametrize("signed_attributes", [True, False])
@pytest.mark.parametrize("signer", SIGNERS)
def test_another_body_is_refused(signer: str, signed_attributes: bool, pki: Any, cache: CertificateCache) -> None:
    device = getattr(pki, signer)
    value = sign_device_message(BODY, device.der, device.key, signed_attributes=signed_attributes)
    verify_device_signature(value, BODY, cache)

    with pytest.raises(SignatureInvalid):
        verify_device_signature(value, BODY + b" ", cache)


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


def test_rsa_pss_is_refused(pki: Any, cms_sign: Any, cache: CertificateCache) -> None:
    message = cms_sign(BODY, pki.rsa, "-keyopt", "rsa_padding_mode:pss")

    with pytest.raises(SignatureInvalid, match="PSS"):
        verify_device_signature(header(message), BODY, cache)


def test_md5_is_refused(pki: Any, cms_sign: Any, cache: CertificateCache) -> None:
    message = cms_sign(BODY, pki.rsa, md="md5")

    with pytest.raises(SignatureInvalid, match="digest algorithm"):
        verify_device_signature(header(message), BODY, cache)


def test_two_signers_are_refused(pki: Any, cms_sign: Any, cache: CertificateCache) -> None:
    second = ("-signer", pki.ec256.certificate_file, "-inkey", pki.ec256.key_file)
    message = cms_sign(BODY, pki.rsa, *second)

    with pytest.raises(SignatureInvalid, match="2 signers"):
        verify_device_signature(header(message), BODY, cache)


def test_no_signer_is_refused(pki: Any, openssl: Any, tmp_path: Path, cache: CertificateCache) -> None:
    message = openssl(
        *("crl2pkcs7", "-nocrl", "-certfile", pki.rsa.certificate_file, "-outform", "DER"),
    )

    with pytest.raises(SignatureInvalid, match="0 signers"):
        verify_device_signature(header(message), BODY, cache)


@pytest.mark.parametrize("options", [("-nodetach",), ("-nodetach", "-stream")])
def test_attached_content_is_refused(
    options: tuple[str, ...], pki: Any, cms_sign: Any, cache: CertificateCache
) -> None:
    message = cms_sign(BODY, pki.rsa, *options)

    with pytest.raises(SignatureInvalid, match="content"):
        verify_device_signature(header(message), BODY, cache)


@pytest.mark.parametrize("options", [(), ("-keyid",)])
def test_signer_whose_certificate_is_not_embedded_is_refused(
    options: tuple[str, ...], pki: Any, cms_sign: Any, cache: CertificateCache
) -> None:
    message = cms_sign(BODY, pki.rsa, "-nocerts", "-certfile", pki.ec256.certificate_file, *options)

    with pytest.raises(SignatureInvalid, match="no certificate"):
        verify_device_signature(header(message), BODY, cache)


def test_signature_by_another_key_under_a_trusted_certificate_is_refused(pki: Any, cache: CertificateCache) -> None:
    cache.get(pki.ec256.der)
    value = sign_device_message(BODY, pki.ec256.der, pki.issue("thief").key)

    with pytest.raises(SignatureInvalid):
        verify_device_signature(value, BODY, cache)


def test_eight_certificates_are_read_and_nine_refused(
    pki: Any, cms_sign: Any, tmp_path: Path, cache: CertificateCache
) -> None:
    others = [pki.issue(f"other-{number}").certificate_file.read_bytes() for number in range(8)]
    seven, eight = tmp_path / "seven.pem", tmp_path / "eight.pem"
    seven.write_bytes(b"".join(others[:7]))
    eight.write_bytes(b"".join(others))

    accepted = verify_device_signature(header(cms_sign(BODY, pki.rsa, "-certfile", seven)), BODY, cache)

    assert accepted.der == pki.rsa.der
    with pytest.raises(SignatureInvalid, match="9 certificates"):
        verify_device_signature(header(cms_sign(BODY, pki.rsa, "-certfile", eight)), BODY, cache)


@pytest.mark.parametrize(
    "value",
    ["", "  ", "not base64!", "MIIB", "====", "QUJD=", "QUJDRA", "QUJD\nRUZH", "QUJ-RUZ_", "Ünicode", "\x00"],
)
def test_value_that_is_no_signature_is_refused(value: str, cache: CertificateCache) -> None:
    with pytest.raises((HeaderMalformed, MalformedDER)):
        verify_device_signature(value, BODY, cache)


def test_more_than_twelve_kibibytes_are_refused_unread(cache: CertificateCache) -> None:
    with pytest.raises(HeaderMalformed, match="too long"):
        verify_device_signature(header(b"\x30" * (12 * 1024 + 1)), BODY, cache)
    with pytest.raises(MalformedDER):
        verify_device_signature(header(b"\x30" * (12 * 1024)), BODY, cache)


def test_valid_signature_of_a_stranger_is_refused_for_its_certificate(pki: Any, cache: CertificateCache) -> None:
    stranger = pki.issue("stranger")
    value = sign_device_message(BODY, stranger.der, stranger.key)

    with pytest.raises(CertificateRefused, match="no CA configured"):
        verify_device_signature(value, BODY, cache)


def test_signature_is_checked_before_the_chain(pki: Any, cache: CertificateCache) -> None:
    stranger = pki.issue("stranger")
    value = sign_device_message(BODY, stranger.der, stranger.key)

    with pytest.raises(SignatureInvalid):
        verify_device_signature(value, b"another body", cache)


def test_every_truncation_is_an_error_of_ours(pki: Any, cache: CertificateCache) -> None:
    message = base64.b64decode(sign_device_message(BODY, pki.rsa.der, pki.rsa.key))

    for length in range(len(message)):
        with pytest.raises(CertificateError):
            verify_device_signature(header(message[:length]), BODY, cache)


def test_every_truncation_of_the_indefinite_form_is_an_error_of_ours(
    pki: Any, as_devices_write: Callable[[bytes], bytes], cache: CertificateCache
) -> None:
    message = as_devices_write(base64.b64decode(sign_device_message(BODY, pki.rsa.der, pki.rsa.key)))

    for length in range(len(message)):
        with pytest.raises(CertificateError):
            verify_device_signature(header(message[:length]), BODY, cache)


@pytest.mark.parametrize("signer", ["rsa", "ec256"])
@pytest.mark.parametrize("bit", [0x01, 0x20, 0x80])
def test_a_flipped_bit_gives_the_same_certificate_or_an_error_of_ours(
    signer: str, bit: int, pki: Any, cache: CertificateCache
) -> None:
    device = getattr(pki, signer)
    message = bytearray(base64.b64decode(sign_device_message(BODY, device.der, device.key)))
    accepted = 0

    for position in range(len(message)):
        message[position] ^= bit
        with suppress(CertificateError):
            accepted += verify_device_signature(header(message), BODY, cache).der == device.der
        message[position] ^= bit

    assert accepted < 32  # the versions and the outer list of digests are under no signature


def test_flipped_bits_of_an_untrusted_certificate_are_errors_of_ours(pki: Any) -> None:
    nobody = CertificateCache(DeviceTrust([DeviceAuthority(name="empty", roots=())]))
    message = bytearray(base64.b64decode(sign_device_message(BODY, pki.rsa.der, pki.rsa.key)))

    for position in range(len(message)):
        message[position] ^= 0x04
        with pytest.raises(CertificateError):
            verify_device_signature(header(message), BODY, nobody)
        message[position] ^= 0x04


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
