"""The header in which a proxy passes on the certificate of a TLS client; who may send it is not decided here.

Two forms: RFC 9440 (`:base64 of the DER:`) and PEM with URL escapes, as nginx writes it.
"""

import base64
import binascii
from typing import Literal
from urllib.parse import quote, unquote_to_bytes

from certs.certificate_fields import read_certificate
from certs.errors import HeaderMalformed, MalformedDER
from certs.pem import decode_certificates, encode_certificate

MAX_HEADER_CHARACTERS = 16 * 1024

CertificateHeaderStyle = Literal["rfc9440", "escaped_pem"]


def parse_certificate_header(value: str) -> bytes:
    """The DER of the one certificate in the value; raises HeaderMalformed or MalformedDER."""
    if len(value) > MAX_HEADER_CHARACTERS:
        raise HeaderMalformed(f"a certificate header of {len(value)} characters is too long")
    text = value.strip(" \t")
    der = _from_rfc9440(text) if text.startswith(":") else _from_escaped_pem(text)
    read_certificate(der)
    return der


def format_certificate_header(der: bytes, *, style: CertificateHeaderStyle) -> str:
    """The value that a proxy would send for this certificate."""
    if style == "rfc9440":
        return f":{base64.b64encode(der).decode('ascii')}:"
    return quote(encode_certificate(der), safe="")


def _from_rfc9440(text: str) -> bytes:
    if len(text) < 2 or not text.endswith(":"):
        raise HeaderMalformed("the certificate header does not end with a colon")
    try:
        return binascii.a2b_base64(text[1:-1], strict_mode=True)
    except ValueError as error:
        raise HeaderMalformed("the certificate header is not base64 between colons") from error


def _from_escaped_pem(text: str) -> bytes:
    if not text.isascii():
        raise HeaderMalformed("the certificate header is not ASCII")
    try:
        # Not unquote_plus: a raw + is part of the base64.
        certificates = decode_certificates(unquote_to_bytes(text))
    except MalformedDER as error:
        raise HeaderMalformed(f"certificate header: {error}") from error
    if len(certificates) != 1:
        raise HeaderMalformed(f"{len(certificates)} certificates in the header where exactly one is accepted")
    return certificates[0]
