"""The request for a push certificate and the file for Apple's portal, judged by openssl and plistlib."""

import base64
import plistlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from certs import (
    CertificateError,
    CertificateExpired,
    CertificateRefused,
    MalformedDER,
    SignatureInvalid,
    create_csr,
    generate_ec,
    generate_rsa,
    push_csr,
    read_push_request,
    upload_file,
)
from tests.certs.push_parties import NOW, Party, intermediate, issue, root, vendor, vendor_key
from tests.certs.scep_parties import rsa_key

CSR = push_csr(rsa_key("push"), common_name="Example GmbH", country="de", email="mdm@example.com")


def vendor_chain(*parties: Party) -> bytes:
    return b"".join(party.pem for party in parties or (vendor(), intermediate(), root()))


def contents_of(upload: bytes) -> dict[str, str]:
    contents: dict[str, str] = plistlib.loads(base64.b64decode(upload, validate=True))
    return contents


def test_request_is_verified_by_openssl_and_names_the_customer(openssl: Any) -> None:
    text = openssl("req", "-inform", "DER", "-verify", "-noout", "-subject", "-nameopt", "RFC2253,sname", stdin=CSR)
    printed = openssl("req", "-inform", "DER", "-noout", "-text", stdin=CSR)

    assert text.strip() == b"subject=emailAddress=mdm@example.com,CN=Example GmbH,C=DE"
    assert b"Public-Key: (2048 bit)" in printed
    assert b"sha256WithRSAEncryption" in printed


@pytest.mark.parametrize(
    "wrong",
    [
        {"country": "Germany"},
        {"country": ""},
        {"common_name": ""},
        {"common_name": "x" * 65},
        {"common_name": "\ud800"},
    ],
    ids=str,
)
def test_names_that_no_request_can_hold_are_refused(wrong: dict[str, str]) -> None:
    names = {"common_name": "Example", "country": "DE", "email": "mdm@example.com", **wrong}

    with pytest.raises(CertificateRefused, match="no request can be made"):
        push_csr(rsa_key("push"), **names)


@pytest.mark.parametrize("email", ["ä@example.com", "", "nobody"])
def test_what_is_no_address_of_ascii_letters_is_refused(email: str) -> None:
    with pytest.raises(CertificateRefused, match="no e-mail address"):
        push_csr(rsa_key("push"), common_name="Example", country="DE", email=email)


def test_key_that_apple_does_not_certify_makes_no_request() -> None:
    with pytest.raises(CertificateRefused, match="1024 bits"):
        push_csr(generate_rsa(1024), common_name="x", country="DE", email="x@example.com")


def test_upload_file_holds_the_request_the_chain_and_nothing_else() -> None:
    contents = contents_of(upload_file(CSR, vendor_chain(), vendor_key(), at=NOW))

    assert set(contents) == {"PushCertRequestCSR", "PushCertCertificateChain", "PushCertSignature"}
    assert base64.b64decode(contents["PushCertRequestCSR"], validate=True) == CSR
    assert contents["PushCertCertificateChain"].encode() == vendor_chain()
    assert max(map(len, contents["PushCertCertificateChain"].splitlines())) == 64


def test_signature_is_verified_by_openssl_with_the_vendors_certificate(openssl: Any, tmp_path: Path) -> None:
    contents = contents_of(upload_file(CSR, vendor_chain(), vendor_key(), at=NOW))
    public_key, signature, signed = tmp_path / "vendor.pub", tmp_path / "signature", tmp_path / "request.der"
    public_key.write_bytes(openssl("x509", "-noout", "-pubkey", stdin=vendor().pem))
    signature.write_bytes(base64.b64decode(contents["PushCertSignature"]))
    signed.write_bytes(CSR)

    verdict = openssl("dgst", "-sha256", "-verify", public_key, "-signature", signature, signed)

    assert verdict == b"Verified OK\n"


def test_chain_in_another_order_is_written_in_the_right_one() -> None:
    mixed = vendor_chain(root(), issue("stranger"), intermediate(), vendor())

    assert (
        contents_of(upload_file(CSR, mixed, vendor_key(), at=NOW))["PushCertCertificateChain"].encode()
        == vendor_chain()
    )


def test_chain_without_the_vendors_certificate_is_refused() -> None:
    with pytest.raises(CertificateRefused, match="belongs to the vendor's key"):
        upload_file(CSR, vendor_chain(intermediate(), root()), vendor_key(), at=NOW)


