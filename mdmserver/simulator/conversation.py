"""HTTP as devices speak it: one connection, opened when a device is woken, used for message after message, closed."""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, auto

import aiohttp

from mdmserver.simulator.errors import ReplyLost
from mdmserver.simulator.faults import network_faults
from mdmserver.simulator.proof import Prover


class Endpoint(StrEnum):
    """Where a message goes; the value is the Content-Type with which devices send it."""

    COMMAND = "application/x-apple-aspen-mdm; charset=UTF-8"
    CHECKIN = "application/x-apple-aspen-mdm-checkin"


_HEADERS = {
    endpoint: {
        "Content-Type": endpoint.value,
        "User-Agent": "MDM/1.0",
        "Accept": "*/*",
        "Cache-Control": "no-cache",
    }
    for endpoint in Endpoint
}


class Loss(Enum):
    """When a device's connection breaks: before the server can answer, or while its answer is on the way."""

    WHEN_SENT = auto()
    WHEN_ANSWERED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAddress:
    """The URLs of an enrollment profile; without `checkin_url` both kinds of message go to one."""

    command_url: str
    checkin_url: str | None = None

    def url(self, endpoint: Endpoint) -> str:
        """The URL for this kind of message."""
        return self.checkin_url or self.command_url if endpoint is Endpoint.CHECKIN else self.command_url


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the server answered, whatever its status."""

    status: int
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx: nothing less ends a device's wish to send again."""
        return 200 <= self.status < 300


class Conversation:
    """One device's connection; every message waits for the answer to the one before."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        server: ServerAddress,
        prover: Prover,
        took: Callable[[float], None],
    ) -> None:
        self._session = session
        self._server = server
        self._prover = prover
        self._took = took

    async def send(self, endpoint: Endpoint, body: bytes, *, repeats: bool = False, loss: Loss | None = None) -> Reply:
        """The server's answer, whatever its status. Raises ServerUnreachable, and ReplyLost where `loss` is wanted.

        `repeats` says that this device sends exactly these bytes often.
        """
        headers = {
            **_HEADERS[endpoint],
            "Content-Length": str(len(body)),
            **self._prover.headers(body, repeats=repeats),
        }
        url = self._server.url(endpoint)
        with network_faults(url):
            if loss is Loss.WHEN_SENT:
                await self._send_and_drop(url, body, headers)
                raise ReplyLost
            began = time.perf_counter()
            async with self._session.put(url, data=body, headers=headers) as response:
                if loss is Loss.WHEN_ANSWERED:
                    response.close()
                    raise ReplyLost
                reply = Reply(status=response.status, body=await response.read())
            self._took(time.perf_counter() - began)
            return reply

    async def _send_and_drop(self, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        is_sent = False

        async def whole_body() -> AsyncIterator[bytes]:
            nonlocal is_sent
            yield body
            is_sent = True  # reached when the bytes before were handed to the socket
            raise _Dropped

        try:
            (await self._session.put(url, data=whole_body(), headers=headers)).close()
        except aiohttp.ClientError:
            if not is_sent:
                raise


class _Dropped(Exception):
    """Ends a request after its body, and its connection with it."""
