"""HTTP/2 frames (RFC 9113 §4, §6) in and out of bytes, bounded. What they mean to a connection is `h2_client`."""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)

ACK: Final = 0x1
END_STREAM: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
HAS_PRIORITY: Final = 0x20

LONGEST_PAYLOAD: Final = 16_384
"""SETTINGS_MAX_FRAME_SIZE as it is when nobody says otherwise; we do not."""
LONGEST_HEADER_BLOCK: Final = 32_768
MOST_FRAGMENTS: Final = 16
HIGHEST_STREAM: Final = 2**31 - 1

_HEADER = struct.Struct(">BHBBL")
_LENGTHS = {PRIORITY: 5, RST_STREAM: 4, PING: 8, WINDOW_UPDATE: 4}
_ON_STREAMS = frozenset({DATA, HEADERS, PRIORITY, RST_STREAM, PUSH_PROMISE, CONTINUATION})
_ON_CONNECTION = frozenset({SETTINGS, PING, GOAWAY})


class ProtocolFault(Exception):
    """The server broke HTTP/2, or sent more than we read. The connection cannot go on."""


class Frame(NamedTuple):
    """One frame without its padding; a header block is put together again. `size` is what flow control counts."""

    kind: int
    flags: int
    stream: int
    payload: bytes
    size: int


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """The bytes of a frame whose payload is at most `LONGEST_PAYLOAD` long."""
    size = len(payload)
    return _HEADER.pack(size >> 16, size & 0xFFFF, kind, flags, stream) + payload


def settings(values: dict[int, int]) -> bytes:
    """A SETTINGS frame of these identifiers and values."""
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HL", name, value) for name, value in values.items()))


class FrameReader:
    """Cuts what arrives into frames. Holds at most one frame and one header block, whatever is sent."""

    def __init__(self) -> None:
        self._rest = b""
        self._headers: Frame | None = None
        self._block = bytearray()
        self._fragments = 0

    def feed(self, received: bytes) -> Iterator[Frame]:
        """The frames that are complete now. Raises ProtocolFault after those that came before the fault."""
        buffer = self._rest + received if self._rest else received
        self._rest = b""
        start, end = 0, len(buffer)
        while end - start >= _HEADER.size:
            high, low, kind, flags, stream = _HEADER.unpack_from(buffer, start)
            size = (high << 16) | low
            if size > LONGEST_PAYLOAD:
                raise ProtocolFault("a frame is too long")
            following = start + _HEADER.size + size
            if following > end:
                break
            payload = buffer[start + _HEADER.size : following]
            start = following
            complete = self._complete(Frame(kind, flags, stream & HIGHEST_STREAM, payload, size))
            if complete is not None:
                yield complete
        self._rest = buffer[start:]

    def _complete(self, part: Frame) -> Frame | None:
        _check(part)
        if self._headers is not None or part.kind == CONTINUATION:
            return self._continued(part)
        if part.kind not in (DATA, HEADERS):
            return part
        whole = part._replace(payload=_without_padding(part))
        if part.kind == DATA or part.flags & END_HEADERS:
            return whole
        self._headers, self._block, self._fragments = whole, bytearray(whole.payload), 1
        return None

    def _continued(self, part: Frame) -> Frame | None:
        opening = self._headers
        if opening is None or part.kind != CONTINUATION or part.stream != opening.stream:
            raise ProtocolFault("a header block is not continued as it must be")
        self._block += part.payload
        self._fragments += 1
        if len(self._block) > LONGEST_HEADER_BLOCK or self._fragments > MOST_FRAGMENTS:
            raise ProtocolFault("a header block is too long")
        if not part.flags & END_HEADERS:
            return None
        self._headers = None
        return opening._replace(payload=bytes(self._block))


def _check(part: Frame) -> None:
    if part.size != _LENGTHS.get(part.kind, part.size):
        raise ProtocolFault("a frame has the wrong length")
    if (part.kind == SETTINGS and part.size % 6) or (part.kind == GOAWAY and part.size < 8):
        raise ProtocolFault("a frame has the wrong length")
    if part.kind in (_ON_CONNECTION if part.stream else _ON_STREAMS):
        raise ProtocolFault("a frame came on the wrong stream")


def _without_padding(part: Frame) -> bytes:
    payload, start, padding = part.payload, 0, 0
    if part.flags & PADDED:
        start, padding = 1, payload[0] if payload else 1
    if part.kind == HEADERS and part.flags & HAS_PRIORITY:
        start += 5
    if start + padding > len(payload):
        raise ProtocolFault("a frame is all padding")
    return payload[start : len(payload) - padding]
