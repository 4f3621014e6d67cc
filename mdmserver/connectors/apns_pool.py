"""The connections of one topic, and the pushes that wait for a stream on one of them.

One connection, up to four when its streams are not enough. The rules:
- A push goes out at once where there is room; else it waits in line, and is sent by whatever makes room.
- Connections are opened at most every `reconnect_seconds`; after one that failed or never answered a push, twice as
  late each time up to a minute. While there is none and that wait is on, pushes fail at once: Apple takes rapid
  reconnects for an attack, and the caller has better to do than wait.
- Each wait (for a stream, then for the answer) ends after `answer_seconds`.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from aioapns import NotificationRequest
from aioapns.common import NotificationResult
from aioapns.connection import APNsBaseConnectionPool

from mdmserver.connectors.apns_connection import APNsConnection
from mdmserver.connectors.apns_exchange import Deadlines, Exchange, NoAnswer, NotSent, PoolRetired
from mdmserver.connectors.apns_request import HeaderWriter, PushRequest
from mdmserver.connectors.apns_tls import client_context, reason_of
from mdmserver.push.model import PushIdentity

MOST_CONNECTIONS = 4
LONGEST_BACKOFF_SECONDS = 60.0
LONGEST_CLOSE_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class APNsServer:
    """Where APNs is, and how long it may take."""

    host: str
    port: int
    ca_file: str
    connect_seconds: float
    answer_seconds: float
    ping_after_seconds: float
    ping_seconds: float
    reconnect_seconds: float


class APNsPool(APNsBaseConnectionPool):
    """Sends the pushes of one topic with one certificate. Belongs to the running loop."""

    def __init__(self, identity: PushIdentity, server: APNsServer, *, on_empty: Callable[["APNsPool"], None]) -> None:
        super().__init__(topic=identity.topic, max_connections=MOST_CONNECTIONS)
        self.fingerprint = identity.fingerprint
        self._identity = identity
        self._server = server
        self._on_empty = on_empty
        self._headers = HeaderWriter(authority=server.host, topic=identity.topic)
        self._open: list[APNsConnection] = []
        self._queue: deque[Exchange] = deque()
        self._deadlines = Deadlines(self.loop, server.answer_seconds, self._on_deadline)
        self._connecting: asyncio.Task[None] | None = None
        self._failures = 0
        self._failed_because = ""
        self._next_attempt_at = self.loop.time()
        self._attempt_timer: asyncio.TimerHandle | None = None
        self._is_retired = False

    async def send_notification(self, request: NotificationRequest) -> NotificationResult:
        """The answer of APNs. Raises NotSent, NoAnswer or PoolRetired."""
        assert isinstance(request, PushRequest)
        if self._is_retired:
            raise PoolRetired
        exchange = Exchange(request, self.loop.create_future())
        self._deadlines.begin(exchange)
        self._queue.append(exchange)
        self._send_waiting()
        try:
            return await exchange.answer
        finally:
            self._deadlines.end(exchange)
            self._forget(exchange)
            # Its future, the error in it and this frame would be a circle, left for the garbage collector.
            del exchange

    def retire(self) -> None:
        """Send nothing more; what is out is waited for, then the connections close."""
        self._is_retired = True
        self._fail_waiting(PoolRetired())
        if self._attempt_timer is not None:
            self._attempt_timer.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
        for connection in list(self._open):
            connection.leave()
        self._tell_if_empty()

    async def aclose(self) -> None:
        """End all connections now, and wait until they have ended."""
        self.retire()
        self.close()
        connecting, connections = self._connecting, list(self._open)
        if connecting is not None:
            await asyncio.wait([connecting])
        if connections:
            await asyncio.wait([each.closed for each in connections], timeout=LONGEST_CLOSE_SECONDS)
        for connection in connections:
            connection.abort("closed")
        if connections:
            await asyncio.wait([each.closed for each in connections])
        self._deadlines.stop()

    def close(self) -> None:
        """Close all connections; what is unanswered fails."""
        for connection in list(self._open):
            connection.close()

    async def create_connection(self) -> APNsConnection:
        """A connection that takes pushes. Raises OSError, TimeoutError or NoAnswer."""
        server = self._server
        if self.ssl_context is None:
            self.ssl_context = await asyncio.to_thread(client_context, self._identity, ca_file=server.ca_file)
        # Names are looked up anew for each connection: APNs moves.
        _, connection = await self.loop.create_connection(
            self._new_connection,
            server.host,
            server.port,
            ssl=self.ssl_context,
            ssl_handshake_timeout=server.connect_seconds,
            ssl_shutdown_timeout=LONGEST_CLOSE_SECONDS,
        )
        try:
            await asyncio.shield(connection.ready)
        except BaseException:
            connection.abort("not ready in time")
            raise
        if connection.closed.done():
            raise NoAnswer(connection.reason)
        return connection

    def _new_connection(self) -> APNsConnection:
        return APNsConnection(
            self._headers,
            self.loop,
            on_change=self._on_change,
            on_proven=self._on_proven,
            on_lost=self._on_lost,
            ping_after_seconds=self._server.ping_after_seconds,
            ping_seconds=self._server.ping_seconds,
        )

    def _send_waiting(self) -> None:
        queue = self._queue
        while queue:
            exchange = queue[0]
            if not exchange.answer.done():
                connection = self._with_room(len(exchange.request.body))
                if connection is None:
                    self._want_connection()
                    return
                self._deadlines.begin(exchange)
                connection.start(exchange)
            queue.popleft()

    def _with_room(self, size: int) -> APNsConnection | None:
        return next((connection for connection in self._open if connection.has_room(size)), None)

    def _want_connection(self) -> None:
        living = sum(not connection.is_leaving for connection in self._open)
        if self._is_retired or self._connecting is not None or living >= self.max_connections:
            return
        wait = self._next_attempt_at - self.loop.time()
        if wait <= 0:
            self._connecting = self.loop.create_task(self._connect())
            return
        if self._failures and not living:
            self._fail_waiting(NotSent(f"not sent: {self._failed_because}"))
        elif self._attempt_timer is None:
            self._attempt_timer = self.loop.call_later(wait, self._attempt)

    def _attempt(self) -> None:
        self._attempt_timer = None
        self._send_waiting()

    async def _connect(self) -> None:
        self._next_attempt_at = self.loop.time() + self._server.reconnect_seconds
        try:
            async with asyncio.timeout(self._server.connect_seconds):
                connection = await self.create_connection()
            self._open.append(connection)
        except (OSError, UnicodeError) as error:
            self._note_failure(f"cannot connect: {reason_of(error)}")
        except NoAnswer as error:
            self._note_failure(str(error))
        finally:
            self._connecting = None
            self._tell_if_empty()
        self._send_waiting()

    def _note_failure(self, reason: str) -> None:
        self._failures += 1
        self._failed_because = reason
        backoff = min(self._server.reconnect_seconds * 2.0 ** min(self._failures, 30), LONGEST_BACKOFF_SECONDS)
        self._next_attempt_at = self.loop.time() + backoff

    def _on_proven(self) -> None:
        self._failures = 0

    def _on_change(self) -> None:
        if self._queue:
            self._send_waiting()

    def _on_lost(self, connection: APNsConnection) -> None:
        if connection in self._open:
            self._open.remove(connection)
            if not connection.is_proven:
                self._note_failure(connection.reason)
        self._tell_if_empty()
        if self._queue:
            self._send_waiting()

    def _on_deadline(self, exchange: Exchange) -> None:
        if exchange.connection is None:
            exchange.fail(NotSent("not sent: no stream was free in time"))
            return
        exchange.fail(NoAnswer("timed out"))
        exchange.connection.check()

    def _forget(self, exchange: Exchange) -> None:
        if exchange.connection is not None:
            exchange.connection.give_up(exchange)
        elif exchange in self._queue:
            self._queue.remove(exchange)

    def _fail_waiting(self, error: Exception) -> None:
        while self._queue:
            self._queue.popleft().fail(error)

    def _tell_if_empty(self) -> None:
        if self._is_retired and not self._open and self._connecting is None:
            self._on_empty(self)
