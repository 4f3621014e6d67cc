"""Certificate requests: what clients write, judged by openssl and asn1crypto, and what is not accepted."""

from pathlib import Path
from typing import Any

import pytest
from asn1crypto import csr as asn1_csr
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from certs import (
    CertificateError,
    CertificateRefused,
    KeyPolicy,
    MalformedDER,
    PrivateKey,
    SignatureInvalid,
    create_csr,
    generate_ec,
    parse_csr,
)
from certs.algorithms import Digest, sign, signature_identifier
from certs.cms_writer import attribute
from certs.csr import CHALLENGE_PASSWORD, EXTENSION_REQUEST
from certs.der import bit_string, element, explicit, integer, object_identifier, octet_string, sequence, set_of
from certs.keys import dump_public_key
from tests.certs.scep_parties import rsa_key

KEY = rsa_key("device")
NAME = sequence(set_of(sequence(object_identifier("2.5.4.3"), element(0x0C, b"d"))))


def written(key: PrivateKey, *attributes: bytes, info: bytes | None = None) -> bytes:
    """A request put together by hand and signed."""
    if info is None:
        info = sequence(integer(0), NAME, dump_public_key(key.public_key()), explicit(0, *attributes))
    algorithm = signature_identifier(key, Digest.SHA256)
    return sequence(info, algorithm, bit_string(sign(key, info, Digest.SHA256)))


@pytest.mark.parametrize("version", [0, 2])
@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha384", "sha512"])
def test_request_is_read_whatever_version_it_claims(version: int, digest: str) -> None:
    encoded = create_csr(KEY, common_name="Mac 7", challenge_password="s3cret", version=version, digest=digest)

    request = parse_csr(encoded)

    assert request.public_key == KEY.public_key()
    assert (request.subject, request.challenge_password) == ("CN=Mac 7", "s3cret")
    assert request.request_info in encoded


@pytest.mark.parametrize("version", [0, 2])
def test_request_is_verified_by_openssl(version: int, openssl: Any) -> None:
    encoded = create_csr(KEY, common_name="Mac 7", challenge_password="s3cret", version=version)

    text = openssl("req", "-inform", "DER", "-noout", "-verify", "-text", stdin=encoded)

    assert b"CN = Mac 7" in text
    assert b"s3cret" in text
    assert b"Digital Signature, Key Encipherment" in text


def test_request_says_the_same_to_asn1crypto() -> None:
    encoded = create_csr(KEY, common_name="Mac 7", challenge_password="s3cret", version=2)

    info = asn1_csr.CertificationRequest.load(encoded, strict=True)["certification_request_info"]

    assert info["subject"].native == {"common_name": "Mac 7"}
    assert [found["type"].native for found in info["attributes"]] == ["challenge_password", "extension_request"]
    assert info.dump() == parse_csr(encoded).request_info


def test_request_made_by_openssl_is_read(openssl: Any, pki: Any, tmp_path: Path) -> None:
    configuration = tmp_path / "req.cnf"
    configuration.write_text(
        "[req]\nprompt=no\ndistinguished_name=dn\nattributes=more\n"
        "[dn]\nC=DE\nO=Häuser, Söhne\nCN=dev\n[more]\nchallengePassword=geheim\n"
    )

    encoded = openssl(
        *("req", "-new", "-utf8", "-key", pki.rsa.key_file, "-config", configuration, "-outform", "DER"),
        *("-addext", "subjectAltName=DNS:a.example,email:x@example.org,DNS:b.example"),
    )

    request = parse_csr(encoded)
    assert request.subject == "CN=dev,O=Häuser\\, Söhne,C=DE"
    assert request.challenge_password == "geheim"
    assert request.requested_dns_names == ("a.example", "b.example")


@pytest.mark.parametrize(
    ("tag", "value"),
    [(0x13, b"pass"), (0x0C, "päss".encode()), (0x16, b"pass"), (0x14, "päss".encode("latin-1")), (0x1E, b"\0p\0a")],
)
def test_challenge_may_be_any_kind_of_string(tag: int, value: bytes) -> None:
    request = parse_csr(written(KEY, attribute(CHALLENGE_PASSWORD, element(tag, value))))

    assert request.challenge_password in ("pass", "päss", "pa")


