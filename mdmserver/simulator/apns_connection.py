"""The server's half of one HTTP/2 connection (RFC 9113): requests in, answers out, and how it ends. Not what they say.

h2's state machine is too slow to load a sender with: framing is our own (`apns_frames`), header compression hpack's.
Streams above the last one of a GOAWAY are not looked at; the connection closes when those before it are answered.
"""

import asyncio
import ssl
import struct
from collections import deque
from typing import Protocol, cast

import hpack

from mdmserver.simulator.apns_frames import (
    ConnectionFault,
    ErrorCode,
    Flag,
    FrameReader,
    FrameType,
    Setting,
    content_of,
    frame,
    go_away,
    number_in,
    settings,
    settings_in,
)
from mdmserver.simulator.apns_streams import FIRST_WINDOW, WIDEST_WINDOW, Headers, Outflow, Stream

LONGEST_HEADERS = 65_536
LONGEST_BODY = 8_192
"""Of a request with more the rest is read, as clients want to be rid of it before they listen, and not kept."""
_ACKNOWLEDGED_EVERY = 2**20
_STATUS_LINES = {200: b"\x88", 204: b"\x89", 400: b"\x8c", 404: b"\x8d", 500: b"\x8e"}  # RFC 7541 appendix A


class Requests(Protocol):
    """Who answers."""

    def connected(self, connection: "APNsConnection") -> None:
        """A client is there, its certificate has been checked."""

    def opened(self, connection: "APNsConnection") -> None:
        """A request has begun."""

    def received(self, connection: "APNsConnection", stream: Stream) -> None:
        """A whole request."""

    def disconnected(self, connection: "APNsConnection") -> None:
        """The connection is gone."""


