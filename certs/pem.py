"""PEM around certificates (RFC 7468): text to DER and back, the DER not looked into."""

import base64
import binascii
import re

from certs.errors import MalformedDER

_BEGIN = b"-----BEGIN CERTIFICATE-----"
_END = b"-----END CERTIFICATE-----"
_WHITESPACE = re.compile(rb"\s+")


def decode_certificates(pem: bytes) -> tuple[bytes, ...]:
    """The DER of every certificate in the text, in order; other text is skipped; raises MalformedDER."""
    blocks = pem.split(_BEGIN)[1:]
    return tuple(_decoded(number, block) for number, block in enumerate(blocks, start=1))


def encode_certificate(der: bytes) -> bytes:
    """One certificate with lines of 64 characters."""
    text = base64.b64encode(der)
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return b"\n".join((_BEGIN, *lines, _END, b""))


def _decoded(number: int, block: bytes) -> bytes:
    text, end, _ = block.partition(_END)
    if not end:
        raise MalformedDER(f"certificate {number} in the PEM has no end")
    try:
        return binascii.a2b_base64(_WHITESPACE.sub(b"", text), strict_mode=True)
    except ValueError as error:
        raise MalformedDER(f"certificate {number} in the PEM is not base64") from error
