"""A scripted HTTP/2 server in the place of APNs, on the h2 package: it answers as a test says, and goes wrong.

The stand-in that people and load tests use is another one; this one only has what breaks connections.
"""

import asyncio
import json
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, PingReceived, RequestReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """What arrived, as it arrived."""

    connection: "ServerConnection"
    stream: int
    headers: dict[str, str]
    body: bytes

    @property
    def token(self) -> bytes:
        return bytes.fromhex(self.headers[":path"].removeprefix("/3/device/"))

    def accept(self) -> None:
        self.connection.answer(self.stream, 200, {"apns-id": self.headers["apns-id"]}, b"")

    def refuse(self, status: int, reason: str, **more: object) -> None:
        body = json.dumps({"reason": reason, **more}).encode()
        self.connection.answer(self.stream, status, {"apns-id": self.headers["apns-id"]}, body)

    def reset(self, code: ErrorCodes) -> None:
        self.connection.h2.reset_stream(self.stream, code)
        self.connection.flush()


Script = Callable[[Push], None]


def accept(push: Push) -> None:
    push.accept()


def stay_silent(_push: Push) -> None:
    pass


class ServerConnection(asyncio.Protocol):
    """One connection from the gateway; `transport.write` sends bytes that h2 would not make."""

    def __init__(self, server: "ScriptedAPNs") -> None:
        self.server = server
        self.h2 = H2Connection(H2Configuration(client_side=False))
        self.transport: asyncio.Transport
        self.peak = 0
        self.resets = 0
        self.pings = 0
        self.went_away = False
        self._open: dict[int, tuple[dict[str, str], bytearray]] = {}
        self._unanswered: set[int] = set()
        self._held: dict[int, bytes] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by name
        self.server.connections.append(self)
        self.server.changed()
        if self.server.greeting is not None:
            self.transport.write(self.server.greeting)
            return
        # Before the preface, or h2 tells the client of a hundred streams first.
        self.h2.local_settings[SettingCodes.MAX_CONCURRENT_STREAMS] = self.server.max_streams
        self.h2.local_settings[SettingCodes.HEADER_TABLE_SIZE] = self.server.header_table
        self.h2.local_settings.acknowledge()
        self.h2.initiate_connection()
        self.flush()

    def data_received(self, data: bytes) -> None:
        if self.server.greeting is not None:
            return
        try:
            events = self.h2.receive_data(data)
        except ProtocolError as error:
            self.server.faults.append(error)
            self.flush()
            self.transport.close()
            return
        for event in events:
            self._on_event(event)
        self.flush()
        self.server.changed()

    def _on_event(self, event: object) -> None:
        match event:
            case RequestReceived(stream_id=int(stream), headers=fields):
                self._open[stream] = (
                    {bytes(name).decode(): bytes(value).decode() for name, value in fields or ()},
                    bytearray(),
                )
                self._unanswered.add(stream)
                self.peak = max(self.peak, len(self._unanswered))
            case DataReceived(stream_id=int(stream), data=bytes(data), flow_controlled_length=int(length)):
                self._open[stream][1].extend(data)
                self.h2.acknowledge_received_data(length, stream)
            case StreamEnded(stream_id=int(stream)):
                headers, body = self._open.pop(stream)
                push = Push(connection=self, stream=stream, headers=headers, body=bytes(body))
                self.server.pushes.append(push)
                self.server.script(push)
            case StreamReset(stream_id=int(stream)):
                self.resets += 1
                self._unanswered.discard(stream)
                self._held.pop(stream, None)
            case PingReceived():
                self.pings += 1
            case ConnectionTerminated():
                self.went_away = True
        self._send_held()

    def answer(self, stream: int, status: int, headers: dict[str, str], body: bytes) -> None:
        """Answer; a body waits until the client's window has room for it."""
        if self.transport.is_closing() or stream not in self._unanswered:
            return
        self._unanswered.discard(stream)
        self.h2.send_headers(stream, [(":status", str(status)), *headers.items()], end_stream=not body)
        if body:
            self._held[stream] = body
            self._send_held()
        self.flush()

    def _send_held(self) -> None:
        for stream, body in list(self._held.items()):
            if self.h2.local_flow_control_window(stream) < len(body):
                break
            self.h2.send_data(stream, self._held.pop(stream), end_stream=True)

    def go_away(self, last_stream: int, code: ErrorCodes = ErrorCodes.NO_ERROR, reason: str | None = None) -> None:
        """GOAWAY by hand, so that streams up to the last one may still be answered."""
        debug = b"" if reason is None else json.dumps({"reason": reason}).encode()
        payload = last_stream.to_bytes(4) + int(code).to_bytes(4) + debug
        self.flush()
        self.transport.write(len(payload).to_bytes(3) + b"\x07\x00" + bytes(4) + payload)

    def allow(self, streams: int) -> None:
        """Change SETTINGS_MAX_CONCURRENT_STREAMS."""
        self.h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: streams})
        self.flush()

    def flush(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(self.h2.data_to_send())

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.lost += 1
        self.server.changed()


@dataclass
class ScriptedAPNs:
    """The server: what it does is in its fields, which tests set, what happened is in its lists."""

    context: ssl.SSLContext
    script: Script = accept
    max_streams: int = 1000
    header_table: int = 4096
    greeting: bytes | None = None
    """Sent in the place of HTTP/2, for servers that are none."""
    port: int = 0
    connections: list[ServerConnection] = field(default_factory=list)
    pushes: list[Push] = field(default_factory=list)
    faults: list[ProtocolError] = field(default_factory=list)
    lost: int = 0
    _server: asyncio.Server | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: ServerConnection(self), "127.0.0.1", self.port, ssl=self.context, ssl_shutdown_timeout=1
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """As if killed: nothing is said to anybody."""
        assert self._server is not None
        self._server.close()
        for connection in self.connections:
            connection.transport.abort()
        await self._server.wait_closed()
        await self.until(lambda: self.lost == len(self.connections))

    def changed(self) -> None:
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until this holds of what has happened here."""
        async with asyncio.timeout(20):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


def refuse_one_certificate(listener: socket.socket, context: ssl.SSLContext) -> None:
    """Shake hands once, blocking, and fail at the client's certificate: unlike asyncio's, this TLS sends its alert."""
    raw, _ = listener.accept()
    raw.settimeout(20)
    with context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False) as secured:
        try:
            secured.do_handshake()
        except ssl.SSLError:
            socket.socket.shutdown(secured, socket.SHUT_WR)
            # Closed with something unread, the alert would be lost.
            while socket.socket.recv(secured, 65_536):
                pass
