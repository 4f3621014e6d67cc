"""One listener: an address, the application behind bounded connections, and the device endpoints in front of it."""

import asyncio
from ssl import SSLContext

from aiohttp import web

from mdmserver.errors import Invalid
from mdmserver.web.connection import BoundedServer, ConnectionRules, RequestHandler
from mdmserver.web.device.surface import DeviceSurface

_SHUTDOWN_SECONDS = 10.0
_BACKLOG = 1024
_TLS_CLOSING_SECONDS = 5.0
_UNIX = "unix:"


class Runner(web.AppRunner):
    """Runs an application; `cleanup` closes its listener and gives requests in flight ten seconds to finish."""

    def __init__(self, application: web.Application, device: DeviceSurface | None, rules: ConnectionRules) -> None:
        super().__init__(application, shutdown_timeout=_SHUTDOWN_SECONDS)
        self._device = device
        self._rules = rules

    @property
    def bound(self) -> tuple[str, int]:
        """The address that is listened on; of a unix socket the path, and port 0."""
        address = self.addresses[0]
        return (address, 0) if isinstance(address, str) else (address[0], address[1])

    async def _make_server(self) -> web.Server:
        inner = await super()._make_server()
        return BoundedServer(_dispatch(self._device, inner.request_handler), inner, self._rules)


class Site(web.BaseSite):
    """An address, `host:port` or `unix:path`. Unlike aiohttp's sites it gives a TLS handshake only so much time."""

    def __init__(self, runner: Runner, address: str, *, tls: SSLContext | None, handshake_seconds: float) -> None:
        super().__init__(runner, ssl_context=tls, backlog=_BACKLOG)
        self._address = address
        self._handshake_seconds = handshake_seconds

    @property
    def name(self) -> str:
        """The configured address."""
        return self._address

    async def start(self) -> None:
        """Bind and listen. Raises Invalid for what is no address, OSError for one that cannot be bound."""
        await super().start()
        loop, server = asyncio.get_running_loop(), self._runner.server
        assert server is not None
        if self._address.startswith(_UNIX):
            path = self._address.removeprefix(_UNIX)
            self._server = await loop.create_unix_server(server, path, backlog=self._backlog)
            return
        host, port = _host_and_port(self._address)
        tls = self._ssl_context
        self._server = await loop.create_server(
            server,
            host,
            port,
            ssl=tls,
            backlog=self._backlog,
            ssl_handshake_timeout=None if tls is None else self._handshake_seconds,
            ssl_shutdown_timeout=None if tls is None else _TLS_CLOSING_SECONDS,
        )


def _dispatch(device: DeviceSurface | None, application: RequestHandler) -> RequestHandler:
    """Device paths go to the device surface alone: no router, no middleware, no other kind of answer."""
    if device is None:
        return application
    paths = device.paths

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if request.path in paths:
            return await device.handle(request)
        return await application(request)

    return handle


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise Invalid(f"configuration: {address!r} is neither host:port nor unix:path", code="invalid_configuration")
    return host.removeprefix("[").removesuffix("]"), int(port)
