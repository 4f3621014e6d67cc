"""Reads request bodies within limits: size, time, and the budget that all bodies share (S18, S21)."""

import asyncio
from collections.abc import Callable

from aiohttp import web

from mdmserver.config import Limits
from mdmserver.errors import Invalid, MDMError, TooLarge
from mdmserver.web.budget import BodyBudget, BodyShare


class BodyTooLarge(TooLarge):
    """A body over its cap; `received` is what was read of it, at least as much as the caller asked for."""

    code = "body_too_large"

    def __init__(self, received: bytes) -> None:
        super().__init__("the body is over its limit")
        self.received = received


class BodyTooSlow(MDMError):
    """A body that did not come in time (408)."""

    code = "slow_body"


class BodyReader:
    """Reads bodies; every listener reads with the same one.

    A body may take `body_seconds`, and another second for each `body_bytes_per_second` bytes that have come.
    """

    def __init__(self, limits: Limits) -> None:
        self._budget = BodyBudget(limits.bodies_in_flight_bytes)
        self._seconds = limits.body_seconds
        self._bytes_per_second = limits.body_bytes_per_second

    def share(self) -> BodyShare:
        """What a request holds its body in; keep it open for as long as the body is needed."""
        return BodyShare(self._budget)

    async def read(self, request: web.BaseRequest, share: BodyShare, *, at_most: int, beginning: int = 0) -> bytes:
        """The whole body. Raises BodyTooLarge (having read `beginning` bytes), BodyTooSlow, Unavailable when the
        budget is spent, Invalid for broken framing, and ConnectionError when the client has gone."""
        content = request.content
        if content.is_eof() and content.total_bytes <= at_most:
            # The usual case: it came together with the head.
            share.hold(content.total_bytes)
            return content.read_nowait()
        announced = request.content_length
        is_too_large = announced is not None and announced > at_most
        wanted = beginning if is_too_large else at_most
        if announced is not None:
            share.hold(min(announced, wanted))
        body = bytearray()

        def keep(piece: bytes) -> None:
            share.hold(min(len(body) + len(piece), at_most))
            body.extend(piece)

        await self._receive(request, keep, up_to=wanted)
        if is_too_large or len(body) > at_most:
            raise BodyTooLarge(bytes(body))
        return bytes(body)

    async def pass_on(self, request: web.BaseRequest, sink: Callable[[bytes], object], *, at_most: int) -> None:
        """Give what is left of a body to the sink, piece by piece, keeping nothing; raises as `read` does."""
        if await self._receive(request, sink, up_to=at_most) > at_most:
            raise BodyTooLarge(b"")

    async def _receive(self, request: web.BaseRequest, sink: Callable[[bytes], object], *, up_to: int) -> int:
        """Give the body, or if it is longer a little more than `up_to` bytes of it, to the sink; how many bytes."""
        if up_to <= 0:
            return 0
        await _continue(request)
        content, clock, size = request.content, asyncio.get_running_loop(), 0
        started = clock.time()
        try:
            while size <= up_to and not content.at_eof():
                async with asyncio.timeout_at(started + self._seconds + size / self._bytes_per_second):
                    piece = await content.readany()
                sink(piece)
                size += len(piece)
        except TimeoutError as error:
            raise BodyTooSlow("the body did not come in time") from error
        except web.RequestPayloadError as error:
            raise Invalid("the body's framing is broken", code="malformed_http") from error
        return size


async def _continue(request: web.BaseRequest) -> None:
    """RFC 9110 §10.1.1: tell a client that waits before it sends its body."""
    if request.headers.get("Expect", "").lower() == "100-continue" and not request.content.total_bytes:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # It is not part of the answer: aiohttp takes what was written for one that has begun.
        request.writer.output_size = 0
