"""Private keys in PEM."""

from pathlib import Path
from typing import Any

import pytest

from certs import (
    CertificateError,
    CertificateRefused,
    CurveName,
    MalformedDER,
    PrivateKey,
    dump_private_key,
    generate_ec,
    generate_rsa,
    load_private_key,
)


def test_rsa_key_has_2048_bits_unless_said_otherwise() -> None:
    assert (generate_rsa().key_size, generate_rsa(1024).key_size) == (2048, 1024)


@pytest.mark.parametrize(("curve", "bits"), [("P-256", 256), ("P-384", 384), ("P-521", 521)])
def test_ec_key_is_on_the_named_curve(curve: CurveName, bits: int) -> None:
    assert generate_ec(curve).key_size == bits


@pytest.mark.parametrize("key", [generate_ec("P-384"), generate_rsa(1024)])
def test_written_key_is_read_by_us_and_by_openssl(key: PrivateKey, openssl: Any) -> None:
    pem = dump_private_key(key)

    assert pem.startswith(b"-----BEGIN PRIVATE KEY-----\n")
    assert dump_private_key(load_private_key(pem)) == pem
    assert openssl("pkey", stdin=pem) == pem


def test_encrypted_key_is_refused(pki: Any, openssl: Any) -> None:
    pem = openssl("pkcs8", "-topk8", "-in", pki.rsa.key_file, "-passout", "pass:secret")

    with pytest.raises(MalformedDER):
        load_private_key(pem)


def test_key_of_another_kind_is_refused(openssl: Any) -> None:
    with pytest.raises(CertificateRefused):
        load_private_key(openssl("genpkey", "-algorithm", "ed25519"))


def test_nothing_of_a_broken_key_is_in_the_error(pki: Any) -> None:
    pem = Path(pki.rsa.key_file).read_bytes()
    broken = pem.replace(pem[100:120], b"!" * 20)

    with pytest.raises(CertificateError) as refused:
        load_private_key(broken)

    assert refused.value.__cause__ is None
    assert "!" not in str(refused.value)
