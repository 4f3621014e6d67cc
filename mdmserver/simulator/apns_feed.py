"""Tells whoever listens which pushes were accepted: JSON lines over TCP. Nobody who listens can hold up a push.

As with APNs, only the last push of a token and topic is kept while nobody listens, until it expires.
"""

import asyncio
from collections.abc import Callable
from typing import cast

import msgspec

from mdmserver.simulator.apns_request import Push

LONGEST_BACKLOG = 8 * 2**20
"""Bytes that a listener may be behind; one that is slower is dropped and may come again."""


class DeliveryFeed:
    """`listeners` are those connected, `dropped` counts those that were too slow, `kept` is what waits for one.

    `changed` is called when somebody comes or goes.
    """

    def __init__(self, *, longest_backlog: int = LONGEST_BACKLOG, changed: Callable[[], None] = lambda: None) -> None:
        self.listeners: set[asyncio.Transport] = set()
        self.dropped = 0
        self.kept: dict[tuple[str, str], Push] = {}
        self.longest_backlog = longest_backlog
        self._changed = changed
        self._lines: list[bytes] = []
        self._is_flush_due = False
        self._encode = msgspec.json.Encoder().encode

    def tell(self, push: Push) -> None:
        """Pass a push on, or keep it."""
        if not self.listeners:
            if push.expiration:
                self.kept[push.topic, push.token] = push
            return
        self._lines.append(self._encode(push))
        if not self._is_flush_due:
            self._is_flush_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def joined(self, listener: asyncio.Transport, now: float) -> None:
        """A listener is there: it gets what was kept and has not expired."""
        self.listeners.add(listener)
        kept, self.kept = self.kept, {}
        lines = [self._encode(push) + b"\n" for push in kept.values() if push.expiration > now]
        if lines:
            listener.write(b"".join(lines))
        self._changed()

    def left(self, listener: asyncio.Transport) -> None:
        """A listener is gone."""
        self.listeners.discard(listener)
        self._changed()

    def close(self) -> None:
        """Send what is due, then end all connections."""
        self._flush()
        for listener in tuple(self.listeners):
            listener.close()

    def _flush(self) -> None:
        self._is_flush_due = False
        lines, self._lines = self._lines, []
        content = b"".join(line + b"\n" for line in lines)
        for listener in tuple(self.listeners):
            if listener.get_write_buffer_size() > self.longest_backlog:
                self.dropped += 1
                self.listeners.discard(listener)
                listener.abort()
            elif content:
                listener.write(content)


class FeedConnection(asyncio.Protocol):
    """One listener; what it says is not heard."""

    def __init__(self, feed: DeliveryFeed, now: float) -> None:
        self._feed = feed
        self._now = now
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A listener."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by their class
        self._feed.joined(self._transport, self._now)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone."""
        if self._transport is not None:
            self._feed.left(self._transport)
