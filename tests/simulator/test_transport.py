"""How simulated devices reach a server: proofs, URLs, faults."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from certs import (
    DeviceSigner,
    dump_private_key,
    generate_ec,
    load_device_certificate,
    parse_certificate_header,
    parse_signed_data,
    verify_device_signature,
)
from mdmserver.simulator.conversation import Endpoint, Loss, ServerAddress
from mdmserver.simulator.errors import ReplyLost, ServerUnreachable
from mdmserver.simulator.identity import IdentityIssuer, shared_keys
from mdmserver.simulator.proof import ClientCertificate, MessageSignature, ProxyHeader
from mdmserver.simulator.transport import Transport

Serve = Callable[..., Any]


class Recorder:
    """Answers everything with `done` and keeps the requests."""

    def __init__(self) -> None:
        self.requests: list[tuple[web.BaseRequest, bytes, bytes | None]] = []
        self.received = asyncio.Event()

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        assert request.transport is not None
        tls = request.transport.get_extra_info("ssl_object")
        self.requests.append((request, body, tls.getpeercert(binary_form=True) if tls else None))
        self.received.set()
        return web.Response(body=b"done")


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def plain_url(recorder: Recorder) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_put("/{path}", recorder.handle)
    async with TestServer(application) as server:
        yield str(server.make_url(""))


@pytest.fixture
async def tls_server(recorder: Recorder, tmp_path: Path, authority: Any) -> AsyncIterator[tuple[str, Path]]:
    """A server that asks for client certificates; its URL and the PEM to trust."""
    pem, ca = _server_certificate(tmp_path), tmp_path / "device-ca.pem"
    ca.write_text(ssl.DER_cert_to_PEM_cert(authority[0]))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ca)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(pem)
    application = web.Application()
    application.router.add_put("/{path}", recorder.handle)
    server = TestServer(application, scheme="https")
    await server.start_server(ssl=context)
    yield str(server.make_url("/mdm")), pem
    await server.close()


def _server_certificate(folder: Path) -> Path:
    key = generate_ec()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(datetime(2024, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2044, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(certificate.public_bytes(Encoding.PEM) + dump_private_key(key))
    return path


async def test_requests_look_like_those_of_devices(recorder: Recorder, plain_url: str, issuer: Any) -> None:
    async with (
        Transport(ServerAddress(command_url=f"{plain_url}/mdm"), proofs=()) as transport,
        transport.open(issuer.issue("d")) as conversation,
    ):
        reply = await conversation.send(Endpoint.COMMAND, b"body")

    request, body, _ = recorder.requests[0]
    assert (reply.status, reply.body, body) == (200, b"done", b"body")
    assert request.method == "PUT"
    assert request.headers["Content-Type"] == "application/x-apple-aspen-mdm; charset=UTF-8"
    assert request.headers["User-Agent"] == "MDM/1.0"
    assert request.headers["Content-Length"] == "4"


async def test_check_ins_go_to_their_own_url_where_there_is_one(
    recorder: Recorder, plain_url: str, issuer: Any
) -> None:
    address = ServerAddress(command_url=f"{plain_url}/mdm", checkin_url=f"{plain_url}/checkin")
    async with Transport(address, proofs=()) as transport, transport.open(issuer.issue("d")) as conversation:
        await conversation.send(Endpoint.CHECKIN, b"")
        await conversation.send(Endpoint.COMMAND, b"")

    assert [request.path for request, *_ in recorder.requests] == ["/checkin", "/mdm"]
    assert recorder.requests[0][0].headers["Content-Type"] == "application/x-apple-aspen-mdm-checkin"


@pytest.mark.parametrize("digest", ["sha1", "sha256"])
@pytest.mark.parametrize("signed_attributes", [True, False])
@pytest.mark.parametrize("kind", ["rsa", "p256"])
async def test_each_kind_of_signature_is_believed(
    digest: Any,
    signed_attributes: bool,
    kind: str,
    recorder: Recorder,
    plain_url: str,
    issuer: Any,
    authority: Any,
    certificates: Any,
) -> None:
    if kind == "p256":
        issuer = IdentityIssuer(
            authority_der=authority[0],
            authority_key=authority[1],
            keys=shared_keys(generate_ec, 1),
            clock=lambda: datetime(2026, 1, 1, tzinfo=UTC),
            new_serial_number=lambda: 9,
        )
    identity = issuer.issue("d")
    proof = MessageSignature(digest=digest, signed_attributes=signed_attributes)
    async with (
        Transport(ServerAddress(command_url=f"{plain_url}/mdm"), proofs=(proof,)) as transport,
        transport.open(identity) as conversation,
    ):
        await conversation.send(Endpoint.COMMAND, b"body")

    request, body, _ = recorder.requests[0]
    signer = verify_device_signature(request.headers["Mdm-Signature"], body, certificates)
    assert signer.der == identity.certificate_der


async def test_a_body_that_repeats_is_signed_once_for_each_device(
    recorder: Recorder, plain_url: str, issuer: Any, certificates: Any
) -> None:
    identities = [issuer.issue("a"), issuer.issue("b")]
    async with Transport(ServerAddress(command_url=f"{plain_url}/mdm"), proofs=(MessageSignature(),)) as transport:
        for identity in identities * 2:
            async with transport.open(identity) as conversation:
                await conversation.send(Endpoint.COMMAND, b"same", repeats=True)

    signers = [
        verify_device_signature(r.headers["Mdm-Signature"], b, certificates).der for r, b, _ in recorder.requests
    ]
    assert signers == [identity.certificate_der for identity in identities * 2]


def test_a_signature_without_attributes_is_over_the_body_itself(issuer: Any) -> None:
    identity = issuer.issue("d")
    header = DeviceSigner(identity.certificate_der, identity.key, digest="sha1", signed_attributes=False).sign(b"body")

    assert parse_signed_data(base64.b64decode(header)).signed_attributes is None


async def test_a_proxys_header_holds_the_certificate(recorder: Recorder, plain_url: str, issuer: Any) -> None:
    identity = issuer.issue("d")
    proof = ProxyHeader(name="X-Cert", style="escaped_pem")
    async with (
        Transport(ServerAddress(command_url=f"{plain_url}/mdm"), proofs=(proof,)) as transport,
        transport.open(identity) as conversation,
    ):
        await conversation.send(Endpoint.COMMAND, b"body")

    assert parse_certificate_header(recorder.requests[0][0].headers["X-Cert"]) == identity.certificate_der


async def test_under_mtls_every_device_presents_its_own_certificate(
    recorder: Recorder, tls_server: tuple[str, Path], issuer: Any
) -> None:
    url, server_ca = tls_server
    identities = [issuer.issue("a"), issuer.issue("b")]
    address = ServerAddress(command_url=url)
    async with Transport(address, proofs=(ClientCertificate(),), server_ca=server_ca) as transport:
        for identity in identities:
            async with transport.open(identity) as conversation:
                await conversation.send(Endpoint.COMMAND, b"body")

    assert [peer for *_, peer in recorder.requests] == [identity.certificate_der for identity in identities]
    assert load_device_certificate(identities[0].certificate_der).subject == "CN=a"


async def test_nothing_of_a_key_stays_on_disk(
    tls_server: tuple[str, Path], issuer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    url, server_ca = tls_server
    before = _modes(tmp_path)
    async with Transport(
        ServerAddress(command_url=url), proofs=(ClientCertificate(),), server_ca=server_ca
    ) as transport:
        async with transport.open(issuer.issue("a")) as conversation:
            await conversation.send(Endpoint.COMMAND, b"body")
        during = _modes(tmp_path)
    after = _modes(tmp_path)

    assert [mode for path, mode in during.items() if path not in before] == [0o700]
    assert after == before


def _modes(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mode & 0o777 for path in folder.rglob("*")}


async def test_a_server_that_is_not_trusted_is_not_spoken_to(
    recorder: Recorder, tls_server: tuple[str, Path], issuer: Any
) -> None:
    async with Transport(ServerAddress(command_url=tls_server[0]), proofs=()) as transport:
        with pytest.raises(ServerUnreachable) as fault:
            async with transport.open(issuer.issue("a")) as conversation:
                await conversation.send(Endpoint.COMMAND, b"body")

    assert fault.value.reason == "tls"
    assert recorder.requests == []


async def test_a_server_that_is_not_there_is_said_to_be_so(issuer: Any) -> None:
    url = f"http://127.0.0.1:{unused_port()}/mdm"
    async with Transport(ServerAddress(command_url=url), proofs=()) as transport:
        with pytest.raises(ServerUnreachable) as fault:
            async with transport.open(issuer.issue("a")) as conversation:
                await conversation.send(Endpoint.COMMAND, b"body")

    assert fault.value.reason == "no connection"


async def test_a_silent_server_is_given_up(issuer: Any) -> None:
    released = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await released.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mdm"
    async with Transport(ServerAddress(command_url=url), proofs=(), timeout_seconds=0.05) as transport:
        with pytest.raises(ServerUnreachable) as fault:
            async with transport.open(issuer.issue("a")) as conversation:
                await conversation.send(Endpoint.COMMAND, b"body")
    released.set()
    server.close()
    await server.wait_closed()

    assert fault.value.reason == "timeout"


@pytest.mark.parametrize("loss", list(Loss))
async def test_when_a_reply_is_lost_the_whole_request_went_out_and_the_connection_is_closed(
    loss: Loss, issuer: Any
) -> None:
    received: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def until_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(len(b"a whole body"))
        if loss is Loss.WHEN_ANSWERED:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nonly the beginning")
        rest = await reader.read()
        received.set_result(head.lower().split(b"content-length: ")[1][:2] + body + rest)
        writer.close()

    server = await asyncio.start_server(until_the_end, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mdm"
    async with Transport(ServerAddress(command_url=url), proofs=()) as transport:
        with pytest.raises(ReplyLost):
            async with transport.open(issuer.issue("a")) as conversation:
                await conversation.send(Endpoint.COMMAND, b"a whole body", loss=loss)
        assert await received == b"12a whole body"
    server.close()
    await server.wait_closed()


async def test_a_reply_cannot_be_lost_by_a_server_that_is_not_there(issuer: Any) -> None:
    url = f"http://127.0.0.1:{unused_port()}/mdm"
    async with Transport(ServerAddress(command_url=url), proofs=()) as transport:
        with pytest.raises(ServerUnreachable) as fault:
            async with transport.open(issuer.issue("a")) as conversation:
                await conversation.send(Endpoint.COMMAND, b"body", loss=Loss.WHEN_SENT)

    assert not isinstance(fault.value, ReplyLost)
