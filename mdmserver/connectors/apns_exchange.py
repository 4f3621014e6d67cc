"""A push on its way: what it waits for, until when, and how it may end without an answer."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from aioapns.common import NotificationResult
from aioapns.exceptions import ConnectionClosed
from aioapns.exceptions import ConnectionError as APNsConnectionError

from mdmserver.connectors.apns_request import PushRequest


class NoAnswer(ConnectionClosed):
    """There is no answer to a push, and there will be none; the text says why."""


class NotSent(APNsConnectionError):
    """The push was not sent; the text says why."""


class PoolRetired(APNsConnectionError):
    """The push was not sent, since another certificate took this one's place."""


class Carrier(Protocol):
    """The connection that an exchange is out on."""

    def give_up(self, exchange: "Exchange") -> None:
        """Nobody waits for this one's answer any more."""
        ...

    def check(self) -> None:
        """Find out whether the server is still there."""
        ...


class Exchange:
    """A push that waits: for a stream first, then for its answer."""

    __slots__ = ("answer", "connection", "deadline", "request", "stream")

    def __init__(self, request: PushRequest, answer: "asyncio.Future[NotificationResult]") -> None:
        self.request = request
        self.answer = answer
        self.deadline = 0.0
        self.connection: Carrier | None = None
        self.stream = 0

    def fail(self, error: Exception) -> None:
        """End it with this error, unless it has ended."""
        if not self.answer.done():
            self.answer.set_exception(error)


class Deadlines:
    """One timer for all that waits equally long: who began first is late first."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, on_late: Callable[[Exchange], None]) -> None:
        self._loop, self._seconds, self._on_late = loop, seconds, on_late
        self._waiting: dict[Exchange, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, exchange: Exchange) -> None:
        """Wait from now; also for one that waits already."""
        self._waiting.pop(exchange, None)
        exchange.deadline = self._loop.time() + self._seconds
        self._waiting[exchange] = None
        if self._timer is None:
            self._timer = self._loop.call_at(exchange.deadline, self._on_timer)

    def end(self, exchange: Exchange) -> None:
        """It waits no more."""
        self._waiting.pop(exchange, None)

    def stop(self) -> None:
        """Wait for nothing."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _on_timer(self) -> None:
        self._timer = None
        now = self._loop.time()
        for exchange in list(self._waiting):
            if exchange.deadline > now:
                self._timer = self._loop.call_at(exchange.deadline, self._on_timer)
                return
            self.end(exchange)
            self._on_late(exchange)
