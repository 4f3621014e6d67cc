"""Re-writes DER as the BER of Apple's clients, for the simulator: what they send is the same, only looser.

Lengths are indefinite from the outside down to where the signer and the recipients begin; long contents come in
pieces, one or many. What a signature covers byte by byte stays as it is.
"""

from certs import der
from certs.ber import CONSTRUCTED, OCTET_STRING, SEQUENCE, Element, Reader

PIECE_OCTETS = 1000

_END = b"\x00\x00"
_INDEFINITE = 0x80
_EXPLICIT_0 = 0xA0
_IMPLICIT_0 = 0x80
_STRUCTURE_DEPTH = 3  # ContentInfo, its [0], SignedData or EnvelopedData


def as_apple_writes(encoded: bytes) -> bytes:
    """The same ContentInfo in BER; raises MalformedDER for bytes that are none."""
    reader = Reader(encoded)
    return _loosened(reader, reader.root())


def _loosened(reader: Reader, element: Element) -> bytes:
    if element.tag & CONSTRUCTED and _is_structure(element):
        parts = (_loosened(reader, child) for child in reader.children(element))
        return bytes((element.tag, _INDEFINITE)) + b"".join(parts) + _END
    if element.tag in (OCTET_STRING, _IMPLICIT_0) and element.content_end - element.content > PIECE_OCTETS:
        # What is signed comes as one piece: servers that devices use read no more of it than the first.
        pieces = reader.raw(element) if element.tag == OCTET_STRING else _pieces(reader.content(element))
        return bytes((element.tag | CONSTRUCTED, _INDEFINITE)) + pieces + _END
    return reader.raw(element)


def _is_structure(element: Element) -> bool:
    # Below SignedData only the content, not the certificates nor the signer; below EnvelopedData likewise.
    content_tag = {_STRUCTURE_DEPTH + 1: SEQUENCE, _STRUCTURE_DEPTH + 2: _EXPLICIT_0}
    return element.depth <= _STRUCTURE_DEPTH or content_tag.get(element.depth) == element.tag


def _pieces(content: bytes) -> bytes:
    starts = range(0, len(content), PIECE_OCTETS)
    return b"".join(der.octet_string(content[start : start + PIECE_OCTETS]) for start in starts)
