"""PEM around certificates, requests and keys (RFC 7468): text to DER and back, the DER not looked into."""

import base64
import binascii
import re

from certs.errors import MalformedDER

_BEGIN = b"-----BEGIN CERTIFICATE-----"
_END = b"-----END CERTIFICATE-----"
_BEGIN_ANY = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----")
_WHITESPACE = re.compile(rb"\s+")


def decode_certificates(pem: bytes) -> tuple[bytes, ...]:
    """The DER of every certificate in the text, in order; other text is skipped; raises MalformedDER."""
    blocks = pem.split(_BEGIN)[1:]
    return tuple(_decoded(number, block) for number, block in enumerate(blocks, start=1))


def key_blocks(pem: bytes) -> tuple[bytes, ...]:
    """Every private key in the text as a block of PEM of its own, also where nothing parts it from its neighbours.

    Raises MalformedDER for one that has no end.
    """
    # Split at the beginnings, not matched to the end: that would search the rest of the text for every one of them.
    _, *parts = _BEGIN_ANY.split(pem)
    labelled = zip(parts[::2], parts[1::2], strict=True)
    return tuple(_block(label, text) for label, text in labelled if label.endswith(b"PRIVATE KEY"))


def encode_certificate(der: bytes) -> bytes:
    """One certificate with lines of 64 characters."""
    return _armoured(b"CERTIFICATE", der)


def encode_request(der: bytes) -> bytes:
    """One certificate request with lines of 64 characters."""
    return _armoured(b"CERTIFICATE REQUEST", der)


def _armoured(label: bytes, der: bytes) -> bytes:
    text = base64.b64encode(der)
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return b"\n".join((b"-----BEGIN %b-----" % label, *lines, b"-----END %b-----" % label, b""))


def _block(label: bytes, text: bytes) -> bytes:
    body, end, _ = text.partition(b"-----END %b-----" % label)
    if not end:
        raise MalformedDER("a private key in the PEM has no end")
    return b"-----BEGIN %b-----" % label + body + end + b"\n"


def _decoded(number: int, block: bytes) -> bytes:
    text, end, _ = block.partition(_END)
    if not end:
        raise MalformedDER(f"certificate {number} in the PEM has no end")
    try:
        return binascii.a2b_base64(_WHITESPACE.sub(b"", text), strict_mode=True)
    except ValueError as error:
        raise MalformedDER(f"certificate {number} in the PEM is not base64") from error
