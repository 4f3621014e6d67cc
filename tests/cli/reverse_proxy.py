"""A small reverse proxy with one fault at a time, as deployments have them."""

import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from aiohttp import web
from yarl import URL

_OF_THE_CONNECTION = frozenset({"host", "connection", "transfer-encoding", "content-length", "keep-alive"})
CERTIFICATE_HEADER = "X-Client-Certificate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What the proxy does wrong; without any it is a good one, which lets no certificate header of a client pass."""

    passes_certificate_header: bool = False
    passes_underscores: bool = False
    drops: str = ""
    change_body: Callable[[bytes], bytes] = bytes
    longest_field: int = 16 * 1024
    largest_body: int = 16 * 1024 * 1024
    redirects_puts: bool = False
    refuses: frozenset[str] = frozenset()
    own_error_pages: bool = False
    shows_operations_of: str = ""
    demands_password: bool = False
    without_scep: bool = False


@asynccontextmanager
async def proxy_to(upstream: str, faults: Faults) -> AsyncIterator[str]:
    """The proxy's URL."""
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        application = web.Application(client_max_size=faults.largest_body)
        application.router.add_route("*", "/{path:.*}", _Forwarding(session, upstream, faults).handle)
        runner = web.AppRunner(
            application, max_field_size=faults.longest_field, auto_decompress=False, access_log=None, shutdown_timeout=1
        )
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            host, port = runner.addresses[0][:2]
            yield f"http://{host}:{port}"
        finally:
            await runner.cleanup()


class _Forwarding:
    def __init__(self, session: aiohttp.ClientSession, upstream: str, faults: Faults) -> None:
        self._session = session
        self._upstream = upstream
        self._faults = faults

    async def handle(self, request: web.Request) -> web.Response:
        """The upstream's answer, or the proxy's own."""
        if (own := self._own_answer(request)) is not None:
            return own
        upstream = self._upstream
        if request.path == "/metrics" and self._faults.shows_operations_of:
            upstream = self._faults.shows_operations_of
        body = self._faults.change_body(await request.read())
        async with self._session.request(
            request.method,
            URL(upstream + request.raw_path, encoded=True),
            headers=self._passed_on(request),
            data=io.BytesIO(body) if body else None,
            allow_redirects=False,
            skip_auto_headers=("Content-Type", "User-Agent", "Accept", "Accept-Encoding"),
        ) as answer:
            content = await answer.read()
            if self._faults.own_error_pages and answer.status >= 400:
                content = b"<h1>Sorry</h1>"
            return web.Response(status=answer.status, body=content, headers={"Content-Type": answer.content_type})

    def _own_answer(self, request: web.Request) -> web.Response | None:
        faults, is_put = self._faults, request.method == "PUT"
        if request.method in faults.refuses:
            return web.Response(status=405, text="method not allowed")
        if faults.demands_password and is_put:
            return web.Response(status=401, headers={"WWW-Authenticate": "Basic"})
        if faults.redirects_puts and is_put:
            return web.Response(status=301, headers={"Location": f"https://www.example.com{request.path}"})
        if faults.without_scep and request.path == "/scep":
            return web.Response(status=404, text="not found")
        return None

    def _passed_on(self, request: web.Request) -> list[tuple[str, str]]:
        return [(name, value) for name, value in request.headers.items() if self._is_passed_on(name.lower())]

    def _is_passed_on(self, name: str) -> bool:
        certificate = CERTIFICATE_HEADER.lower()
        if name in _OF_THE_CONNECTION or name == self._faults.drops.lower():
            return False
        if name == certificate:
            return self._faults.passes_certificate_header
        if name == certificate.replace("-", "_"):
            return self._faults.passes_underscores
        return True


@asynccontextmanager
async def serving(handler: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[str]:
    """The URL of a server that answers everything with one handler."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
