"""Checks of the public way in, from outside: the name, what answers there, what must not."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from mdmserver.cli.check_proof import DeviceEndpoint, StrangerSigner, check_proof
from mdmserver.cli.check_public_tls import check_public_tls
from mdmserver.cli.findings import Finding, Verdict, failure, ok, warning
from mdmserver.cli.probe import NoAnswer, Site, open_site
from mdmserver.config import Config

_OPERATIONS_PATH, _OPERATIONS_MARK = "/metrics", b"mdmserver_"
_PERMANENT_WITH_METHOD = frozenset({307, 308})
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicName:
    """What to check: a URL, and what the server's configuration says of it."""

    url: str
    config: Config
    ca_file: Path | None

    @property
    def host(self) -> str:
        """The name alone."""
        return urlsplit(self.url).hostname or ""

    @property
    def endpoint(self) -> DeviceEndpoint:
        """Where devices speak."""
        identity, listen = self.config.identity, self.config.listen
        proofs = [proof for address, believed in ((listen.http, identity.http), (listen.https, identity.https))
                  if address for proof in believed]  # fmt: skip
        return DeviceEndpoint(
            path=self.config.device.command_path,
            proxy_header=identity.proxy_header,
            believes_signatures="signature" in proofs,
        )


async def check_public(name: PublicName, *, now: datetime) -> AsyncIterator[Finding]:
    """All checks, the later ones only where something of ours answers."""
    yield (resolved := await _resolved(name))
    if resolved.verdict is Verdict.FAILURE:
        return
    async with open_site(name.url) as site:
        async for finding in check_public_tls(site, name.ca_file, now=now):
            yield finding
        yield (answering := await _answering(site))
        if answering.verdict is Verdict.FAILURE:
            return
        signer = await asyncio.to_thread(StrangerSigner, now=now)
        async for finding in check_proof(site, name.endpoint, signer):
            yield finding
        yield await _scep(site)
        yield await _operations(site, name)
        if (redirect := await _plain_http(site, name)) is not None:
            yield redirect


async def _resolved(name: PublicName) -> Finding:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(name.host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        return failure("name", f"{name.host} does not resolve: {error.strerror or error}")
    addresses = sorted({str(address[0]) for *_, address in found})
    return ok("name", f"{name.host} is {', '.join(addresses)}")


async def _answering(site: Site) -> Finding:
    try:
        answer = await site.ask("GET", "/version")
        version = msgspec.json.decode(answer.body, type=dict[str, str])["version"] if answer.status == 200 else None
    except NoAnswer as error:
        return failure("server", f"{site.url} does not answer: {error}")
    except (msgspec.DecodeError, KeyError):
        version = None
    if version is None:
        return failure("server", f"{site.url}/version is answered {answer}, not by mdmserver")
    return ok("server", f"mdmserver {version} answers")


async def _scep(site: Site) -> Finding:
    path = "/scep?operation=GetCACaps"
    try:
        answer = await site.ask("GET", path)
    except NoAnswer as error:
        return failure("scep", f"{path}: {error}")
    if answer.status == 200 and b"POSTPKIOperation" in answer.body:
        return ok("scep", "says what it can do")
    return failure("scep", f"{path} is answered {answer}: pass on {path.partition('?')[0]} with its query")


async def _operations(site: Site, name: PublicName) -> Finding:
    """The operations listener is for monitoring alone: neither behind the public name nor on its host."""
    port = name.config.listen.operations.rpartition(":")[2]
    places = [site.url]
    if name.host not in _LOOPBACK and port:  # on the machine itself it is meant to be reached
        places.append(f"http://{f'[{name.host}]' if ':' in name.host else name.host}:{port}")
    for place in places:
        try:
            answer = await site.ask("GET", _OPERATIONS_PATH, url=place)
        except NoAnswer:
            continue
        if _OPERATIONS_MARK in answer.body:
            return failure("operations", f"{place}{_OPERATIONS_PATH} can be read from here: keep it to the monitoring")
    return ok("operations", "cannot be reached from here")


async def _plain_http(site: Site, name: PublicName) -> Finding | None:
    """What a device finds that is sent to http; None where that says nothing, because a port is named."""
    parts = urlsplit(name.url)
    if parts.scheme != "https" or parts.port is not None:
        return None
    return await check_plain_http(site, f"http://{parts.netloc}", name.endpoint.path)


async def check_plain_http(site: Site, url: str, path: str) -> Finding:
    """A redirect from http to https that keeps the method does no harm."""
    check = "plain http"
    try:
        answer = await site.ask("PUT", path, url=url, body=b"")
    except NoAnswer:
        return ok(check, f"{url} does not answer, which is best")
    if answer.status in _PERMANENT_WITH_METHOD:
        return ok(check, f"{url} redirects and keeps the method ({answer.status})")
    if answer.is_redirect:
        return warning(check, f"{url} is answered {answer}, which makes a GET of a PUT: use 308. Devices that were "
                       "enrolled with the https URL are not concerned")  # fmt: skip
    return warning(check, f"{url}{path} is answered {answer} without TLS: redirect with 308, or close the port")
