"""The connector to mdmcert.download against a stand-in on loopback."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from certs import (
    Authority,
    CertificateProfile,
    create_encryption_certificate,
    dump_private_key,
    generate_rsa,
    mdmcert_request,
    push_csr,
)
from certs.pem import encode_certificate
from mdmserver.connectors.mdmcert import MAX_ANSWER_BYTES, MdmcertGateway
from mdmserver.errors import Invalid, Unavailable
from mdmserver.push.ports import PushRequestSigner
from mdmserver.secret import Secret

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
API_KEY = "a key that must not travel far"

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@cache
def request_parts() -> tuple[bytes, bytes]:
    """A request and an encryption certificate, made once: keys are slow."""
    key = generate_rsa()
    times = {"not_before": NOW, "not_after": NOW + timedelta(days=365)}
    return (
        push_csr(key, common_name="Example", country="DE", email="mdm@example.com"),
        create_encryption_certificate(key, serial_number=1, **times),
    )


def tls(folder: Path) -> tuple[str, ssl.SSLContext]:
    """A CA that nobody knows, in PEM, and a server for 127.0.0.1 that it certified."""
    start, decades = datetime(2024, 1, 1, tzinfo=UTC), timedelta(days=36_500)
    key = generate_rsa()
    authority = Authority.create(
        common_name="CA of the test", key=key, not_before=start, not_after=start + decades, serial_number=1
    )
    profile = CertificateProfile(
        common_name="127.0.0.1",
        server_names=("127.0.0.1",),
        lifetime=decades,
        extended_key_usages=("1.3.6.1.5.5.7.3.1",),
    )
    leaf = authority.issue(key.public_key(), profile, 2, start)
    chain, key_file = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(encode_certificate(leaf))
    key_file.write_bytes(dump_private_key(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key_file)
    return encode_certificate(authority.certificate_der).decode(), context


class StandIn:
    """Answers as it is told and keeps what it was sent."""

    def __init__(self) -> None:
        self.answer: Answer = self._success
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((dict(request.headers), await request.read()))
        return await self.answer(request)

    def answers(self, body: Any, *, status: int = 200) -> None:
        async def answer(_request: web.Request) -> web.StreamResponse:
            return (
                web.Response(status=status, body=body)
                if isinstance(body, bytes)
                else web.json_response(body, status=status)
            )

        self.answer = answer

    async def _success(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response({"result": "success"})


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    made = StandIn()
    app = web.Application()
    app.router.add_post("/api/v1/signrequest", made.handle)
    app.router.add_post("/elsewhere", made.handle)
    async with TestServer(app, host="127.0.0.1") as server:
        made.url = str(server.make_url("/api/v1/signrequest"))
        yield made


async def ask(url: str, *, csr: bytes | None = None, **options: Any) -> None:
    signer: PushRequestSigner = MdmcertGateway(url=url, **options)
    csr_der, certificate = request_parts()
    await signer.sign_request(
        csr_der=csr or csr_der,
        email="mdm@example.com",
        encryption_certificate=certificate,
        api_key=Secret(API_KEY),
    )


async def test_request_arrives_as_the_service_expects_it(stand_in: StandIn) -> None:
    await ask(stand_in.url)

    csr, certificate = request_parts()
    ((headers, body),) = stand_in.requests
    assert headers["User-Agent"] == "micromdm/certhelper"
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == mdmcert_request(
        csr, email="mdm@example.com", encryption_certificate=certificate, api_key=API_KEY
    )


@pytest.mark.parametrize("status", [200, 400, 403, 500])
async def test_refusal_is_told_in_the_services_words(stand_in: StandIn, status: int) -> None:
    stand_in.answers({"result": "failure", "reason": "no account for mdm@example.com"}, status=status)

    with pytest.raises(Invalid, match=r"no account for mdm@example\.com"):
        await ask(stand_in.url)


async def test_refusal_without_a_reason_is_a_refusal(stand_in: StandIn) -> None:
    stand_in.answers({"result": "failure", "reason": 7})

    with pytest.raises(Invalid, match="no reason"):
        await ask(stand_in.url)


async def test_reason_cannot_drive_a_terminal_nor_fill_a_log(stand_in: StandIn) -> None:
    stand_in.answers({"result": "failure", "reason": "\x1b[2J\n\u202e" + "x" * 10_000})

    with pytest.raises(Invalid) as caught:
        await ask(stand_in.url)

    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("status", [301, 302, 307, 308, 408, 429, 500, 502, 503])
async def test_status_that_says_nothing_about_the_request_is_unavailable(stand_in: StandIn, status: int) -> None:
    stand_in.answers(b"", status=status)

    with pytest.raises(Unavailable, match=str(status)):
        await ask(stand_in.url)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_status_that_blames_the_request_is_invalid(stand_in: StandIn, status: int) -> None:
    stand_in.answers(b"<html>", status=status)

    with pytest.raises(Invalid, match=str(status)):
        await ask(stand_in.url)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"result": "maybe"}', b"\xff", b"[" * 50_000, b'{"result": ["success"]}']
)
async def test_answer_that_promises_nothing_is_unavailable(stand_in: StandIn, body: bytes) -> None:
    stand_in.answers(body)

    with pytest.raises(Unavailable, match="not that it will sign"):
        await ask(stand_in.url)


async def test_answer_that_never_ends_is_cut_off(stand_in: StandIn) -> None:
    sent = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 65_536)
            sent += 65_536

    stand_in.answer = answer

    with pytest.raises(Unavailable, match=f"more than {MAX_ANSWER_BYTES} bytes"):
        await ask(stand_in.url)

    assert sent < 64 * 1024 * 1024


async def test_redirect_is_not_followed_with_the_api_key(stand_in: StandIn) -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        raise web.HTTPTemporaryRedirect("/elsewhere")

    stand_in.answer = answer

    with pytest.raises(Unavailable):
        await ask(stand_in.url)

    assert len(stand_in.requests) == 1


async def test_service_that_does_not_answer_is_unavailable_after_the_time_out(stand_in: StandIn) -> None:
    never = asyncio.Event()

    async def answer(_request: web.Request) -> web.StreamResponse:
        await never.wait()
        return web.Response()

    stand_in.answer = answer

    with pytest.raises(Unavailable, match=r"0\.2 seconds"):
        await ask(stand_in.url, timeout_seconds=0.2)
    never.set()


async def test_service_that_cannot_be_reached_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="cannot be asked"):
        await ask(f"http://127.0.0.1:{unused_port()}/")


async def test_certificate_of_the_service_is_verified(stand_in: StandIn, tmp_path: Path) -> None:
    app = web.Application()
    app.router.add_post("/", stand_in.handle)
    authority_pem, server_context = tls(tmp_path)
    server = TestServer(app, host="127.0.0.1", scheme="https")
    await server.start_server(ssl=server_context)
    try:
        url = str(server.make_url("/"))
        with pytest.raises(Unavailable, match="cannot be asked"):
            await ask(url)
        assert not stand_in.requests

        await ask(url, tls=ssl.create_default_context(cadata=authority_pem))
        assert len(stand_in.requests) == 1
    finally:
        await server.close()


async def test_request_that_is_none_is_not_sent(stand_in: StandIn) -> None:
    with pytest.raises(Invalid):
        await ask(stand_in.url, csr=b"garbage")

    assert not stand_in.requests


async def test_no_error_repeats_the_api_key(stand_in: StandIn) -> None:
    for body, status in (({"result": "failure"}, 200), (b"", 500), (b"", 404)):
        stand_in.answers(body, status=status)
        with pytest.raises((Invalid, Unavailable)) as caught:
            await ask(stand_in.url)
        assert API_KEY not in str(caught.value)
