"""Signed profiles: openssl reads ours, we read openssl's, and nothing of the content changes on the way."""

from pathlib import Path

import pytest

from certs import CertificateError, MalformedDER, SignatureInvalid, generate_ec
from profiles import SigningFailed, enrollment_profile, read_signed_profile, render, sign_profile
from tests.profiles.conftest import OpenSSL, Signer
from tests.profiles.examples import settings

CONTENTS = [
    pytest.param(render(enrollment_profile(settings())), id="profile"),
    pytest.param(b"one\ntwo\r\nthree\rfour\n", id="line ends"),
    pytest.param(bytes(range(256)) * 300, id="longer than 64 KiB"),
    pytest.param(b"", id="empty"),
]


@pytest.mark.parametrize("content", CONTENTS)
def test_openssl_reads_what_we_signed_byte_for_byte(content: bytes, signer: Signer, openssl: OpenSSL) -> None:
    signed = sign_profile(content, signer.der, signer.key, [signer.intermediate_der])

    assert openssl("cms", "-verify", "-binary", "-inform", "DER", "-noverify", stdin=signed) == content


def test_openssl_trusts_the_signer_by_the_chain_that_goes_with_it(
    signer: Signer, openssl: OpenSSL, tmp_path: Path
) -> None:
    root_file = tmp_path / "root.pem"
    root_file.write_bytes(openssl("x509", "-inform", "DER", stdin=signer.root_der))

    signed = sign_profile(b"content", signer.der, signer.key, [signer.intermediate_der])

    verified = openssl(
        *("cms", "-verify", "-binary", "-inform", "DER", "-purpose", "any", "-CAfile", root_file), stdin=signed
    )
    assert verified == b"content"


def test_a_certificate_goes_with_the_signature_once_however_often_the_chain_has_it(
    signer: Signer, openssl: OpenSSL
) -> None:
    chain = [signer.der, signer.intermediate_der, signer.root_der, signer.intermediate_der]

    signed = sign_profile(b"content", signer.der, signer.key, chain)

    assert openssl("pkcs7", "-inform", "DER", "-print_certs", stdin=signed).count(b"BEGIN CERTIFICATE") == 3


@pytest.mark.parametrize("content", CONTENTS)
def test_we_read_what_we_signed(content: bytes, signer: Signer) -> None:
    signed = sign_profile(content, signer.der, signer.key, [signer.intermediate_der])

    assert read_signed_profile(signed) == (content, signer.der)


@pytest.mark.parametrize("options", [(), ("-noattr",), ("-stream",), ("-keyid",), ("-md", "sha512")], ids=str)
@pytest.mark.parametrize("content", CONTENTS[:3])
def test_we_read_what_openssl_signed(
    content: bytes, options: tuple[str, ...], signers: dict[str, Signer], openssl: OpenSSL
) -> None:
    signer = signers["rsa"]

    signed = openssl(
        *("cms", "-sign", "-binary", "-nodetach", "-outform", "DER", *options),
        *("-signer", signer.certificate_file, "-inkey", signer.key_file),
        stdin=content,
    )

    assert read_signed_profile(signed) == (content, signer.der)


def test_a_changed_content_does_not_pass(signer: Signer) -> None:
    signed = sign_profile(b"a profile that erases nothing", signer.der, signer.key)

    with pytest.raises(SignatureInvalid):
        read_signed_profile(signed.replace(b"nothing", b"all of "))


def test_a_changed_signature_does_not_pass(signer: Signer) -> None:
    signed = bytearray(sign_profile(b"content", signer.der, signer.key))

    signed[-1] ^= 1  # the signature ends the message

    with pytest.raises(SignatureInvalid):
        read_signed_profile(bytes(signed))


def test_a_changed_content_does_not_pass_where_there_are_no_signed_attributes(
    signers: dict[str, Signer], openssl: OpenSSL
) -> None:
    signer = signers["rsa"]
    signed = openssl(
        *("cms", "-sign", "-binary", "-nodetach", "-noattr", "-outform", "DER"),
        *("-signer", signer.certificate_file, "-inkey", signer.key_file),
        stdin=b"content",
    )

    with pytest.raises(SignatureInvalid):
        read_signed_profile(signed.replace(b"content", b"Content"))


def test_a_signature_without_content_is_refused(signers: dict[str, Signer], openssl: OpenSSL) -> None:
    signer = signers["p256"]
    detached = openssl(
        *("cms", "-sign", "-binary", "-outform", "DER", "-signer", signer.certificate_file),
        *("-inkey", signer.key_file),
        stdin=b"content",
    )

    with pytest.raises(SignatureInvalid):
        read_signed_profile(detached)


def test_a_signature_without_the_signers_certificate_is_refused(signers: dict[str, Signer], openssl: OpenSSL) -> None:
    signer = signers["p256"]
    signed = openssl(
        *("cms", "-sign", "-binary", "-nodetach", "-nocerts", "-outform", "DER"),
        *("-signer", signer.certificate_file, "-inkey", signer.key_file),
        stdin=b"content",
    )

    with pytest.raises(SignatureInvalid):
        read_signed_profile(signed)


@pytest.mark.parametrize("garbage", [b"", b"<?xml version='1.0'?>", b"0\x80", b"\x30\x03\x02\x01\x00"])
def test_what_is_not_signed_data_is_malformed(garbage: bytes) -> None:
    with pytest.raises(MalformedDER):
        read_signed_profile(garbage)


def test_a_signed_profile_that_is_cut_off_anywhere_raises_an_error_of_certs(signers: dict[str, Signer]) -> None:
    signer = signers["p256"]
    signed = sign_profile(b"content", signer.der, signer.key)

    for length in range(len(signed)):
        with pytest.raises(CertificateError):
            read_signed_profile(signed[:length])


def test_a_key_that_is_not_the_certificates_signs_nothing(signers: dict[str, Signer]) -> None:
    with pytest.raises(SigningFailed):
        sign_profile(b"content", signers["p256"].der, generate_ec())


@pytest.mark.parametrize("chain", [[b"no certificate"], [b""]])
def test_a_chain_that_cannot_be_read_signs_nothing(chain: list[bytes], signers: dict[str, Signer]) -> None:
    with pytest.raises(SigningFailed):
        sign_profile(b"content", signers["p256"].der, signers["p256"].key, chain)
