"""What the tests of the device endpoints share: a PKI made once, devices that sign, and a server on loopback.

The services behind it are recorders; `test_end_to_end` has the real ones.
"""

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
from aiohttp import web

from certs import (
    CertificateCache,
    DeviceAuthority,
    DeviceTrust,
    PrivateKey,
    create_authority,
    dump_private_key,
    generate_ec,
    issue_device_certificate,
    sign_device_message,
)
from certs.pem import encode_certificate
from mdmserver.checkin.model import EMPTY, Reply
from mdmserver.commands.model import ReportedResult
from mdmserver.config import TLS, Config, Device, DeviceCA, Identity, Limits, Listen
from mdmserver.devices.identity import PresentedIdentity, Reenrollment
from mdmserver.protocol import (
    Authenticate,
    CheckinMessage,
    CommandReport,
    CommandUUID,
    EnrollmentID,
    EnrollmentType,
    Status,
    encode_checkin,
    encode_report,
)
from mdmserver.web.listener import ListenerKind
from mdmserver.web.metrics import Metrics
from mdmserver.web.server import serve

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DEVICE_ID = EnrollmentID(EnrollmentType.DEVICE, "00008030-0011AA22BB33")
COMMAND_TYPE = "application/x-apple-aspen-mdm; charset=UTF-8"
CHECKIN_TYPE = "application/x-apple-aspen-mdm-checkin"
IDLE = encode_report(enrollment_id=DEVICE_ID, status=Status.IDLE)
AUTHENTICATE = encode_checkin(Authenticate(enrollment_id=DEVICE_ID, topic="com.apple.mgmt.External.x"))


def acknowledged(uuid: str = "CMD1", **response: Any) -> bytes:
    """A result."""
    return encode_report(
        enrollment_id=DEVICE_ID, status=Status.ACKNOWLEDGED, command_uuid=CommandUUID(uuid), response=response
    )


@dataclass(frozen=True)
class DeviceIdentity:
    """A key and its certificate."""

    key: PrivateKey
    der: bytes

    def signature(self, body: bytes) -> str:
        return sign_device_message(body, self.der, self.key)

    def headers(self, body: bytes, content_type: str = COMMAND_TYPE) -> dict[str, str]:
        return {"Mdm-Signature": self.signature(body), "Content-Type": content_type}


class PKI:
    """A CA for devices, another one that nobody configured, and a certificate for the server."""

    def __init__(self) -> None:
        self._serial = 1
        self.ca_key, self.ca = self._authority("Device CA")
        self.strange_ca_key, self.strange_ca = self._authority("Strange CA")
        self.device = self.issue("device")
        self.other_device = self.issue("other device")
        self.expired = self.issue("expired", not_after=NOW - timedelta(days=1))
        self.early = self.issue("early", not_before=NOW + timedelta(days=1))
        self.stranger = self.issue("stranger", ca=(self.strange_ca_key, self.strange_ca))

    def issue(
        self,
        name: str,
        *,
        ca: tuple[PrivateKey, bytes] | None = None,
        not_before: datetime = NOW - timedelta(days=300),
        not_after: datetime = NOW + timedelta(days=300),
    ) -> DeviceIdentity:
        self._serial += 1
        ca_key, ca_der = ca or (self.ca_key, self.ca)
        key = generate_ec()
        der = issue_device_certificate(
            authority_der=ca_der,
            authority_key=ca_key,
            public_key=key.public_key(),
            common_name=name,
            serial_number=self._serial,
            not_before=not_before,
            not_after=not_after,
        )
        return DeviceIdentity(key=key, der=der)

    def _authority(self, name: str) -> tuple[PrivateKey, bytes]:
        self._serial += 1
        key = generate_ec()
        der = create_authority(
            common_name=name,
            key=key,
            not_before=NOW - timedelta(days=400),
            not_after=NOW + timedelta(days=4000),
            serial_number=self._serial,
        )
        return key, der


