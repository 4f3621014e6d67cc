"""The CA that enrolls devices: what it is made of, what it issues and revokes, judged by openssl."""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import crl as asn1_crl
from asn1crypto.core import Void
from cryptography import x509

from certs import (
    Authority,
    CertificateProfile,
    CertificateRefused,
    MalformedDER,
    RevocationReason,
    create_authority,
    dump_private_key,
    enrollment_id_of,
    generate_ec,
    load_device_certificate,
)
from certs.pem import encode_certificate
from tests.certs.scep_parties import NOW, PROFILE, authority, rsa_key

CA = authority()
KEY = rsa_key("device")
SERIAL = 2**127 + 5


def issued(serial_number: int = SERIAL, **profile: Any) -> bytes:
    made = CertificateProfile(**{"common_name": "Device 7", "enrollment_id": "enrollment-7", **profile})
    return CA.issue(KEY.public_key(), made, serial_number, made.not_before(NOW))


def pem_file(path: Path, *certificates: bytes) -> Path:
    path.write_bytes(b"".join(map(encode_certificate, certificates)))
    return path


def test_issued_certificate_is_verified_by_openssl(openssl: Any, tmp_path: Path) -> None:
    root, leaf = pem_file(tmp_path / "ca.pem", CA.certificate_der), pem_file(tmp_path / "leaf.pem", issued())

    verdict = openssl(
        *("verify", "-x509_strict", "-purpose", "sslclient", "-attime", int(NOW.timestamp())),
        *("-CAfile", root, leaf),
    )

    assert verdict.endswith(b": OK\n")


def test_subject_usages_and_lifetime_are_the_profiles() -> None:
    leaf = x509.load_der_x509_certificate(issued(lifetime=timedelta(days=30)))

    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage)
    assert leaf.subject.rfc4514_string() == "UID=enrollment-7,CN=Device 7"
    assert (leaf.not_valid_before_utc, leaf.not_valid_after_utc) == (NOW - timedelta(hours=1), NOW + timedelta(days=30))
    assert usage.critical
    assert (usage.value.digital_signature, usage.value.key_encipherment, usage.value.key_cert_sign) == (
        True,
        True,
        False,
    )
    assert [
        purpose.dotted_string for purpose in leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    ] == ["1.3.6.1.5.5.7.3.2"]


def test_enrollment_id_is_read_back_from_the_certificate() -> None:
    assert enrollment_id_of(issued(enrollment_id="0F:device/7 ü")) == "0F:device/7 ü"
    assert enrollment_id_of(issued(enrollment_id=None)) is None


def test_ec_key_is_not_said_to_encipher() -> None:
    leaf = CA.issue(generate_ec().public_key(), PROFILE, SERIAL, NOW)

    usage = x509.load_der_x509_certificate(leaf).extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.digital_signature, usage.key_encipherment) == (True, False)


def test_nothing_outlives_the_ca() -> None:
    assert load_device_certificate(issued(lifetime=timedelta(days=9999))).not_after == CA.not_after


def test_expired_ca_issues_nothing() -> None:
    with pytest.raises(CertificateRefused):
        CA.issue(KEY.public_key(), PROFILE, SERIAL, CA.not_after + timedelta(seconds=1))


@pytest.mark.parametrize("serial_number", [0, -1, 2**160])
def test_serial_number_that_no_certificate_can_have_is_refused(serial_number: int) -> None:
    with pytest.raises(CertificateRefused):
        issued(serial_number)


@pytest.mark.parametrize("wrong", [{"common_name": ""}, {"common_name": "x" * 65}, {"enrollment_id": "x" * 257}])
def test_profile_that_no_certificate_can_hold_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(CertificateRefused):
        issued(**wrong)


def test_ca_can_sign_encrypt_and_revoke() -> None:
    usage = x509.load_der_x509_certificate(CA.certificate_der).extensions.get_extension_for_class(x509.KeyUsage).value

    assert (usage.key_cert_sign, usage.crl_sign) == (True, True)
    # RFC 8894 §2.1.2
    assert (usage.digital_signature, usage.key_encipherment) == (True, True)


def test_fingerprints_are_those_of_the_certificate(openssl: Any) -> None:
    for fingerprint, option in ((CA.sha256_fingerprint, "-sha256"), (CA.sha1_fingerprint, "-sha1")):
        printed = openssl("x509", "-inform", "DER", "-noout", "-fingerprint", option, stdin=CA.certificate_der)
        assert bytes.fromhex(printed.decode().partition("=")[2].replace(":", "")) == fingerprint
    assert CA.sha256_fingerprint == hashlib.sha256(CA.certificate_der).digest()


def test_private_key_is_not_shown() -> None:
    assert "key" not in repr(CA).lower()


def test_ca_is_loaded_from_a_file_with_its_chain() -> None:
    other = authority("Another CA")
    pem = encode_certificate(other.certificate_der) + encode_certificate(CA.certificate_der)

    loaded = Authority.load(pem, dump_private_key(rsa_key("MDM CA")))

    assert (loaded.name, loaded.certificate_der) == ("CN=MDM CA", CA.certificate_der)


def test_ca_made_by_openssl_issues_what_openssl_verifies(openssl: Any, tmp_path: Path) -> None:
    key_file = tmp_path / "ca.key"
    key_file.write_bytes(dump_private_key(rsa_key("imported")))
    # -days from today; a name in old string types must come back byte for byte as the issuer.
    certificate = openssl(
        *("req", "-x509", "-new", "-key", key_file, "-days", "30", "-subj", "/C=DE/O=Firma/CN=T61 Ägide"),
        *("-addext", "keyUsage=critical,keyCertSign,cRLSign", "-addext", "subjectKeyIdentifier=none"),
    )
    ca = Authority.load(certificate, key_file.read_bytes())
    now = datetime.now(UTC)

    leaf = ca.issue(KEY.public_key(), PROFILE, SERIAL, now)

    root = tmp_path / "ca.pem"
    root.write_bytes(certificate)
    assert openssl("verify", "-CAfile", root, pem_file(tmp_path / "l.pem", leaf)).endswith(b": OK\n")
    assert ca.has_issued(leaf)