@pytest.mark.parametrize(
    ("parties", "missing"),
    [((vendor, root), "Worldwide CA"), ((vendor, intermediate), "Root CA"), ((vendor,), "Worldwide")],
)
def test_chain_with_a_gap_is_refused_naming_what_is_missing(parties: tuple[Any, ...], missing: str) -> None:
    with pytest.raises(CertificateRefused, match=missing):
        upload_file(CSR, vendor_chain(*(party() for party in parties)), vendor_key(), at=NOW)


def test_vendor_that_certified_itself_is_refused() -> None:
    with pytest.raises(CertificateRefused, match="self-signed"):
        upload_file(CSR, vendor_chain(issue("MDM Vendor")), vendor_key(), at=NOW)


def test_vendors_certificate_after_its_time_signs_nothing() -> None:
    with pytest.raises(CertificateExpired):
        upload_file(CSR, vendor_chain(), vendor_key(), at=NOW + timedelta(days=301))


def test_renewed_vendors_certificate_is_taken_instead_of_the_expired_one() -> None:
    old = issue("MDM Vendor", issuer=intermediate(), not_after=NOW - timedelta(days=1))
    upload = upload_file(CSR, vendor_chain(old, vendor(), intermediate(), root()), vendor_key(), at=NOW)

    assert read_push_request(upload).chain == (vendor().der, intermediate().der, root().der)


def test_request_whose_own_signature_is_wrong_is_not_signed() -> None:
    with pytest.raises(SignatureInvalid):
        upload_file(CSR[:-1] + bytes((CSR[-1] ^ 1,)), vendor_chain(), vendor_key(), at=NOW)


def test_request_for_the_vendors_own_key_is_not_signed() -> None:
    own = push_csr(vendor_key(), common_name="x", country="DE", email="x@example.com")

    with pytest.raises(CertificateRefused, match="vendor's own key"):
        upload_file(own, vendor_chain(), vendor_key(), at=NOW)


def test_upload_file_is_taken_apart_again() -> None:
    request = read_push_request(upload_file(CSR, vendor_chain(), vendor_key(), at=NOW))

    assert (request.csr_der, len(request.signature)) == (CSR, 256)


def test_upload_file_with_line_breaks_is_read() -> None:
    upload = base64.encodebytes(base64.b64decode(upload_file(CSR, vendor_chain(), vendor_key(), at=NOW)))

    assert read_push_request(upload).csr_der == CSR


@pytest.mark.parametrize(
    "plist",
    [
        b"",
        b"no property list",
        plistlib.dumps([]),
        plistlib.dumps({}),
        plistlib.dumps({"PushCertRequestCSR": "", "PushCertCertificateChain": ""}),
        plistlib.dumps({"PushCertRequestCSR": b"", "PushCertCertificateChain": "", "PushCertSignature": ""}),
        plistlib.dumps({"PushCertRequestCSR": "%", "PushCertCertificateChain": "", "PushCertSignature": ""}),
        plistlib.dumps({"PushCertRequestCSR": "ü", "PushCertCertificateChain": "", "PushCertSignature": ""}),
        plistlib.dumps({"a": 1}, fmt=plistlib.FMT_BINARY),
        b'<!DOCTYPE plist [<!ENTITY a "b">]><plist><dict/></plist>',
        b"<plist>" + b"<array>" * 100_000,
    ],
    ids=range(11),
)
def test_what_is_no_upload_file_is_malformed(plist: bytes) -> None:
    with pytest.raises(MalformedDER):
        read_push_request(base64.b64encode(plist))


def test_text_that_is_no_base64_or_too_long_is_malformed() -> None:
    for upload in (b"%%%", "ü".encode(), b"A" * (1024 * 1024 + 1)):
        with pytest.raises(MalformedDER):
            read_push_request(upload)


def test_vendor_chain_of_garbage_raises_an_error_of_the_package() -> None:
    for garbage in (b"", b"garbage", vendor().pem[:-20], vendor().key_pem):
        with pytest.raises(CertificateError):
            upload_file(CSR, garbage, vendor_key(), at=NOW)


def test_request_by_an_ec_key_from_elsewhere_is_signed_as_it_is() -> None:
    made = create_csr(generate_ec(), common_name="elsewhere")

    assert read_push_request(upload_file(made, vendor_chain(), vendor_key(), at=NOW)).csr_der == made
