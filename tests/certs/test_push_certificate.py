"""Push certificates and their keys, in every form that people and other servers have them in."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certs import (
    CertificateRefused,
    MalformedDER,
    generate_ec,
    load_pem_certificates,
    load_private_key,
    load_push_identity,
    read_push_certificate,
)
from tests.certs.push_parties import (
    CLIENT,
    NOW,
    PASSPHRASE,
    SERVER,
    TOPIC,
    intermediate,
    issue,
    key_as,
    push,
    root,
    vendor,
)


def assert_is_push_identity(loaded: tuple[Any, bytes]) -> None:
    certificate, key_pem = loaded
    assert certificate.topic == TOPIC
    assert key_pem == push().key_pem


def test_what_is_read_is_what_openssl_reads(openssl: Any) -> None:
    certificate = read_push_certificate(push().pem)

    printed = openssl("x509", "-noout", "-fingerprint", "-sha256", "-serial", stdin=push().pem).decode().splitlines()
    assert certificate.fingerprint == printed[0].partition("=")[2].replace(":", "").lower()
    assert certificate.serial_number == int(printed[1].partition("=")[2], 16)
    assert certificate.topic == TOPIC
    assert certificate.is_apple_topic
    assert (certificate.subject, certificate.issuer) == (f"CN=APSP:5f0a,UID={TOPIC}", "CN=Worldwide CA")
    assert (certificate.not_before, certificate.not_after) == (NOW - timedelta(days=65), NOW + timedelta(days=300))


def test_certificate_is_read_from_der_too() -> None:
    assert read_push_certificate(push().der) == read_push_certificate(push().pem)


def test_chain_is_put_in_order_and_strangers_are_left_out() -> None:
    mixed = root().pem + vendor().pem + intermediate().pem + push().pem + push().pem

    certificate, _ = load_push_identity(mixed, key=push().key_pem)

    assert load_pem_certificates(certificate.chain) == (push().der, intermediate().der, root().der)


def test_certificate_of_the_same_name_that_did_not_sign_is_no_part_of_the_chain() -> None:
    impostor = issue("Worldwide CA", key=generate_ec(), issuer=root())

    certificate = read_push_certificate(push().pem + impostor.pem)

    assert load_pem_certificates(certificate.chain) == (push().der,)


def test_expired_certificate_is_read_and_says_so() -> None:
    expired = issue("old", topic=TOPIC, not_after=NOW - timedelta(days=1))

    assert read_push_certificate(expired.pem).not_after < NOW


def test_topic_that_is_not_apples_is_read_and_says_so() -> None:
    assert not read_push_certificate(issue("stand-in", topic="com.example.push").pem).is_apple_topic


@pytest.mark.parametrize(
    "together",
    [
        lambda certificate, key: certificate + key,
        lambda certificate, key: key + certificate,
        lambda certificate, key: certificate.rstrip() + key,
        lambda certificate, key: key.rstrip() + certificate,
        lambda certificate, key: (
            b"Bag Attributes\n    friendlyName: x\n" + certificate + b"Key Attributes: <None>\n" + key
        ),
        lambda certificate, key: (certificate + key).replace(b"\n", b"\r\n"),
        lambda certificate, key: b"\xef\xbb\xbf" + certificate + key,
    ],
    ids=["in order", "key first", "no line break", "key first without", "bag attributes", "CRLF", "byte order mark"],
)
def test_certificate_and_key_in_one_file_in_any_order(together: Callable[[bytes, bytes], bytes]) -> None:
    assert_is_push_identity(load_push_identity(together(push().pem, push().key_pem)))


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_key_is_given_separately_in_any_form(form: PrivateFormat, encoding: Encoding) -> None:
    assert_is_push_identity(load_push_identity(push().der, key=key_as(push().key, form, encoding)))


@pytest.mark.parametrize(
    "options",
    [
        ("rsa", "-traditional", "-aes256"),
        ("rsa", "-traditional", "-des3"),
        ("pkcs8", "-topk8", "-v2", "aes256"),
        ("pkcs8", "-topk8", "-v1", "PBE-SHA1-3DES"),
        ("pkcs8", "-topk8", "-v2", "aes256", "-outform", "DER"),
    ],
    ids=" ".join,
)
def test_encrypted_key_is_opened_with_its_passphrase_alone(openssl: Any, options: tuple[str, ...]) -> None:
    encrypted = openssl(*options, "-passout", f"pass:{PASSPHRASE.decode()}", stdin=push().key_pem)

    assert_is_push_identity(load_push_identity(push().pem, key=encrypted, passphrase=PASSPHRASE))
    with pytest.raises(CertificateRefused, match="passphrase does not open"):
        load_push_identity(push().pem, key=encrypted, passphrase=b"wrong")
    with pytest.raises(CertificateRefused, match="no passphrase was given"):
        load_push_identity(push().pem, key=encrypted)


def test_passphrase_that_is_not_needed_does_no_harm() -> None:
    assert_is_push_identity(load_push_identity(push().pem + push().key_pem, passphrase=PASSPHRASE))


def test_ec_key_with_its_parameters_before_it(openssl: Any) -> None:
    written = openssl("ecparam", "-name", "prime256v1", "-genkey")
    key = load_private_key(written[written.index(b"-----BEGIN EC PRIVATE KEY") :])
    identity = issue("ec", topic=TOPIC, key=key)

    _, key_pem = load_push_identity(written + identity.pem)

    assert key_pem == identity.key_pem


def test_renewed_certificate_of_the_same_key_is_taken_instead_of_the_old_one() -> None:
    renewed = issue("APSP:5f0a", topic=TOPIC, not_after=NOW + timedelta(days=600), issuer=intermediate())

    for mixed in (push().pem + renewed.pem, renewed.pem + push().pem):
        assert load_push_identity(mixed, key=push().key_pem)[0].not_after == NOW + timedelta(days=600)


def test_key_of_another_certificate_is_refused_naming_the_certificate() -> None:
    with pytest.raises(CertificateRefused, match=f"does not belong to the certificate of .*{TOPIC}"):
        load_push_identity(push().pem, key=vendor().key_pem)


def test_missing_parts_are_named() -> None:
    with pytest.raises(CertificateRefused, match="no certificate"):
        load_push_identity(push().key_pem)
    with pytest.raises(CertificateRefused, match="no private key"):
        load_push_identity(push().pem)
    with pytest.raises(CertificateRefused, match="no certificate"):
        read_push_certificate(push().key_pem)


def test_certificate_without_a_topic_is_refused() -> None:
    with pytest.raises(CertificateRefused, match="no topic"):
        read_push_certificate(issue("nobody").pem)


def test_certificate_that_is_not_for_clients_is_refused() -> None:
    with pytest.raises(CertificateRefused, match="no client certificate"):
        read_push_certificate(issue("server", topic=TOPIC, extensions=[SERVER]).pem)


def test_certificate_without_extended_key_usage_is_for_any_use() -> None:
    assert read_push_certificate(issue("any use", topic=TOPIC, extensions=[]).pem).topic == TOPIC


def test_key_that_is_neither_rsa_nor_ec_is_refused() -> None:
    key = ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    with pytest.raises(CertificateRefused, match="neither RSA nor EC"):
        load_push_identity(push().pem, key=key)


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"hello",
        b"\x30\x80",
        b"0" * 100,
        b"\x30\x03\x02\x01\x00",
        push().der[:-1],
        push().pem[:-30],
        push().key_pem[:-30] + push().pem,
        b"-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----",
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n%%%\n-----END ENCRYPTED PRIVATE KEY-----",
        b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        b"x" * (1024 * 1024 + 1),
        push().key_pem * 17,
    ],
    ids=range(13),
)
def test_what_cannot_be_read_is_said_to_be_malformed(garbage: bytes) -> None:
    with pytest.raises(MalformedDER):
        load_push_identity(garbage)


def test_a_million_beginnings_without_an_end_are_read_once() -> None:
    with pytest.raises(MalformedDER):
        load_push_identity(b"-----BEGIN PRIVATE KEY-----" * 38_000)


def test_no_error_repeats_anything_of_a_key() -> None:
    lines = push().key_pem.split(b"\n")
    damaged = b"\n".join((*lines[:5], lines[6], lines[5], *lines[7:]))

    with pytest.raises((CertificateRefused, MalformedDER)) as caught:
        load_push_identity(push().pem, key=damaged)

    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert not any(line.decode() in str(caught.value) for line in lines if len(line) > 4)


def test_key_is_not_shown_where_files_are_shown() -> None:
    certificate, _ = load_push_identity(push().pem + push().key_pem)

    assert "BEGIN" not in repr(certificate)


@pytest.mark.parametrize("extensions", [[CLIENT], []])
def test_push_certificate_signed_by_itself_is_read_for_stand_ins(extensions: list[Any]) -> None:
    certificate = read_push_certificate(issue("own", topic=TOPIC, extensions=extensions).pem)

    assert len(load_pem_certificates(certificate.chain)) == 1
