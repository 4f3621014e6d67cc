"""What SCEP says over HTTP besides messages: capabilities, CA certificates, and messages in a query."""

import base64
from typing import Any
from urllib.parse import parse_qs, quote

import pytest
from asn1crypto import cms as asn1_cms

from certs import (
    MalformedDER,
    SCEPMediaType,
    ca_capabilities,
    ca_certificates,
    decode_get_message,
    next_ca_certificate,
    parse_signed_data,
)
from certs.cms import parse_certificates
from certs.pem import encode_certificate
from tests.certs.scep_parties import NOW, authority

CA = authority()
NEXT = authority("Next CA")
# Every character of both alphabets, and a length that needs padding.
MESSAGE = bytes(range(256)) + b"\xfb\xff\xfe\xff"
STANDARD = base64.b64encode(MESSAGE).decode()
FOR_URLS = base64.urlsafe_b64encode(MESSAGE).decode()


def test_capabilities_are_the_lines_that_apples_client_looks_for() -> None:
    lines = ca_capabilities().split(b"\n")

    assert {b"POSTPKIOperation", b"Renewal", b"SHA-256", b"SHA-512", b"AES", b"DES3", b"SCEPStandard"} <= set(lines)
    assert b"GetNextCACert" not in lines
    assert b"GetNextCACert" in ca_capabilities(has_next_ca=True).split(b"\n")


def test_one_ca_certificate_is_sent_as_it_is() -> None:
    body = ca_certificates([CA.certificate_der])

    assert (body.media_type, body.content) == (SCEPMediaType.ONE_CERTIFICATE, CA.certificate_der)


def test_several_ca_certificates_are_sent_in_their_order(openssl: Any) -> None:
    certificates = (CA.certificate_der, NEXT.certificate_der)

    body = ca_certificates(certificates)

    assert body.media_type is SCEPMediaType.SEVERAL_CERTIFICATES
    assert parse_certificates(body.content) == certificates
    listed = openssl("pkcs7", "-inform", "DER", "-print_certs", "-noout", stdin=body.content)
    assert listed.index(b"CN = MDM CA") < listed.index(b"CN = Next CA")
    assert asn1_cms.ContentInfo.load(body.content, strict=True)["content"]["signer_infos"].native == []


def test_next_ca_certificate_is_signed_by_the_current_ca(openssl: Any, tmp_path: Any) -> None:
    body = next_ca_certificate(CA, NEXT.certificate_der)
    root = tmp_path / "ca.pem"
    root.write_bytes(encode_certificate(CA.certificate_der))

    content = openssl(
        *("cms", "-verify", "-binary", "-inform", "DER", "-purpose", "any"),
        *("-CAfile", root, "-attime", int(NOW.timestamp())),
        stdin=body.content,
    )

    assert body.media_type is SCEPMediaType.NEXT_CERTIFICATE
    assert parse_signed_data(body.content).content == content
    assert parse_certificates(content) == (NEXT.certificate_der,)


@pytest.mark.parametrize(
    "text",
    [
        STANDARD,
        FOR_URLS,
        STANDARD.rstrip("="),
        FOR_URLS.rstrip("="),
        quote(STANDARD, safe=""),
        quote(FOR_URLS, safe=""),
        quote(quote(STANDARD, safe=""), safe=""),
        STANDARD.replace("+", " "),
        STANDARD.replace("=", "%3D"),
        "\r\n".join(STANDARD[start : start + 64] for start in range(0, len(STANDARD), 64)) + "\n",
    ],
    ids=["standard", "url", "bare", "bare url", "escaped", "escaped url", "twice", "plus lost", "padding", "lines"],
)
def test_message_in_a_query_is_read_however_it_was_written(text: str) -> None:
    assert decode_get_message(text) == MESSAGE


def test_message_is_read_after_a_query_parser_turned_plus_into_space() -> None:
    assert decode_get_message(parse_qs(f"message={STANDARD}")["message"][0]) == MESSAGE


@pytest.mark.parametrize("text", ["!", "A", "AAAA=AAA", "%ZZ", "%F0", "ä", "AAA\0", "A" * 400_000, "==A"])
def test_query_that_holds_no_base64_is_an_error_of_ours(text: str) -> None:
    with pytest.raises(MalformedDER):
        decode_get_message(text)