def test_ca_knows_what_it_issued() -> None:
    assert CA.has_issued(issued())
    assert not CA.has_issued(authority("Another CA").certificate_der)
    assert not CA.has_issued(issued()[:-1] + bytes([issued()[-1] ^ 1]))
    assert not CA.has_issued(b"\x30\x00")


def test_ca_of_the_same_name_and_another_key_did_not_issue_it() -> None:
    namesake = Authority.create(
        common_name="MDM CA", key=rsa_key("namesake"), not_before=NOW, not_after=CA.not_after, serial_number=7
    )

    assert not namesake.has_issued(issued())


def test_certificate_by_the_cas_key_under_another_name_is_not_its_own() -> None:
    renamed = Authority.create(
        common_name="Renamed", key=CA.private_key, not_before=NOW, not_after=CA.not_after, serial_number=7
    )

    assert not renamed.has_issued(issued())


def refused_authorities() -> Iterable[tuple[str, bytes, bytes]]:
    validity = {"not_before": NOW, "not_after": NOW + timedelta(days=1), "serial_number": 9}
    ec_key, short = generate_ec(), rsa_key("short", 1024)
    yield "RSA", create_authority(common_name="EC", key=ec_key, **validity), dump_private_key(ec_key)  # type: ignore[arg-type]  # one dictionary for three parameters
    yield "1024 bits", create_authority(common_name="S", key=short, **validity), dump_private_key(short)  # type: ignore[arg-type]  # the same
    yield "belongs to none", CA.certificate_der, dump_private_key(KEY)
    yield "no CA", issued(), dump_private_key(KEY)


@pytest.mark.parametrize(
    ("why", "certificate", "key"), list(refused_authorities()), ids=["ec", "short", "stranger", "leaf"]
)
def test_certificate_that_cannot_be_a_ca_is_refused_with_the_reason(why: str, certificate: bytes, key: bytes) -> None:
    with pytest.raises(CertificateRefused, match=why):
        Authority.load(encode_certificate(certificate), key)


def test_ca_that_may_not_sign_crls_is_refused(openssl: Any, tmp_path: Path) -> None:
    key_file = tmp_path / "ca.key"
    key_file.write_bytes(dump_private_key(rsa_key("imported")))
    certificate = openssl(
        "req", "-x509", "-key", key_file, "-subj", "/CN=x", "-addext", "keyUsage=critical,keyCertSign"
    )

    with pytest.raises(CertificateRefused, match="CRL"):
        Authority.load(certificate, key_file.read_bytes())


@pytest.mark.parametrize("pem", [b"", b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----"])
def test_file_without_a_readable_certificate_is_refused(pem: bytes) -> None:
    with pytest.raises(MalformedDER):
        Authority.load(pem, dump_private_key(KEY))


def test_crl_is_read_by_openssl_and_stops_the_revoked_one_alone(openssl: Any, tmp_path: Path) -> None:
    crl = CA.sign_crl(
        [(SERIAL, NOW, RevocationReason.SUPERSEDED), (77, NOW, RevocationReason.UNSPECIFIED)],
        12,
        NOW,
        NOW + timedelta(days=7),
    )
    text = openssl("crl", "-inform", "DER", "-noout", "-text", stdin=crl)
    bundle = pem_file(tmp_path / "ca.pem", CA.certificate_der)
    crl_file = tmp_path / "crl.pem"
    crl_file.write_bytes(openssl("crl", "-inform", "DER", stdin=crl))
    check = ("verify", "-crl_check", "-attime", int(NOW.timestamp()) + 60, "-CAfile", bundle, "-CRLfile", crl_file)

    assert b"Superseded" in text
    assert text.count(b"Serial Number:") == 2
    assert text.count(b"CRL entry extensions") == 1
    assert b"X509v3 CRL Number: \n                12\n" in text
    assert openssl(*check, pem_file(tmp_path / "good.pem", issued(SERIAL + 1))).endswith(b": OK\n")
    with pytest.raises(AssertionError, match="certificate revoked"):
        openssl(*check, pem_file(tmp_path / "revoked.pem", issued()))


def test_crl_says_the_same_to_cryptography() -> None:
    at = datetime(2051, 2, 3, 4, 5, 6, tzinfo=UTC)

    crl = x509.load_der_x509_crl(CA.sign_crl([(5, at, RevocationReason.KEY_COMPROMISE)], 3, NOW, at))

    revoked = crl.get_revoked_certificate_by_serial_number(5)
    assert revoked is not None
    assert revoked.revocation_date_utc == at
    assert revoked.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.key_compromise
    assert (crl.last_update_utc, crl.next_update_utc) == (NOW, at)
    assert crl.is_signature_valid(CA.private_key.public_key())


def test_crl_of_nobody_lacks_the_list(openssl: Any) -> None:
    """RFC 5280 §5.1.2.6: absent, not empty."""
    crl = CA.sign_crl([], 1, NOW, NOW + timedelta(days=1))

    assert isinstance(asn1_crl.CertificateList.load(crl)["tbs_cert_list"]["revoked_certificates"], Void)
    assert b"No Revoked Certificates" in openssl("crl", "-inform", "DER", "-noout", "-text", stdin=crl)
