"""HTTP/2 frames as bytes (RFC 9113 §4 and §6), taken apart and put together. What they mean is `apns_connection`."""

import struct
from collections.abc import Iterator, Sequence
from enum import IntEnum

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
LONGEST_FRAME = 16_384
_HEAD = struct.Struct(">BHBBI")
_STREAM_BITS = 0x7FFF_FFFF

Frame = tuple[int, int, int, bytes]
"""Type, flags, stream and payload. The type may be one that nobody knows."""


class FrameType(IntEnum):
    """RFC 9113 §6."""

    DATA = 0x0
    HEADERS = 0x1
    PRIORITY = 0x2
    RST_STREAM = 0x3
    SETTINGS = 0x4
    PUSH_PROMISE = 0x5
    PING = 0x6
    GOAWAY = 0x7
    WINDOW_UPDATE = 0x8
    CONTINUATION = 0x9


class Flag(IntEnum):
    """Bits; END_STREAM and ACK are the same one: RFC 9113 §6.

    No IntFlag: that is slow, and these are on every frame.
    """

    NONE = 0x0
    ACK = 0x1
    END_STREAM = 0x1
    END_HEADERS = 0x4
    PADDED = 0x8
    PRIORITY = 0x20


class ErrorCode(IntEnum):
    """RFC 9113 §7."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    ENHANCE_YOUR_CALM = 0xB


class Setting(IntEnum):
    """RFC 9113 §6.5.2, those that matter here."""

    MAX_CONCURRENT_STREAMS = 0x3
    INITIAL_WINDOW_SIZE = 0x4


class ConnectionFault(Exception):
    """The client broke the protocol: the connection ends with this code (RFC 9113 §5.4.1)."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class FrameReader:
    """Cuts what arrives into frames; the connection preface comes before the first."""

    def __init__(self) -> None:
        self._waiting = b""
        self._is_opened = False

    def take(self, received: bytes) -> Iterator[Frame]:
        """The frames that are complete now. Raises ConnectionFault for a wrong preface and for too long a frame."""
        waiting = self._waiting + received if self._waiting else received
        at = 0 if self._is_opened else self._preface_in(waiting)
        try:
            while self._is_opened and len(waiting) - at >= _HEAD.size:
                high, low, kind, flags, stream = _HEAD.unpack_from(waiting, at)
                length = high << 16 | low
                if length > LONGEST_FRAME:
                    raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {length} bytes")
                end = at + _HEAD.size + length
                if len(waiting) < end:
                    break
                payload = waiting[at + _HEAD.size : end]
                at = end
                yield kind, flags, stream & _STREAM_BITS, payload
        finally:
            self._waiting = waiting[at:]

    def _preface_in(self, waiting: bytes) -> int:
        if waiting[: len(PREFACE)] != PREFACE[: len(waiting)]:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "not HTTP/2: the connection preface is wrong")
        self._is_opened = len(waiting) >= len(PREFACE)
        return len(PREFACE) if self._is_opened else 0


def frame(kind: FrameType, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame as it goes out."""
    return _HEAD.pack(len(payload) >> 16, len(payload) & 0xFFFF, kind, flags, stream) + payload


def settings(values: Sequence[tuple[Setting, int]]) -> bytes:
    """A SETTINGS frame."""
    return frame(FrameType.SETTINGS, Flag.NONE, 0, b"".join(struct.pack(">HI", name, value) for name, value in values))


def settings_in(payload: bytes) -> list[tuple[int, int]]:
    """What a SETTINGS frame sets. Raises ConnectionFault."""
    if len(payload) % 6:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS are six bytes each")
    return list(struct.iter_unpack(">HI", payload))


def go_away(last_stream: int, code: ErrorCode, debug: bytes) -> bytes:
    """A GOAWAY frame; streams above `last_stream` were not and will not be looked at."""
    return frame(FrameType.GOAWAY, Flag.NONE, 0, struct.pack(">II", last_stream, code) + debug)


def number_in(payload: bytes) -> int:
    """The number that a RST_STREAM or WINDOW_UPDATE frame consists of. Raises ConnectionFault."""
    if len(payload) != 4:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"{len(payload)} bytes where there should be four")
    return int.from_bytes(payload, "big") & _STREAM_BITS


def content_of(payload: bytes, flags: int) -> bytes:
    """What a DATA frame carries, or a HEADERS frame, without padding and priority. Raises ConnectionFault."""
    start, end = 0, len(payload)
    if flags & Flag.PADDED:
        start, end = 1, end - (payload[0] if payload else 1)
    if flags & Flag.PRIORITY:
        start += 5
    if start > end:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "padding longer than its frame")
    return payload[start:end]