@dataclass
class RecordedServices:
    """Stands for the check-in service and the exchange: keeps what it is given and answers what it is told to."""

    reply: Reply = EMPTY
    command: bytes | None = None
    error: Exception | None = None
    reports: list[tuple[CommandReport, PresentedIdentity, ReportedResult | None]] = field(default_factory=list)
    messages: list[tuple[CheckinMessage, PresentedIdentity]] = field(default_factory=list)
    oversized: list[tuple[EnrollmentID, CommandUUID, PresentedIdentity]] = field(default_factory=list)
    hold: asyncio.Event | None = None
    """When set, answers wait for it."""
    entered: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, message: CheckinMessage, presented: PresentedIdentity) -> Reply:
        self.messages.append((message, presented))
        await self._wait_or_fail()
        return self.reply

    async def report(
        self, report: CommandReport, presented: PresentedIdentity, result: ReportedResult | None
    ) -> bytes | None:
        self.reports.append((report, presented, result))
        await self._wait_or_fail()
        return self.command

    async def refuse_oversized(self, id: EnrollmentID, uuid: CommandUUID, presented: PresentedIdentity) -> None:
        self.oversized.append((id, uuid, presented))

    async def _wait_or_fail(self) -> None:
        self.entered.set()
        if self.hold is not None:
            await self.hold.wait()
        if self.error is not None:
            raise self.error


