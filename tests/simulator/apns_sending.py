"""A sender of pushes for the tests of the stand-in for APNs, on the h2 package: not the framing of either of ours."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, cast

from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    PingAckReceived,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.settings import SettingCodes

from mdmserver.simulator.apns import APNsStandIn

TOPIC = "com.apple.mgmt.External.0b0f7b2e-6f5d-4a6c-9b52-1d2c3e4f5a6b"
TOKEN = "0a" * 32
OTHER_TOKEN = "0b" * 32
PAYLOAD = b'{"mdm":"MAGIC"}'
HEADERS = {"apns-topic": TOPIC, "apns-push-type": "mdm", "apns-priority": "10", "apns-expiration": "4000000000"}


class Sender:
    """One connection. `outcomes`: status, headers and reason per stream; `resets`, `goaway`: what else came."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.headers: dict[int, dict[str, str]] = {}
        self.bodies: dict[int, bytes] = {}
        self.ended: set[int] = set()
        self.resets: dict[int, int] = {}
        self.pongs: list[bytes] = []
        self.goaway: ConnectionTerminated | None = None
        self.max_streams: int | None = None
        self.is_closed = False
        self.acknowledges_bodies = True
        self._waiting = b""
        self._reader = reader
        self._writer = writer

    def send(self, token: str = TOKEN, body: bytes = PAYLOAD, *, method: str = "POST", path: str = "",
             headers: list[tuple[str, str]] | None = None) -> int:  # fmt: skip
        """Send a push without waiting; its stream."""
        stream = self.h2.get_next_available_stream_id()
        pseudo = [(":method", method), (":scheme", "https"), (":authority", "localhost")]
        named = [(":path", path or f"/3/device/{token}"), *(headers if headers is not None else HEADERS.items())]
        self.h2.send_headers(stream, [*pseudo, *named], end_stream=not body)
        while body:
            part, body = body[:16_384], body[16_384:]
            self.h2.send_data(stream, part, end_stream=not body)
        self.flush()
        return stream

    async def push(self, token: str = TOKEN, body: bytes = PAYLOAD, **more: Any) -> tuple[int, str | None]:
        """Send a push; status and reason of the answer."""
        stream = self.send(token, body, **more)
        await self.until(lambda: stream in self.ended)
        return self.answer(stream)

    def answer(self, stream: int) -> tuple[int, str | None]:
        """Status and reason of an answer that has come."""
        body = self.bodies.get(stream)
        return int(self.headers[stream][":status"]), json.loads(body)["reason"] if body else None

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Read until it is so."""
        async with asyncio.timeout(20):
            while not is_so():
                assert not self.is_closed, "the connection ended"
                await self._read()

    async def until_answered(self, streams: Iterable[int]) -> None:
        """Read until the headers of all these answers have come."""
        await self.until(lambda: self.headers.keys() >= set(streams))

    async def until_closed(self) -> None:
        """Read to the end."""
        async with asyncio.timeout(20):
            while not self.is_closed:
                await self._read()

    def write(self, content: bytes) -> None:
        """Send what h2 would not."""
        self._writer.write(content)

    def flush(self) -> None:
        """Send what h2 has to say."""
        self._writer.write(self.h2.data_to_send())

    def close(self) -> None:
        """End it."""
        self._writer.transport.abort()

    async def _read(self) -> None:
        try:
            received = await self._reader.read(65_536)
        except OSError:
            received = b""
        self.is_closed = not received
        self._waiting += received
        # Frame by frame, as h2 is helped over a GOAWAY below.
        while len(self._waiting) >= 9 and len(self._waiting) >= (end := 9 + int.from_bytes(self._waiting[:3], "big")):
            whole, self._waiting = self._waiting[:end], self._waiting[end:]
            for event in self.h2.receive_data(whole):
                self._heed(event)
        self.flush()

    def _heed(self, event: Event) -> None:
        match event:
            case ResponseReceived():
                self.headers[event.stream_id] = dict(cast(list[tuple[str, str]], event.headers))
            case DataReceived():
                self.bodies[event.stream_id] = self.bodies.get(event.stream_id, b"") + event.data
                if self.acknowledges_bodies:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case StreamEnded():
                self.ended.add(event.stream_id)
            case StreamReset():
                self.resets[event.stream_id] = event.error_code
            case ConnectionTerminated():
                self.goaway = event
                # h2 takes this for the end; RFC 9113 §6.8 lets what came before be answered.
                self.h2.state_machine.state = ConnectionState.CLIENT_OPEN
            case PingAckReceived():
                self.pongs.append(event.ping_data)
            case RemoteSettingsChanged():
                if changed := event.changed_settings.get(SettingCodes.MAX_CONCURRENT_STREAMS):
                    self.max_streams = changed.new_value
            case _:
                pass


@asynccontextmanager
async def sending_to(stand_in: APNsStandIn, *, first_window: int | None = None) -> AsyncIterator[Sender]:
    """A connection with the push certificate."""
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", stand_in.port, ssl=stand_in.files.client_context(), server_hostname="localhost"
        )
    sender = Sender(reader, writer)
    if first_window is not None:
        sender.h2.local_settings = type(sender.h2.local_settings)(
            client=True, initial_values={SettingCodes.INITIAL_WINDOW_SIZE: first_window}
        )
    sender.h2.initiate_connection()
    sender.flush()
    try:
        await sender.until(lambda: sender.max_streams is not None)
        yield sender
    finally:
        sender.close()
