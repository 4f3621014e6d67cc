"""Starts and stops the configured listeners, and makes what they share."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from ssl import SSLContext

import aiohttp.http_parser
from aiohttp import web

from mdmserver.config import Config, Proof
from mdmserver.web.admission import Admission
from mdmserver.web.body import BodyReader
from mdmserver.web.connection import ConnectionRules
from mdmserver.web.device.identity import IdentityProver
from mdmserver.web.device.surface import DeviceSurface
from mdmserver.web.listener import ListenerKind, Listening
from mdmserver.web.peers import TrustedProxies
from mdmserver.web.services import Services
from mdmserver.web.site import Runner, Site
from mdmserver.web.tls import ServerCertificate

_PARSING_THREADS = 2

ApplicationBuilder = Callable[[ListenerKind, Config, Services, DeviceSurface | None], web.Application]


@asynccontextmanager
async def serve(
    config: Config, services: Services, *, build_application: ApplicationBuilder
) -> AsyncIterator[Listening]:
    """Open the configured listeners, and close them with the block: requests in flight get ten seconds to finish.

    Raises Invalid for a configuration that cannot be served, OSError for an address that cannot be bound.
    """
    check_parser()
    async with AsyncExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(_PARSING_THREADS, thread_name_prefix="parse"))
        shared = _Shared(config, services, pool)
        await stack.enter_async_context(_watching(shared.certificate))
        addresses = {}
        for kind, address in _configured(config).items():
            tls, device = shared.tls(kind), shared.device_surface(kind)
            runner = Runner(build_application(kind, config, services, device), device, shared.rules(kind))
            stack.push_async_callback(runner.cleanup)
            await runner.setup()
            await Site(runner, address, tls=tls, handshake_seconds=config.limits.header_seconds).start()
            addresses[kind] = runner.bound
        yield Listening(addresses=addresses, reload=shared.certificate.reload)


def check_parser() -> None:
    """Raises RuntimeError where aiohttp would read HTTP in Python: slower, and not the parser that was tested."""
    if aiohttp.http_parser.HttpRequestParser is aiohttp.http_parser.HttpRequestParserPy:
        raise RuntimeError("aiohttp's C parser is missing: install its wheel, and unset AIOHTTP_NO_EXTENSIONS")


class _Shared:
    """What the listeners have in common: limits that count together, one certificate, one pool."""

    def __init__(self, config: Config, services: Services, pool: Executor) -> None:
        own = services.own_authorities
        self.certificate = ServerCertificate(config.tls, lambda: [each.authority.certificate_der for each in own.all])
        self._config = config
        self._services = services
        self._admission = _admission(config)
        # Of its own, so that a flood on the other listeners does not blind the monitoring.
        self._operations_admission = _admission(config)
        self._bodies = BodyReader(config.limits)
        self._pool = pool

    def rules(self, kind: ListenerKind) -> ConnectionRules:
        """The rules for a listener's connections."""
        admission = self._admission if kind.serves_devices else self._operations_admission
        return ConnectionRules(kind=kind, limits=self._config.limits, admission=admission)

    def tls(self, kind: ListenerKind) -> SSLContext | None:
        """A listener's TLS context; raises Invalid."""
        match kind:
            case ListenerKind.HTTPS:
                return self.certificate.context()
            case ListenerKind.MTLS:
                return self.certificate.device_context(self._config.device_ca)
            case _:
                return None

    def device_surface(self, kind: ListenerKind) -> DeviceSurface | None:
        """A listener's device endpoints, with the proofs that it believes."""
        if not kind.serves_devices:
            return None
        prover = IdentityProver(
            _proofs(self._config)[kind],
            proxy_header=self._config.identity.proxy_header,
            certificates=self._services.certificates,
            authorities=self._services.authorities,
            clock=self._services.clock,
        )
        return DeviceSurface(
            listener=kind,
            device=self._config.device,
            limits=self._config.limits,
            prover=prover,
            bodies=self._bodies,
            pool=self._pool,
            checkin=self._services.checkin,
            exchange=self._services.exchange,
            metrics=self._services.metrics,
            fingerprint=self._services.fingerprint,
        )


def _admission(config: Config) -> Admission:
    return Admission(
        connections=config.limits.connections,
        unproven_per_address=config.limits.unauthenticated_per_address,
        proxies=TrustedProxies(config.identity.trusted_proxies),
    )


def _proofs(config: Config) -> Mapping[ListenerKind, Sequence[Proof]]:
    return {
        ListenerKind.HTTPS: config.identity.https,
        ListenerKind.MTLS: config.identity.mtls,
        ListenerKind.HTTP: config.identity.http,
    }


def _configured(config: Config) -> dict[ListenerKind, str]:
    listen = config.listen
    addresses = {
        ListenerKind.HTTPS: listen.https,
        ListenerKind.MTLS: listen.mtls,
        ListenerKind.HTTP: listen.http,
        ListenerKind.OPERATIONS: listen.operations,
    }
    return {kind: address for kind, address in addresses.items() if address}


@asynccontextmanager
async def _watching(certificate: ServerCertificate) -> AsyncIterator[None]:
    watch = asyncio.create_task(certificate.watch())
    try:
        yield
    finally:
        watch.cancel()
        with suppress(asyncio.CancelledError):
            await watch
