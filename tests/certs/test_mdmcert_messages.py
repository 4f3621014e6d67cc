"""What mdmcert.download is sent and what it mails, with openssl in its place."""

import base64
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from certs import (
    CertificateRefused,
    DecryptionFailed,
    MalformedDER,
    create_encryption_certificate,
    decrypt_mdmcert_file,
    mdmcert_request,
    push_csr,
    seal_envelope,
    upload_file,
)
from certs.pem import encode_certificate
from tests.certs.push_parties import NOW, intermediate, root, vendor, vendor_key
from tests.certs.scep_parties import rsa_key

KEY = rsa_key("mdmcert")
CSR = push_csr(rsa_key("push"), common_name="Example GmbH", country="DE", email="mdm@example.com")
CERTIFICATE = create_encryption_certificate(
    KEY, serial_number=2**100, not_before=NOW - timedelta(hours=1), not_after=NOW + timedelta(days=365)
)
UPLOAD = upload_file(CSR, vendor().pem + intermediate().pem + root().pem, vendor_key(), at=NOW)


def opened(mailed: bytes, *, csr: bytes = CSR, certificate: bytes = CERTIFICATE, key: Any = KEY) -> bytes:
    return decrypt_mdmcert_file(mailed, encryption_certificate=certificate, key=key, csr_der=csr)


def mailed(content: bytes = UPLOAD) -> bytes:
    return seal_envelope(content, CERTIFICATE).hex().encode()


def test_encryption_certificate_is_one_that_openssl_encrypts_to(openssl: Any) -> None:
    printed = openssl("x509", "-inform", "DER", "-noout", "-text", stdin=CERTIFICATE)

    assert b"Subject: CN = mdmcert.download" in printed
    assert b"Digital Signature, Key Encipherment" in printed
    assert b"CA:FALSE" in printed


@pytest.mark.parametrize("certificate", [CERTIFICATE, encode_certificate(CERTIFICATE)], ids=["DER", "PEM"])
def test_request_has_what_the_service_asks_for_as_openssl_reads_it(openssl: Any, certificate: bytes) -> None:
    asked = mdmcert_request(CSR, email="mdm@example.com", encryption_certificate=certificate, api_key="the key")

    assert (asked["email"], asked["key"], len(asked)) == ("mdm@example.com", "the key", 4)
    assert openssl("req", "-outform", "DER", stdin=base64.b64decode(asked["csr"])) == CSR
    assert openssl("x509", "-outform", "DER", stdin=base64.b64decode(asked["encrypt"])) == CERTIFICATE


@pytest.mark.parametrize("cipher", ["-des3", "-aes-128-cbc", "-aes256"])
@pytest.mark.parametrize("options", [(), ("-stream",)], ids=["definite", "indefinite"])
def test_file_that_openssl_encrypted_is_opened(
    openssl: Any, tmp_path: Path, cipher: str, options: tuple[str, ...]
) -> None:
    recipient = tmp_path / "recipient.pem"
    recipient.write_bytes(encode_certificate(CERTIFICATE))
    envelope = openssl("cms", "-encrypt", "-binary", "-outform", "DER", cipher, *options, recipient, stdin=UPLOAD)

    assert opened(envelope.hex().encode()) == UPLOAD


def test_file_encrypted_with_single_des_is_opened(openssl: Any, tmp_path: Path) -> None:
    recipient = tmp_path / "recipient.pem"
    recipient.write_bytes(encode_certificate(CERTIFICATE))
    try:
        envelope = openssl(
            *("cms", "-encrypt", "-binary", "-outform", "DER", "-provider", "legacy", "-provider", "default"),
            *("-des", recipient),
            stdin=UPLOAD,
        )
    except AssertionError:
        pytest.skip("this openssl has no legacy provider, and without it no single DES")

    assert opened(envelope.hex().encode()) == UPLOAD


def test_hexadecimal_text_may_have_line_breaks_and_capitals() -> None:
    text = mailed().upper()
    lines = b"\r\n".join(text[start : start + 76] for start in range(0, len(text), 76)) + b"\n"

    assert opened(lines) == UPLOAD


def test_file_with_a_line_break_at_its_end_is_given_without_it() -> None:
    assert opened(mailed(UPLOAD + b"\n")) == UPLOAD


def test_file_for_someone_else_is_not_opened() -> None:
    with pytest.raises(DecryptionFailed):
        opened(seal_envelope(UPLOAD, vendor().der).hex().encode())
    with pytest.raises(DecryptionFailed):
        opened(mailed(), key=rsa_key("another"))


def test_answer_to_another_request_is_refused() -> None:
    other = push_csr(rsa_key("another"), common_name="Example GmbH", country="DE", email="mdm@example.com")

    with pytest.raises(CertificateRefused, match="another request"):
        opened(mailed(), csr=other)


def test_request_written_anew_for_the_same_key_is_ours() -> None:
    again = push_csr(rsa_key("push"), common_name="Renamed", country="DE", email="mdm@example.com")

    assert opened(mailed(), csr=again) == UPLOAD


@pytest.mark.parametrize("content", [b"", b"hello", base64.b64encode(b"hello"), UPLOAD[:-20]])
def test_envelope_that_holds_no_signed_request_is_malformed(content: bytes) -> None:
    with pytest.raises(MalformedDER):
        opened(mailed(content))


@pytest.mark.parametrize("text", [b"not hexadecimal", b"3", "ü".encode(), b"0" * (1024 * 1024 + 2)])
def test_text_that_is_not_hexadecimal_or_too_long_is_malformed(text: bytes) -> None:
    with pytest.raises(MalformedDER):
        opened(text)


def test_exactly_one_encryption_certificate_is_taken() -> None:
    for certificates in (encode_certificate(CERTIFICATE) + vendor().pem, vendor().key_pem):
        with pytest.raises(MalformedDER, match="encryption certificates where one belongs"):
            mdmcert_request(CSR, email="x@example.com", encryption_certificate=certificates, api_key="x")


def test_request_that_is_none_is_not_sent() -> None:
    with pytest.raises(MalformedDER):
        mdmcert_request(b"garbage", email="x@example.com", encryption_certificate=CERTIFICATE, api_key="x")


def test_encryption_certificate_with_times_in_the_wrong_order_is_refused() -> None:
    with pytest.raises(CertificateRefused):
        create_encryption_certificate(KEY, serial_number=1, not_before=NOW, not_after=NOW - timedelta(days=1))
