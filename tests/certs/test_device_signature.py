"""Mdm-Signature, with openssl on the other side of every positive claim."""

import base64
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

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
            accepted += verify_device_signature(header(bytes(message)), BODY, cache).der == device.der
        message[position] ^= bit

    assert accepted < 32  # the versions and the outer list of digests are under no signature


def test_flipped_bits_of_an_untrusted_certificate_are_errors_of_ours(pki: Any) -> None:
    nobody = CertificateCache(DeviceTrust([DeviceAuthority(name="empty", roots=())]))
    message = bytearray(base64.b64decode(sign_device_message(BODY, pki.rsa.der, pki.rsa.key)))

    for position in range(len(message)):
        message[position] ^= 0x04
        with pytest.raises(CertificateError):
            verify_device_signature(header(bytes(message)), BODY, nobody)
        message[position] ^= 0x04
