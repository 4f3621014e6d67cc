"""A stand-in for APNs: answers pushes over HTTP/2 as Apple does, misbehaves when told to, and tells who listens.

Which faults a push can have is `apns_request`, what goes wrong on purpose `apns_behaviour`, who hears of accepted
pushes `apns_feed`.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import assert_never
from uuid import uuid4

from certs import CertificateError, enrollment_id_of
from mdmserver.simulator.apns_answers import ACCEPTED, Answer, Hangup, Reset, Silence, Treatment
from mdmserver.simulator.apns_behaviour import Behaviour
from mdmserver.simulator.apns_connection import APNsConnection
from mdmserver.simulator.apns_credentials import APNsFiles
from mdmserver.simulator.apns_feed import DeliveryFeed, FeedConnection
from mdmserver.simulator.apns_frames import ErrorCode
from mdmserver.simulator.apns_request import Push, apns_id_in, push_in
from mdmserver.simulator.apns_streams import Stream

LOOPBACK = "127.0.0.1"
KEPT_DELIVERIES = 10_000


class Counts:
    """What happened so far; `tokens` is how often each was pushed with success."""

    def __init__(self) -> None:
        self.requests = 0
        self.accepted = 0
        self.refused: Counter[str] = Counter()
        self.resets = 0
        self.silences = 0
        self.hangups = 0
        self.goaways = 0
        self.connections = 0
        self.tokens: Counter[str] = Counter()


class APNsStandIn:
    """Made by `open_stand_in`. `behaviour` may be changed at any time; `deliveries` are the last accepted pushes."""

    def __init__(self, files: APNsFiles, behaviour: Behaviour, *, clock: Callable[[], float] = time.time) -> None:
        self.files = files
        self.behaviour = behaviour
        self.counts = Counts()
        self._changed = asyncio.Event()
        self.feed = DeliveryFeed(changed=self._changed.set)
        self.deliveries: deque[Push] = deque(maxlen=KEPT_DELIVERIES)
        self.port = 0
        self.feed_port = 0
        self._clock = clock
        self._connections: dict[APNsConnection, str | None] = {}
        self._server: asyncio.Server | None = None
        self._feed_server: asyncio.Server | None = None

    # How it is run.

    async def start(self, *, host: str = LOOPBACK, port: int = 0, feed_port: int = 0) -> None:
        """Listen on both ports; 0 is a free one. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._feed_server = await loop.create_server(lambda: FeedConnection(self.feed, self._clock()), host, feed_port)
        self.feed_port = self._feed_server.sockets[0].getsockname()[1]
        self._host, self.port = host, port
        await self.recover()

    async def outage(self) -> None:
        """Stop listening and drop every connection, until `recover`."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.drop_connections()
        # What had been accepted by the kernel meanwhile goes too.
        await asyncio.sleep(0)
        self.drop_connections()

    async def recover(self) -> None:
        """Listen, on the same port as before. Raises OSError."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: APNsConnection(self, max_streams=self.behaviour.max_streams),
            self._host,
            self.port,
            ssl=self.files.server_context(refuses=lambda: self.behaviour.refuses_certificates),
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """End it all."""
        await self.outage()
        if self._feed_server is not None:
            self._feed_server.close()
        self.feed.close()

    # What can be asked of it while it runs.

    def limit_streams(self, count: int) -> None:
        """So many pushes at a time on each connection, those that are open too."""
        self.behaviour.max_streams = count
        for connection in self._connections:
            connection.limit_streams(count)

    def go_away(self, reason: str = "Shutdown") -> None:
        """Say GOAWAY on every connection and answer what is in flight."""
        for connection in tuple(self._connections):
            self._go_away(connection, reason)

    def hang_up(self, reason: str = "InternalServerError") -> None:
        """Say GOAWAY on every connection and end it at once, whatever is in flight."""
        for connection in tuple(self._connections):
            self._hang_up(connection, reason)

    def drop_connections(self) -> None:
        """End every connection without a word."""
        for connection in tuple(self._connections):
            connection.drop()

    @property
    def connections(self) -> int:
        """How many there are now."""
        return len(self._connections)

    async def until(self, is_so: Callable[[], bool], *, seconds: float = 30) -> None:
        """Wait for what happens to make it so; raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while not is_so():
                self._changed.clear()
                await self._changed.wait()

    # What connections say.

    def connected(self, connection: APNsConnection) -> None:
        """A client with a certificate; its topic is the subject's UID."""
        self.counts.connections += 1
        try:
            # The same attribute in which our own device certificates carry an enrollment id.
            self._connections[connection] = enrollment_id_of(connection.certificate)
        except CertificateError:
            self._connections[connection] = None
        self._changed.set()

    def disconnected(self, connection: APNsConnection) -> None:
        """A client is gone."""
        self._connections.pop(connection, None)
        self._changed.set()

    def opened(self, connection: APNsConnection) -> None:
        """A push has begun; it may be the last that this connection is for."""
        every = self.behaviour.goaway_every
        if every and connection.opened >= every:
            self._go_away(connection, "Shutdown")

    def received(self, connection: APNsConnection, stream: Stream) -> None:
        """A push, or what a client takes for one."""
        self.counts.requests += 1
        self._changed.set()
        if self.behaviour.delay_seconds:
            asyncio.get_running_loop().call_later(self.behaviour.delay_seconds, self._judge, connection, stream)
        else:
            self._judge(connection, stream)

    def _judge(self, connection: APNsConnection, stream: Stream) -> None:
        if connection not in self._connections:
            return
        at = self._clock()
        apns_id = apns_id_in(stream.headers) or str(uuid4())
        asked = push_in(stream.headers, bytes(stream.body), topic=self._connections[connection], at=at, apns_id=apns_id)
        if isinstance(asked, Push):
            now = datetime.fromtimestamp(at, UTC)
            treatment: Treatment = self.behaviour.treatment_of(asked.token, asked.topic, now) or ACCEPTED
            if treatment is ACCEPTED:
                self._deliver(asked)
        else:
            treatment = asked
        self._treat(connection, stream, treatment, apns_id)
        self._changed.set()

    def _deliver(self, push: Push) -> None:
        self.counts.accepted += 1
        self.counts.tokens[push.token] += 1
        self.deliveries.append(push)
        self.feed.tell(push)

    def _treat(self, connection: APNsConnection, stream: Stream, treatment: Treatment, apns_id: str) -> None:
        match treatment:
            case Answer():
                if treatment.reason is not None:
                    self.counts.refused[treatment.reason] += 1
                headers = ((b"apns-id", apns_id.encode("ascii")),)
                connection.respond(stream, treatment.status, headers, treatment.body)
            case Reset():
                self.counts.resets += 1
                connection.reset(stream, treatment.code)
            case Silence():
                self.counts.silences += 1
            case Hangup():
                self._hang_up(connection, treatment.reason)
            case _:
                assert_never(treatment)

    def _go_away(self, connection: APNsConnection, reason: str) -> None:
        self.counts.goaways += 1
        connection.go_away(ErrorCode.NO_ERROR, _said(reason))

    def _hang_up(self, connection: APNsConnection, reason: str) -> None:
        self.counts.hangups += 1
        connection.go_away(ErrorCode.INTERNAL_ERROR, _said(reason), is_abrupt=True)


@asynccontextmanager
async def open_stand_in(
    files: APNsFiles, behaviour: Behaviour | None = None, *, host: str = LOOPBACK, port: int = 0, feed_port: int = 0
) -> AsyncIterator[APNsStandIn]:
    """A stand-in that listens until the end of the block. Raises OSError."""
    stand_in = APNsStandIn(files, behaviour or Behaviour())
    try:
        await stand_in.start(host=host, port=port, feed_port=feed_port)
        yield stand_in
    finally:
        await stand_in.close()


def _said(reason: str) -> bytes:
    return Answer(status=0, reason=reason).body