class APNsConnection(asyncio.Protocol):
    """`certificate` is the client's, DER. `opened` counts the requests that came."""

    def __init__(self, requests: Requests, *, max_streams: int) -> None:
        self.certificate = b""
        self.opened = 0
        self._requests = requests
        self._transport: asyncio.Transport | None = None
        self._frames = FrameReader()
        self._decoder = hpack.Decoder(max_header_list_size=LONGEST_HEADERS)
        self._outflow = Outflow()
        self._streams: dict[int, Stream] = {}
        self._first_settings = max_streams
        self._announced: deque[int] = deque()
        self._max_streams: int | None = None
        self._highest = 0
        self._last: int | None = None
        self._block: tuple[int, int, bytearray] | None = None
        self._unacknowledged = 0
        self._out: list[bytes] = []
        self._is_flush_due = False

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS is up: the client has shown its certificate."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by their class
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if tls is None or tls.selected_alpn_protocol() != "h2":
            self._transport.abort()
            return
        self.certificate = tls.getpeercert(binary_form=True) or b""
        self.limit_streams(self._first_settings)
        widening = struct.pack(">I", WIDEST_WINDOW - FIRST_WINDOW)
        self._send(frame(FrameType.WINDOW_UPDATE, Flag.NONE, 0, widening))
        self._requests.connected(self)

    def data_received(self, data: bytes) -> None:
        """Work through the frames."""
        try:
            for kind, flags, stream, payload in self._frames.take(bytes(data)):
                self._take(kind, flags, stream, payload)
        except ConnectionFault as fault:
            self.go_away(fault.code, str(fault).encode(), is_abrupt=True)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever answers."""
        self._streams.clear()
        self._requests.disconnected(self)

    def pause_writing(self) -> None:
        """A client that does not read gets nothing more to answer to."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        if self._transport is not None:
            self._transport.resume_reading()

    # What whoever answers calls.

    def respond(self, stream: Stream, status: int, headers: Headers, body: bytes) -> None:
        """Answer a request; nothing happens where the client has given it up."""
        if self._streams.get(stream.number) is not stream:
            return
        flags = Flag.END_HEADERS if body else Flag.END_HEADERS | Flag.END_STREAM
        self._send(frame(FrameType.HEADERS, flags, stream.number, _header_block(status, headers)))
        if body:
            self._outflow.put(stream, body)
            self._send_bodies()
        else:
            self._end(stream)

    def reset(self, stream: Stream, code: ErrorCode) -> None:
        """End a request without an answer."""
        if self._streams.pop(stream.number, None) is not None:
            self._send_reset(stream.number, code)
            self._close_if_done()

    def limit_streams(self, count: int) -> None:
        """Announce how many requests may be open; it counts from when the client has acknowledged it."""
        self._announced.append(count)
        self._send(settings([(Setting.MAX_CONCURRENT_STREAMS, count)]))

    def go_away(self, code: ErrorCode, debug: bytes, *, is_abrupt: bool = False) -> None:
        """Send GOAWAY; then finish what is open, or end at once with all of it unanswered."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._last is None or is_abrupt:
            self._last = self._highest
            self._send(go_away(self._last, code, debug))
        if is_abrupt:
            self._streams.clear()
        self._close_if_done()

    def drop(self) -> None:
        """End at once, without a word."""
        if self._transport is not None:
            self._transport.abort()

    # Frames, by type.

    def _take(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if self._block is not None and kind != FrameType.CONTINUATION:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a header block is not finished")
        match kind:
            case FrameType.HEADERS:
                self._take_headers(flags, number, content_of(payload, flags))
            case FrameType.DATA:
                self._take_data(flags, number, payload)
            case FrameType.CONTINUATION:
                self._take_continuation(flags, number, payload)
            case FrameType.WINDOW_UPDATE:
                self._take_window_update(number, number_in(payload))
            case FrameType.SETTINGS:
                self._take_settings(flags, payload)
            case FrameType.PING if not flags & Flag.ACK:
                self._send(frame(FrameType.PING, Flag.ACK, 0, payload))
            case FrameType.RST_STREAM:
                self._take_reset(number)
            case FrameType.PUSH_PROMISE:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "clients promise nothing")
            case _:
                pass  # RFC 9113 §5.5: what is not known is ignored; PRIORITY and the client's GOAWAY need no answer

    def _take_headers(self, flags: int, number: int, part: bytes) -> None:
        if not number % 2:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"stream {number} is not a client's")
        if flags & Flag.END_HEADERS:
            self._take_block(number, flags, part)
        else:
            self._block = (number, flags, bytearray(part))

    def _take_continuation(self, flags: int, number: int, part: bytes) -> None:
        if self._block is None or self._block[0] != number:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "CONTINUATION of nothing")
        _, first_flags, block = self._block
        block += part
        if len(block) > LONGEST_HEADERS:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "headers without end")
        if flags & Flag.END_HEADERS:
            self._block = None
            self._take_block(number, first_flags, bytes(block))

    def _take_block(self, number: int, flags: int, block: bytes) -> None:
        try:
            headers = tuple(self._decoder.decode(block, raw=True))
        except hpack.HPACKError as error:
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, f"{type(error).__name__}: {error}") from error
        stream = self._streams.get(number)
        if stream is None:
            stream = self._opened(number, headers)
        # Otherwise these are trailers, of which APNs knows none.
        if stream is not None and flags & Flag.END_STREAM and not stream.is_complete:
            self._complete(stream)

    def _opened(self, number: int, headers: Headers) -> Stream | None:
        """The new stream; None if it is not to be looked at."""
        if number <= self._highest:
            raise ConnectionFault(ErrorCode.STREAM_CLOSED, f"stream {number} again")
        if self._last is not None:
            return None
        self._highest = number
        if self._max_streams is not None and len(self._streams) >= self._max_streams:
            self._send_reset(number, ErrorCode.REFUSED_STREAM)
            return None
        self.opened += 1
        stream = self._streams[number] = Stream(number, self._outflow.first_window, headers)
        self._requests.opened(self)
        return stream

    def _take_data(self, flags: int, number: int, payload: bytes) -> None:
        self._acknowledge(len(payload))
        stream = self._streams.get(number)
        if stream is None:
            if number > self._highest and self._last is None:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"DATA on stream {number}, which is idle")
            return
        if stream.is_complete:
            raise ConnectionFault(ErrorCode.STREAM_CLOSED, f"DATA on stream {number}, which had ended")
        content = content_of(payload, flags & ~Flag.PRIORITY)
        if len(stream.body) <= LONGEST_BODY:
            stream.body += content
        if flags & Flag.END_STREAM:
            self._complete(stream)
        elif payload:
            self._send(frame(FrameType.WINDOW_UPDATE, Flag.NONE, number, struct.pack(">I", len(payload))))

    def _complete(self, stream: Stream) -> None:
        stream.is_complete = True
        self._requests.received(self, stream)

    def _take_window_update(self, number: int, by: int) -> None:
        stream = self._streams.get(number)
        if by == 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a window wider by nothing")
        if number == 0 or stream is not None:
            self._outflow.widen(stream, by)
            self._send_bodies()

    def _take_settings(self, flags: int, payload: bytes) -> None:
        if flags & Flag.ACK:
            if self._announced:
                self._max_streams = self._announced.popleft()
            return
        for name, value in settings_in(payload):
            if name == Setting.INITIAL_WINDOW_SIZE:
                self._outflow.begin_with(value, list(self._streams.values()))
        self._send(frame(FrameType.SETTINGS, Flag.ACK, 0))
        self._send_bodies()

    def _take_reset(self, number: int) -> None:
        stream = self._streams.pop(number, None)
        if stream is not None:
            self._outflow.forget(stream)
            self._close_if_done()

    def _acknowledge(self, length: int) -> None:
        self._unacknowledged += length
        if self._unacknowledged >= _ACKNOWLEDGED_EVERY:
            self._send(frame(FrameType.WINDOW_UPDATE, Flag.NONE, 0, struct.pack(">I", self._unacknowledged)))
            self._unacknowledged = 0

    # What goes out.

    def _send_bodies(self) -> None:
        frames, ended = self._outflow.ready()
        self._out += frames
        for stream in ended:
            self._end(stream)
        self._flush_soon()

    def _end(self, stream: Stream) -> None:
        del self._streams[stream.number]
        self._close_if_done()

    def _send_reset(self, number: int, code: ErrorCode) -> None:
        self._send(frame(FrameType.RST_STREAM, Flag.NONE, number, struct.pack(">I", code)))

    def _close_if_done(self) -> None:
        if self._last is not None and not self._streams and self._transport is not None:
            self._flush()
            self._transport.close()

    def _send(self, content: bytes) -> None:
        self._out.append(content)
        self._flush_soon()

    def _flush_soon(self) -> None:
        # Once for all that one turn of the loop answers: each write is a TLS record and a system call.
        if not self._is_flush_due:
            self._is_flush_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flush_due = False
        if self._out and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(self._out))
        self._out.clear()


def _header_block(status: int, headers: Headers) -> bytes:
    """HPACK without a dynamic table: literals that nobody keeps (RFC 7541 §6.2.2). All lengths are below 127."""
    line = _STATUS_LINES.get(status) or b"\x08\x03%d" % status
    return line + b"".join(b"\x00%c%b%c%b" % (len(name), name, len(value), value) for name, value in headers)