def test_challenge_is_not_shown() -> None:
    request = parse_csr(create_csr(KEY, common_name="d", challenge_password="s3cret"))

    assert "s3cret" not in repr(request)


def test_empty_or_missing_challenge_is_none() -> None:
    assert parse_csr(create_csr(KEY, common_name="d")).challenge_password is None
    assert parse_csr(create_csr(KEY, common_name="d", challenge_password="")).challenge_password is None


def test_request_without_the_field_for_attributes_is_read() -> None:
    info = sequence(integer(0), NAME, dump_public_key(KEY.public_key()))

    assert parse_csr(written(KEY, info=info)).public_key == KEY.public_key()


def test_crooked_extension_request_turns_nobody_away() -> None:
    crooked = attribute(
        EXTENSION_REQUEST, sequence(sequence(object_identifier("2.5.29.17"), octet_string(b"\x30\x7f")))
    )

    assert parse_csr(written(KEY, crooked)).requested_dns_names == ()


def test_request_signed_by_another_key_is_refused() -> None:
    info = sequence(integer(0), NAME, dump_public_key(rsa_key("another").public_key()), explicit(0))

    with pytest.raises(SignatureInvalid):
        parse_csr(written(KEY, info=info))


def test_request_whose_signature_names_no_digest_is_refused() -> None:
    encoded = create_csr(KEY, common_name="d", digest="sha256")
    unnamed = encoded.replace(object_identifier("1.2.840.113549.1.1.11"), object_identifier("1.2.840.113549.1.1.1"))

    with pytest.raises(SignatureInvalid, match="no digest"):
        parse_csr(unnamed)


@pytest.mark.parametrize("values", [(b"a", b"b"), ()])
def test_challenge_that_is_not_one_string_is_refused(values: tuple[bytes, ...]) -> None:
    challenges = sequence(CHALLENGE_PASSWORD, set_of(*(element(0x13, value) for value in values)))

    with pytest.raises(MalformedDER, match="challenge"):
        parse_csr(written(KEY, challenges))


def test_attribute_that_comes_twice_is_refused() -> None:
    challenge = attribute(CHALLENGE_PASSWORD, element(0x13, b"a"))

    with pytest.raises(MalformedDER, match="twice"):
        parse_csr(written(KEY, challenge, challenge))


@pytest.mark.parametrize("curve", ["P-256", "P-384"])
def test_accepted_curves_are_certified(curve: Any) -> None:
    key = generate_ec(curve)

    assert parse_csr(create_csr(key, common_name="d")).public_key == key.public_key()


@pytest.mark.parametrize(
    "key",
    [
        rsa_key("short", 1024),
        rsa.generate_private_key(3, 2048),
        ec.generate_private_key(ec.SECP521R1()),
        ec.generate_private_key(ec.SECP256K1()),
    ],
    ids=["rsa-1024", "exponent-3", "P-521", "secp256k1"],
)
def test_key_outside_the_policy_is_refused(key: Any) -> None:
    with pytest.raises(CertificateRefused):
        parse_csr(create_csr(key, common_name="d"))


def test_rsa_1024_is_certified_only_where_the_policy_says_so() -> None:
    encoded = create_csr(rsa_key("short", 1024), common_name="d", digest="sha1")

    assert parse_csr(encoded, KeyPolicy(allow_rsa_1024=True)).public_key == rsa_key("short", 1024).public_key()


def test_request_cut_off_anywhere_is_an_error_of_ours() -> None:
    encoded = create_csr(KEY, common_name="d", challenge_password="x")

    for length in range(len(encoded)):
        with pytest.raises(CertificateError):
            parse_csr(encoded[:length])


def test_no_bit_of_a_request_can_be_flipped_unnoticed() -> None:
    encoded = create_csr(KEY, common_name="d", challenge_password="x")

    for position in range(0, len(encoded) * 8, 5):
        flipped = bytearray(encoded)
        flipped[position // 8] ^= 1 << position % 8
        with pytest.raises(CertificateError):
            parse_csr(bytes(flipped))


def test_request_of_unusual_size_is_not_looked_into() -> None:
    with pytest.raises(MalformedDER, match="longer"):
        parse_csr(bytes(40_000))
