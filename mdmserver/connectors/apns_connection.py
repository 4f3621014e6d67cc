"""One connection to APNs: aioapns' protocol class with the framing of `h2_client`, its timers and its end.

Which connection a push takes, and when another is opened, is `apns_pool`.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

from aioapns import NotificationRequest
from aioapns.common import NotificationResult
from aioapns.connection import APNsTLSClientProtocol

from mdmserver.connectors.apns_answer import reason_in, result_of
from mdmserver.connectors.apns_exchange import Exchange, NoAnswer
from mdmserver.connectors.apns_request import HeaderWriter
from mdmserver.connectors.apns_tls import reason_of
from mdmserver.connectors.h2_client import Answered, Event, GoneAway, H2Client, Reset
from mdmserver.connectors.h2_frames import ProtocolFault

WRITE_AHEAD = 262_144
"""Bytes that may wait for a server that does not read, and as many again before the connection is given up."""


class APNsConnection(APNsTLSClientProtocol):
    """Sends exchanges while there is room.

    Calls `on_change` after whatever may have made room, `on_proven` once, after the first answer to a push (which
    shows that APNs takes our certificate), and `on_lost` when it has ended.
    """

    def __init__(
        self,
        headers: HeaderWriter,
        loop: asyncio.AbstractEventLoop,
        *,
        on_change: Callable[[], None],
        on_proven: Callable[[], None],
        on_lost: Callable[["APNsConnection"], None],
        ping_after_seconds: float,
        ping_seconds: float,
    ) -> None:
        super().__init__("", loop)
        self.ready: asyncio.Future[None] = loop.create_future()
        """Done when the server's SETTINGS came; NoAnswer when the connection ended before."""
        self.closed: asyncio.Future[None] = loop.create_future()
        self.is_proven = False
        """Whether any push was answered here."""
        self.reason = ""
        """Why it ended."""
        self._client = H2Client()
        self._exchanges: dict[int, Exchange] = {}
        self._headers = headers
        self._on_change, self._on_proven, self._on_lost = on_change, on_proven, on_lost
        self._ping_after, self._ping_seconds = ping_after_seconds, ping_seconds
        self._heard_at = loop.time()
        self._idle_timer: asyncio.TimerHandle | None = None
        self._ping_timer: asyncio.TimerHandle | None = None
        self._is_paused = self._is_flush_due = False

    @property
    def is_leaving(self) -> bool:
        """Whether it takes no more pushes, for good."""
        return self._client.is_leaving or self.closed.done()

    def has_room(self, size: int) -> bool:
        """Whether a push with a body of this size may be sent at once."""
        return not self._is_paused and self._client.has_room(size) and not self.closed.done()

    def start(self, exchange: Exchange) -> None:
        """Send it; only when there is room."""
        request = exchange.request
        exchange.connection = self
        exchange.stream = self._client.request(self._headers.block(request), request.body)
        self._exchanges[exchange.stream] = exchange
        self._flush_soon()

    def give_up(self, exchange: Exchange) -> None:
        """Nobody waits for this one's answer any more: its stream is free for another."""
        if self._exchanges.pop(exchange.stream, None) is not None:
            self._client.reset(exchange.stream)
            self._flush_soon()
            self._after_change()

    async def send_notification(self, request: NotificationRequest) -> NotificationResult:
        """Pushes go through the pool, which knows which connection has room."""
        raise NotImplementedError

    def check(self) -> None:
        """Ask the server for a sign of life; without one in time the connection ends."""
        if self._ping_timer is None and not self.closed.done():
            self._client.ping()
            self._flush_soon()
            self._ping_timer = self.loop.call_later(self._ping_seconds, self.abort, "no answer to a PING")

    def leave(self) -> None:
        """Take no more pushes; close when those that are out are answered."""
        self._client.is_leaving = True
        self._close_when_empty()

    def close(self) -> None:
        """Close now. What is unanswered fails with NoAnswer."""
        self._fail_all("connection closed")
        if self.transport is not None and not self.transport.is_closing():
            self._client.go_away()
            self.transport.write(bytes(self._client.outgoing))
            self._client.outgoing.clear()
            self.transport.close()

    def abort(self, reason: str) -> None:
        """End at once, for this reason, without a word to the server."""
        self.reason = self.reason or reason
        self._client.is_leaving = True
        if self.transport is not None:
            self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(WRITE_AHEAD)
        tls = transport.get_extra_info("ssl_object")
        if isinstance(tls, ssl.SSLObject) and tls.selected_alpn_protocol() != "h2":
            self.abort("the server does not speak HTTP/2")
            return
        self._flush()
        self._wait_for_idleness(self._ping_after)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol. No fault of the server leaves here but as the end of this connection."""
        self._heard_at = self.loop.time()
        if self._ping_timer is not None:
            self._ping_timer.cancel()
            self._ping_timer = None
        try:
            for event in self._client.receive(data):
                self._on_event(event)
        except ProtocolFault as fault:
            self.abort(f"the server broke HTTP/2: {fault}")
            return
        if self._client.is_ready and not self.ready.done():
            self.ready.set_result(None)
        if self._client.outgoing:
            self._flush_soon()
        self._after_change()

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self._is_paused = False
        self._flush()
        self._after_change()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        for timer in (self._idle_timer, self._ping_timer):
            if timer is not None:
                timer.cancel()
        self.reason = self.reason or self._reason_of_loss(exc)
        if not self.closed.done():
            self.closed.set_result(None)
        self._fail_all(self.reason)
        if not self.ready.done():
            self.ready.set_exception(NoAnswer(self.reason))
            self.ready.exception()  # seen: whoever waited may have been cancelled
        self._on_lost(self)

    def _reason_of_loss(self, error: Exception | None) -> str:
        reason = reason_of(error)
        if reason.startswith("certificate refused"):
            return reason
        if self._client.is_ready:
            return f"connection lost ({reason})"
        # TLS 1.3: a server that refuses our certificate says so after our handshake, if at all.
        return f"connection lost before HTTP/2 began ({reason}; perhaps the certificate is refused)"

    def _on_event(self, event: Event) -> None:
        match event:
            case Answered():
                self._prove()
                exchange = self._exchanges.pop(event.stream, None)
                if exchange is not None and not exchange.answer.done():
                    exchange.answer.set_result(result_of(event, exchange.request.notification_id))
            case Reset():
                self._fail(event.stream, f"stream reset ({event.error})")
            case GoneAway():
                self._on_gone_away(event)

    def _prove(self) -> None:
        if not self.is_proven:
            self.is_proven = True
            self._on_proven()

    def _on_gone_away(self, event: GoneAway) -> None:
        said = reason_in(event.debug) or event.error
        if not event.is_graceful:
            self.reason = f"connection ended by APNs ({said})"
        for stream in [number for number in self._exchanges if number > event.last_stream]:
            self._fail(stream, f"not sent (APNs ends the connection: {said})")

    def _fail(self, stream: int, reason: str) -> None:
        exchange = self._exchanges.pop(stream, None)
        if exchange is not None:
            exchange.fail(NoAnswer(reason))

    def _fail_all(self, reason: str) -> None:
        for stream in list(self._exchanges):
            self._fail(stream, reason)

    def _after_change(self) -> None:
        self._close_when_empty()
        self._on_change()

    def _close_when_empty(self) -> None:
        if self._client.is_leaving and not self._exchanges:
            self.close()

    def _flush_soon(self) -> None:
        # One write, and so one TLS record, for all that a turn of the loop has to say.
        if not self._is_flush_due:
            self._is_flush_due = True
            self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flush_due = False
        outgoing = self._client.outgoing
        if self.transport is None or self.transport.is_closing() or not outgoing:
            return
        if not self._is_paused:
            self.transport.write(bytes(outgoing))
            outgoing.clear()
        elif len(outgoing) > WRITE_AHEAD:
            self.abort("the server does not read")

    def flush(self) -> None:
        """Write what waits."""
        self._flush()

    def _wait_for_idleness(self, seconds: float) -> None:
        self._idle_timer = self.loop.call_later(seconds, self._check_if_idle)

    def _check_if_idle(self) -> None:
        remaining = self._heard_at + self._ping_after - self.loop.time()
        if remaining <= 0:
            self.check()
            remaining = self._ping_after
        self._wait_for_idleness(remaining)
