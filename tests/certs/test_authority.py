"""The built-in CA, judged by openssl and by the trust that devices meet."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from certs import (
    CertificateCache,
    CertificateRefused,
    DeviceAuthority,
    DeviceTrust,
    MalformedDER,
    PrivateKey,
    create_authority,
    generate_ec,
    issue_device_certificate,
)
from certs.pem import encode_certificate

NOT_BEFORE = datetime(2024, 1, 1, tzinfo=UTC)
NOT_AFTER = datetime(2044, 1, 1, tzinfo=UTC)


def authority(key: PrivateKey) -> bytes:
    return create_authority(
        common_name="MDM CA", key=key, not_before=NOT_BEFORE, not_after=NOT_AFTER, serial_number=2**63
    )


def device(authority_der: bytes, key: PrivateKey, of: PrivateKey, common_name: str = "device") -> bytes:
    return issue_device_certificate(
        authority_der=authority_der,
        authority_key=key,
        public_key=of.public_key(),
        common_name=common_name,
        serial_number=2**64 + 7,
        not_before=NOT_BEFORE,
        not_after=NOT_AFTER,
    )


@pytest.mark.parametrize("kind", ["rsa", "ec256"])
def test_issued_certificate_is_verified_by_openssl_as_a_client(
    kind: str, pki: Any, openssl: Any, tmp_path: Path
) -> None:
    key = getattr(pki, kind).key
    root, leaf = tmp_path / "root.pem", tmp_path / "leaf.pem"
    root.write_bytes(encode_certificate(authority(key)))
    leaf.write_bytes(encode_certificate(device(authority(key), key, pki.ec384.key)))

    verdict = openssl("verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", root, leaf)

    assert verdict.endswith(b": OK\n")


def test_issued_certificate_is_trusted(pki: Any) -> None:
    ca = authority(pki.rsa.key)
    cache = CertificateCache(DeviceTrust([DeviceAuthority(name="built-in", roots=(ca,))]))

    trusted = cache.get(device(ca, pki.rsa.key, pki.ec256.key))

    assert (trusted.authority, trusted.subject, trusted.serial_number) == ("built-in", "CN=device", 2**64 + 7)
    assert (trusted.not_before, trusted.not_after) == (NOT_BEFORE, NOT_AFTER)


def test_usages_are_those_of_a_ca_and_of_a_device(pki: Any) -> None:
    key = pki.rsa.key
    ca = x509.load_der_x509_certificate(authority(key))
    leaf = x509.load_der_x509_certificate(device(authority(key), key, pki.ec256.key))

    ca_usage = ca.extensions.get_extension_for_class(x509.KeyUsage)
    leaf_usage = leaf.extensions.get_extension_for_class(x509.KeyUsage)
    constraints = ca.extensions.get_extension_for_class(x509.BasicConstraints)
    issuer = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier

    assert (constraints.critical, constraints.value.ca) == (True, True)
    assert (ca_usage.value.key_cert_sign, ca_usage.value.crl_sign) == (True, True)
    assert (leaf_usage.value.digital_signature, leaf_usage.value.key_encipherment) == (True, True)
    assert not leaf_usage.value.key_cert_sign
    assert issuer == ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest


def test_key_that_is_not_the_authoritys_signs_nothing(pki: Any) -> None:
    with pytest.raises(CertificateRefused, match="key"):
        device(authority(pki.rsa.key), generate_ec(), pki.ec256.key)


def test_authority_that_cannot_be_read_issues_nothing(pki: Any) -> None:
    with pytest.raises(MalformedDER):
        device(b"\x30\x00", pki.rsa.key, pki.ec256.key)


def test_authority_without_a_key_identifier_issues_nothing(pki: Any, openssl: Any, tmp_path: Path) -> None:
    certificate = openssl(
        *("req", "-x509", "-key", pki.rsa.key_file, "-subj", "/CN=Bare", "-outform", "DER"),
        *("-addext", "subjectKeyIdentifier=none"),
    )

    with pytest.raises(CertificateRefused):
        device(certificate, pki.rsa.key, pki.ec256.key)


@pytest.mark.parametrize("common_name", ["", "x" * 65])
def test_name_that_no_certificate_can_hold_is_refused(common_name: str, pki: Any) -> None:
    with pytest.raises(CertificateRefused):
        device(authority(pki.rsa.key), pki.rsa.key, pki.ec256.key, common_name)
