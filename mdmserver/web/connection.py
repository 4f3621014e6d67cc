"""One HTTP connection within limits (S19, S21): aiohttp's, with a time limit for heads and silent error answers.

aiohttp itself has no limit on the time of a head, and quotes what it could not read in its answer and its log. This
leans on its internals: the tests in tests/web show when a new release moves them.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import cast

from aiohttp import web
from aiohttp.http import HttpProcessingError, RawRequestMessage
from aiohttp.streams import StreamReader

from mdmserver.config import Limits
from mdmserver.web.admission import Admission, Seat
from mdmserver.web.listener import ListenerKind
from mdmserver.web.peers import PeerName

LONGEST_LINE = 8190
# A request of NanoMDM's interface names thousands of enrollments in its path.
LONGEST_LINE_WITH_IDS = 128 * 1024
LONGEST_FIELD = 16 * 1024
MOST_HEADERS = 64
# A body is read, and counted, by its handler; this much of it may wait for that, twice.
_READ_AHEAD = 64 * 1024
# An answer that comes before the body's end reaches the client only if what it still sends is read for a moment.
_LINGER_SECONDS = 2.0

_TAKING_IDS = frozenset({ListenerKind.HTTPS, ListenerKind.HTTP})

_log = logging.getLogger(__name__)

RequestHandler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionRules:
    """What the connections of one listener have in common."""

    kind: ListenerKind
    limits: Limits
    admission: Admission


class BoundedConnection(web.RequestHandler):
    """A connection, its seat, and the clock on the head that is being received."""

    __slots__ = ("_body", "_head_timer", "_rules", "_seat", "_tls_certificate")

    def __init__(self, server: "BoundedServer", rules: ConnectionRules, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=rules.limits.keep_alive_seconds,
            access_log=cast(logging.Logger, None),
            max_line_size=LONGEST_LINE_WITH_IDS if rules.kind in _TAKING_IDS else LONGEST_LINE,
            max_field_size=LONGEST_FIELD,
            max_headers=MOST_HEADERS,
            lingering_time=_LINGER_SECONDS,
            read_bufsize=_READ_AHEAD,
            auto_decompress=False,
        )
        self._rules = rules
        self._seat: Seat | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._body: StreamReader | None = None
        self._tls_certificate: bytes | None = None

    @property
    def is_from_trusted_proxy(self) -> bool:
        """Whether the peer is a configured proxy, so that what it says of its client is believed."""
        return self._seat is not None and self._seat.is_trusted_proxy

    @property
    def tls_certificate(self) -> bytes | None:
        """The DER of the certificate that the client proved in the TLS handshake, if any."""
        if self._tls_certificate is None and self.transport is not None:
            tls = self.transport.get_extra_info("ssl_object")
            if isinstance(tls, ssl.SSLObject | ssl.SSLSocket):
                self._tls_certificate = tls.getpeercert(True)
        return self._tls_certificate

    def prove(self) -> None:
        """A request on this connection was authenticated: from now on it does not count against its address."""
        if self._seat is not None:
            self._rules.admission.prove(self._seat)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a seat, or hang up where there is none."""
        self._seat = self._rules.admission.enter(_peer_of(transport))
        if self._seat is None:
            _log.info("connection refused", extra={"code": "too_many_connections", "listener": self._rules.kind})
            self._force_close = True
            cast(asyncio.Transport, transport).abort()
            return
        super().connection_made(transport)
        self._start_head_timer()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Free the seat."""
        self._stop_head_timer()
        if self._seat is not None:
            self._rules.admission.leave(self._seat)
            self._seat = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, and see whether a head is complete or has begun.

        The start of a next head that comes in one piece with the end of a body is not seen; the keep-alive time
        bounds that one.
        """
        requests = self._request_count
        was_in_body = self._body is not None and not self._body.is_eof()
        super().data_received(data)
        if self._request_count != requests:
            self._stop_head_timer()
            self._note_last_message()
        elif data and not was_in_body and self._head_timer is None:
            self._start_head_timer()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """An empty answer; the log has what kind of fault it was, never what was sent."""
        fields = {"listener": self._rules.kind, "status": status}
        if isinstance(exc, HttpProcessingError):
            _log.info("request refused", extra={"code": "malformed_http", "reason": type(exc).__name__, **fields})
        elif isinstance(exc, ConnectionError):
            _log.debug("client gone", extra=fields)
        else:
            _log.error("request failed", exc_info=exc, extra={"code": "internal", **fields})
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun; no other can be given")
        response = web.Response(status=status)
        response.force_close()
        return response

    def log_exception(self, *args: object, **kw: object) -> None:
        """aiohttp's own complaints, without what they quote."""
        error = kw.get("exc_info")
        reason = type(error).__name__ if isinstance(error, BaseException) else None
        _log.error("connection failed", extra={"listener": self._rules.kind, "reason": reason})

    def _note_last_message(self) -> None:
        if not self._messages:
            return
        message, payload = self._messages[-1]
        if isinstance(message, RawRequestMessage):
            self._body = payload
        elif self._body is not None and not self._body.is_eof():
            # aiohttp would leave the handler waiting for the rest of a body that cannot be read.
            self._body.set_exception(web.RequestPayloadError("the body's framing is broken"))

    def _start_head_timer(self) -> None:
        self._head_timer = self._loop.call_later(self._rules.limits.header_seconds, self._head_is_late)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._request_in_progress:
            # The answer to an earlier request is on its way; the one behind it gets another chance.
            self._start_head_timer()
            return
        _log.info("connection closed", extra={"code": "slow_head", "listener": self._rules.kind})
        self.force_close()


class BoundedServer(web.Server):
    """Makes a `BoundedConnection` of every connection."""

    def __init__(self, handler: RequestHandler, inner: web.Server, rules: ConnectionRules) -> None:
        super().__init__(handler, request_factory=inner.request_factory)
        self._rules = rules

    def __call__(self) -> BoundedConnection:
        return BoundedConnection(self, self._rules, self._loop)


def connection_of(request: web.BaseRequest) -> BoundedConnection:
    """The connection that a request came on."""
    connection = request.protocol
    assert isinstance(connection, BoundedConnection)
    return connection


def _peer_of(transport: asyncio.BaseTransport) -> PeerName:
    opened = transport.get_extra_info("socket")
    if opened is not None and opened.family == socket.AF_UNIX:
        return ""
    peer: PeerName = transport.get_extra_info("peername")
    return peer
