"""Reading a device's certificate, and remembering the trusted ones."""

import hashlib
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from certs import (
    CertificateCache,
    CertificateError,
    CertificateExpired,
    CertificateRefused,
    DeviceAuthority,
    DeviceCertificate,
    DeviceTrust,
    MalformedDER,
    TrustedCertificate,
    check_validity,
    der,
    load_device_certificate,
)
from certs.certificate_cache import MAX_REFUSED
from tests.certs.conftest import CA

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ECDSA_WITH_SHA256 = der.sequence(der.object_identifier("1.2.840.10045.4.3.2"))


def test_parts_of_a_certificate_are_told(pki: Any) -> None:
    certificate = load_device_certificate(pki.rsa.der)

    assert certificate.der == pki.rsa.der
    assert certificate.fingerprint == hashlib.sha256(pki.rsa.certificate.tbs_certificate_bytes).digest()
    assert (certificate.subject, certificate.issuer) == ("CN=rsa-device", "CN=Device Root")
    assert certificate.issuer_der == pki.root.certificate.subject.public_bytes()
    assert certificate.serial_number == pki.rsa.certificate.serial_number
    assert certificate.not_before == datetime(2024, 1, 1, tzinfo=UTC)
    assert certificate.not_after == datetime(2044, 1, 1, tzinfo=UTC)
    assert certificate.public_key == pki.rsa.key.public_key()


def test_ecdsa_signature_written_another_way_leaves_the_fingerprint_as_it_is(pki: Any) -> None:
    authority = pki.issue("EC Root", ec.generate_private_key(ec.SECP256R1()), extensions=[CA])
    leaf = pki.issue("leaf", issuer=authority)
    original = leaf.certificate.signature
    r, s = decode_dss_signature(original)
    twin = encode_dss_signature(r, P256_ORDER - s)
    written_again = der.sequence(
        leaf.certificate.tbs_certificate_bytes,
        ECDSA_WITH_SHA256,
        der.element(0x03, b"\x00" + twin),
    )
    trust = DeviceTrust([DeviceAuthority(name="ec", roots=(authority.der,))])

    stranger = load_device_certificate(written_again)

    assert trust.issuer_of(stranger) == "ec"
    assert written_again != leaf.der
    assert stranger.fingerprint == load_device_certificate(leaf.der).fingerprint


@pytest.mark.parametrize("bits", [1024, 4096])
def test_rsa_keys_from_1024_to_4096_bits_are_accepted(bits: int, pki: Any) -> None:
    identity = pki.issue("leaf", rsa.generate_private_key(65537, bits), pki.root)

    assert load_device_certificate(identity.der).public_key.key_size == bits


def test_rsa_key_of_more_than_4096_bits_is_refused(pki: Any) -> None:
    identity = pki.issue("leaf", rsa_of(4104), pki.root)

    with pytest.raises(CertificateRefused, match="4104 bits"):
        load_device_certificate(identity.der)


def test_rsa_key_with_an_exponent_that_costs_milliseconds_is_refused(pki: Any) -> None:
    identity = pki.issue("leaf", rsa_of(2048, exponent=2**1000 + 1), pki.root)

    with pytest.raises(CertificateRefused, match="exponent"):
        load_device_certificate(identity.der)


@pytest.mark.parametrize("curve", [ec.SECP256R1, ec.SECP384R1, ec.SECP521R1])
def test_nist_curves_are_accepted(curve: type[ec.EllipticCurve], pki: Any) -> None:
    identity = pki.issue("leaf", ec.generate_private_key(curve()), pki.root)

    assert load_device_certificate(identity.der).public_key == identity.key.public_key()


def test_other_curves_are_refused(pki: Any) -> None:
    identity = pki.issue("leaf", ec.generate_private_key(ec.SECP256K1()), pki.root)

    with pytest.raises(CertificateRefused, match="P-256"):
        load_device_certificate(identity.der)


def test_serial_number_that_is_not_positive_is_refused_without_a_warning(pki: Any) -> None:
    identity = pki.issue("leaf", issuer=pki.root, serial_number=0x71727374)
    for octets in ("00000000", "ff727374"):
        changed = identity.der.replace(bytes.fromhex("020471727374"), bytes.fromhex(f"0204{octets}"))
        assert changed != identity.der

        # pytest turns every warning into an error here
        with pytest.raises(CertificateRefused, match="positive"):
            load_device_certificate(changed)


