"""The certificate that a proxy passes on."""

import base64
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certs import (
    CertificateError,
    CertificateHeaderStyle,
    HeaderMalformed,
    MalformedDER,
    format_certificate_header,
    parse_certificate_header,
)


@pytest.mark.parametrize("style", ["rfc9440", "escaped_pem"])
@pytest.mark.parametrize("signer", ["rsa", "ec256", "ec384"])
def test_what_is_written_is_read(style: CertificateHeaderStyle, signer: str, pki: Any) -> None:
    der = getattr(pki, signer).der

    assert parse_certificate_header(format_certificate_header(der, style=style)) == der


def test_value_is_written_as_rfc_9440_asks_for(pki: Any) -> None:
    value = format_certificate_header(pki.rsa.der, style="rfc9440")

    assert value == f":{base64.b64encode(pki.rsa.der).decode()}:"


def test_raw_plus_survives(pki: Any) -> None:
    pem = next(
        text for text in (pki.issue("leaf").certificate_file.read_text() for _ in range(50)) if text.count("+") > 1
    )
    value = pem.replace("\n", "%0A")

    assert "+" in value
    assert format_certificate_header(parse_certificate_header(value), style="escaped_pem") == quote(pem, safe="")


@pytest.mark.parametrize("escape", [quote, quote_plus])
def test_escapes_of_other_proxies_are_read(escape: Any, pki: Any) -> None:
    pem = pki.rsa.certificate_file.read_text()

    # quote_plus writes the blank of BEGIN CERTIFICATE as +, which a + in base64 must not become.
    value = escape(pem).replace("BEGIN+CERT", "BEGIN%20CERT").replace("END+CERT", "END%20CERT")

    assert parse_certificate_header(value) == pki.rsa.der


def test_value_in_either_form_holds_exactly_one_certificate(pki: Any) -> None:
    pem = pki.ec256.certificate_file.read_text()

    with pytest.raises(HeaderMalformed, match="2 certificates"):
        parse_certificate_header(quote(pem + pem))
    with pytest.raises(CertificateError):
        parse_certificate_header(format_certificate_header(pki.rsa.der + pki.rsa.der, style="rfc9440"))


def test_more_than_sixteen_kibibytes_are_refused_unread() -> None:
    with pytest.raises(HeaderMalformed, match="too long"):
        parse_certificate_header(":" + "A" * 16 * 1024 + ":")


@pytest.mark.parametrize(
    "value",
    ["", " ", ":", "::", ":AAAA", ":!:", ":MAA=:", ":AAA:", "MIIB", "%", "%zz", "é", ":é:", "null", "(null)", "\x00"],
)
def test_value_without_a_certificate_is_refused(value: str) -> None:
    with pytest.raises((HeaderMalformed, MalformedDER)):
        parse_certificate_header(value)


@pytest.mark.parametrize("style", ["rfc9440", "escaped_pem"])
def test_every_truncation_is_an_error_of_ours(style: CertificateHeaderStyle, pki: Any) -> None:
    value = format_certificate_header(pki.ec256.der, style=style).removesuffix("%0A")

    for length in range(len(value)):
        with pytest.raises(CertificateError):
            parse_certificate_header(value[:length])


@given(st.text(max_size=200) | st.text(alphabet=":%-+=A1 BEGINCRTFAD", max_size=200))
def test_any_text_is_read_or_an_error_of_ours(value: str) -> None:
    with pytest.raises(CertificateError):
        parse_certificate_header(value)