class Connection:
    """A raw connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self._writer = reader, writer

    def extra(self, name: str) -> Any:
        """What the transport knows."""
        return self._writer.get_extra_info(name)

    async def send(self, piece: bytes, *, is_last: bool = False) -> None:
        """Send these bytes, and with `is_last` the end of the stream."""
        self._writer.write(piece)
        await self._writer.drain()
        if is_last:
            self._writer.write_eof()

    async def status(self) -> bytes:
        """The status of the next answer; empty when the server hung up."""
        async with asyncio.timeout(5):
            try:
                answer = await self.reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                return b""
        return answer.split(b" ", 2)[1]

    async def drip(self, pieces: bytes, every_seconds: float) -> None:
        """Send byte by byte for as long as the server takes them."""
        for at in range(len(pieces)):
            if self._writer.is_closing() or self.reader.at_eof():
                return
            self._writer.write(pieces[at : at + 1])
            await asyncio.sleep(every_seconds)

    async def rest(self) -> bytes:
        """All that comes until the server hangs up; empty after a reset."""
        async with asyncio.timeout(10):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    async def cut(self) -> None:
        """Go away without a word."""
        self._writer.transport.abort()
        with suppress(ConnectionError):
            await self._writer.wait_closed()


@dataclass
class Serving:
    """A server that listens, and a client that reaches it."""

    addresses: dict[ListenerKind, tuple[str, int]]
    services: RecordedServices
    pki: PKI
    session: aiohttp.ClientSession
    reload: Any
    connections: list[Connection] = field(default_factory=list)

    def url(self, path: str = "/mdm", kind: ListenerKind = ListenerKind.HTTP) -> str:
        host, port = self.addresses[kind]
        scheme = "https" if kind in (ListenerKind.HTTPS, ListenerKind.MTLS) else "http"
        return f"{scheme}://{host}:{port}{path}"

    async def put(
        self,
        body: bytes = IDLE,
        *,
        device: DeviceIdentity | None = None,
        path: str = "/mdm",
        content_type: str = COMMAND_TYPE,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """PUT a body signed by the device; the status and body of the answer."""
        signed = (device or self.pki.device).headers(body, content_type)
        async with self.session.put(
            self.url(path), data=BytesIO(body), headers={**signed, **(headers or {})}
        ) as response:
            return response.status, await response.read()

    async def cut_all(self) -> None:
        """Cut what tests left open."""
        for connection in self.connections:
            await connection.cut()

    async def connect(self, kind: ListenerKind = ListenerKind.HTTP, *, tls: ssl.SSLContext | None = None) -> Connection:
        """A raw connection, cut when the server ends."""
        host, port = self.addresses[kind]
        if port == 0:
            opened = await asyncio.open_unix_connection(host)
        else:
            opened = await asyncio.open_connection(host, port, ssl=tls, server_hostname="mdm" if tls else None)
        connection = Connection(*opened)
        self.connections.append(connection)
        return connection

    async def raw(
        self, request: bytes, *, kind: ListenerKind = ListenerKind.HTTP, tls: ssl.SSLContext | None = None
    ) -> bytes:
        """Send these bytes and read until the server hangs up."""
        connection = await self.connect(kind, tls=tls)
        await connection.send(request)
        return await connection.rest()


def head(*headers: str, method: str = "PUT", path: str = "/mdm", content_type: str = COMMAND_TYPE) -> bytes:
    """The head of a request, for raw sockets."""
    lines = [f"{method} {path} HTTP/1.1", "Host: mdm.example", f"Content-Type: {content_type}", *headers, "", ""]
    return "\r\n".join(lines).encode()


def signed_request(device: DeviceIdentity, body: bytes = IDLE, *headers: str) -> bytes:
    """A whole request, for raw sockets."""
    signature = f"Mdm-Signature: {device.signature(body)}"
    return head(signature, f"Content-Length: {len(body)}", *headers) + body


@asynccontextmanager
async def serving(
    pki: PKI,
    *,
    services: RecordedServices | None = None,
    identity: Identity | None = None,
    device: Device | None = None,
    limits: Limits | None = None,
    listen: Listen | None = None,
    tls: TLS | None = None,
    device_ca: tuple[DeviceCA, ...] = (),
    roots: tuple[bytes, ...] | None = None,
) -> AsyncIterator[Serving]:
    """A server with these parts of a configuration; plain HTTP on loopback unless told otherwise."""
    recorded = services or RecordedServices()
    config = Config(
        listen=listen or Listen(http="127.0.0.1:0", operations=""),
        identity=identity or Identity(),
        device=device or Device(),
        limits=limits or Limits(),
        tls=tls or TLS(),
        device_ca=device_ca,
    )
    all_services: Any = SimpleNamespace(
        certificates=CertificateCache(DeviceTrust([DeviceAuthority(name="external", roots=roots or (pki.ca,))])),
        authorities={"external": Reenrollment.ALLOW},
        own_authorities=SimpleNamespace(all=[]),
        clock=lambda: NOW,
        metrics=Metrics(),
        checkin=recorded,
        exchange=recorded,
        fingerprint=lambda value: hashlib.sha256(value).hexdigest()[:16],
    )
    async with (
        AsyncExitStack() as opened,
        serve(config, all_services, build_application=empty_application) as listening,
        aiohttp.ClientSession() as session,
    ):
        server = Serving(
            addresses=dict(listening.addresses),
            services=recorded,
            pki=pki,
            session=session,
            reload=listening.reload,
        )
        opened.push_async_callback(server.cut_all)
        yield server


def empty_application(*_: object) -> web.Application:
    """An application without routes: these tests are about what stands in front of it."""
    return web.Application()


@dataclass(frozen=True)
class TLSFiles:
    """The server's certificate and key, and what a client needs, as files."""

    tls: TLS
    device_ca: tuple[DeviceCA, ...]
    folder: Path

    def write(self, path: str, content: bytes) -> None:
        """Replace one of the files."""
        Path(path).write_bytes(content)

    def client(self, device: DeviceIdentity | None = None) -> ssl.SSLContext:
        """A client that accepts the server whatever its name, with the device's certificate if it has one."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if device is not None:
            # A modern OpenSSL would not even load what old devices have.
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
            path = self.folder / "client.pem"
            path.write_bytes(encode_certificate(device.der) + dump_private_key(device.key))
            context.load_cert_chain(path)
        return context


def tls_files(pki: PKI, folder: Path, *, name: str = "server") -> TLSFiles:
    """Write the files; another name gives another server certificate."""
    server = pki.issue(name)
    certificate, key, ca = folder / "server.pem", folder / "server.key", folder / "ca.pem"
    certificate.write_bytes(encode_certificate(server.der))
    key.write_bytes(dump_private_key(server.key))
    ca.write_bytes(encode_certificate(pki.ca))
    return TLSFiles(
        tls=TLS(certificate=str(certificate), key=str(key)),
        device_ca=(DeviceCA(name="external", certificates=str(ca)),),
        folder=folder,
    )