def test_time_is_checked_apart_from_the_certificate(pki: Any) -> None:
    certificate = load_device_certificate(pki.rsa.der)
    second = timedelta(seconds=1)

    check_validity(certificate, certificate.not_before)
    check_validity(certificate, certificate.not_after)
    with pytest.raises(CertificateExpired):
        check_validity(certificate, certificate.not_after + second)
    with pytest.raises(CertificateRefused) as refused:
        check_validity(certificate, certificate.not_before - second)
    assert not isinstance(refused.value, CertificateExpired)


@pytest.mark.parametrize("encoded", [b"", b"\x30", b"\x30\x00", b"\x30\x80\x00\x00", b"x" * 20_000, b"\x30\x82"])
def test_bytes_that_are_no_certificate_are_malformed(encoded: bytes) -> None:
    with pytest.raises(MalformedDER):
        load_device_certificate(encoded)


def test_every_truncation_is_malformed(pki: Any) -> None:
    for length in range(len(pki.rsa.der)):
        with pytest.raises(MalformedDER):
            load_device_certificate(pki.rsa.der[:length])


@pytest.mark.parametrize("seed", range(8))
def test_changed_bytes_are_read_or_an_error_of_ours(seed: int, pki: Any, cache: CertificateCache) -> None:
    chance = random.Random(seed)
    for original in (pki.rsa.der, pki.ec256.der):
        for _ in range(400):
            changed = bytearray(original)
            for _ in range(chance.choice((1, 1, 2, 5))):
                changed[chance.randrange(len(changed))] = chance.randrange(256)
            if bytes(changed) == original:
                continue
            with pytest.raises(CertificateError):
                cache.get(bytes(changed))


def test_signature_with_unused_bits_is_no_second_form_of_a_certificate(pki: Any) -> None:
    signature = pki.ec256.certificate.signature
    changed = pki.ec256.der.replace(b"\x00" + signature, b"\x01" + signature)
    assert changed != pki.ec256.der

    with pytest.raises(MalformedDER):
        load_device_certificate(changed)


def test_certificate_that_names_two_signature_algorithms_is_refused(pki: Any) -> None:
    sha256, sha384 = (der.object_identifier(f"1.2.840.113549.1.1.{arc}") for arc in (11, 12))
    at = pki.rsa.der.rindex(sha256)
    changed = pki.rsa.der[:at] + sha384 + pki.rsa.der[at + len(sha256) :]

    with pytest.raises(MalformedDER, match="two signature algorithms"):
        load_device_certificate(changed)


def test_trusted_certificate_is_remembered(pki: Any, cache: CertificateCache) -> None:
    first = cache.get(pki.rsa.der)

    assert isinstance(first, TrustedCertificate)
    assert first.authority == "corp"
    assert cache.get(bytes(bytearray(pki.rsa.der))) is first


def test_least_recently_used_certificate_is_forgotten_first(pki: Any) -> None:
    cache = CertificateCache(DeviceTrust([DeviceAuthority(name="corp", roots=(pki.root.der,))]), capacity=2)
    first, second = cache.get(pki.rsa.der), cache.get(pki.ec256.der)
    cache.get(pki.rsa.der)
    cache.get(pki.ec384.der)

    assert cache.remembered(pki.rsa.der) is first
    assert cache.remembered(pki.ec256.der) is None
    assert cache.get(pki.ec256.der) == second


def test_refusals_are_remembered_within_bounds_and_push_no_device_out(pki: Any) -> None:
    asked: list[bytes] = []

    class CountingTrust(DeviceTrust):
        def issuer_of(self, leaf: DeviceCertificate) -> str:
            asked.append(leaf.der)
            return super().issuer_of(leaf)

    cache = CertificateCache(CountingTrust([DeviceAuthority(name="corp", roots=(pki.root.der,))]), capacity=1)
    device = cache.get(pki.ec256.der)
    stranger = pki.issue("stranger").der
    for _ in range(2):
        with pytest.raises(CertificateRefused, match="no CA configured"):
            cache.get(stranger)
    assert asked == [pki.ec256.der, stranger]

    for number in range(MAX_REFUSED):
        with pytest.raises(CertificateRefused):
            cache.get(stranger[:-4] + number.to_bytes(4, "big"))
    with pytest.raises(CertificateRefused):
        cache.get(stranger)

    assert asked.count(stranger) == 2
    assert cache.get(pki.ec256.der) is device


def rsa_of(bits: int, exponent: int = 65537) -> Any:
    """A certificate needs a private key only to be asked for its public one, so any odd modulus will do."""

    class PublicOnly:
        def public_key(self) -> rsa.RSAPublicKey:
            return rsa.RSAPublicNumbers(exponent, 2 ** (bits - 1) + 1).public_key()

        def private_bytes(self, *_: object) -> bytes:
            return b""

    return PublicOnly()
