"""The real listeners over the real services, on loopback, with a client that reads every answer to its end."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from multidict import CIMultiDictProxy
from yarl import URL

from mdmserver.access.model import Scope
from mdmserver.config import Config, Identity, Listen
from mdmserver.web.app import build_application
from mdmserver.web.listener import ListenerKind
from mdmserver.web.server import serve
from mdmserver.web.services import Services
from tests.fleet import ADMIN, FakeClock, Fleet


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, which must be JSON."""
        return msgspec.json.decode(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningServer:
    """A server, and an administrator's key to it."""

    url: str
    operations_url: str
    services: Services
    clock: FakeClock
    state: Path
    session: aiohttp.ClientSession
    admin_key: str

    async def key(self, *scopes: Scope, expires_at: datetime | None = None) -> str:
        """The text of a new key."""
        _, secret = await self.services.access.create_key(
            name="test", scopes=scopes, expires_at=expires_at, actor=ADMIN
        )
        return secret.reveal()

    async def get(self, path: str, **arguments: Any) -> Answer:
        """GET with the administrator's key."""
        return await self.call("GET", path, key=self.admin_key, **arguments)

    async def post(self, path: str, json: object = None, **arguments: Any) -> Answer:
        """POST with the administrator's key."""
        if json is not None:
            arguments["json"] = json
        return await self.call("POST", path, key=self.admin_key, **arguments)

    async def put(self, path: str, json: object) -> Answer:
        """PUT with the administrator's key."""
        return await self.call("PUT", path, key=self.admin_key, json=json)

    async def delete(self, path: str) -> Answer:
        """DELETE with the administrator's key."""
        return await self.call("DELETE", path, key=self.admin_key)

    async def call(
        self,
        method: str,
        path: str,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        url: str | None = None,
        **arguments: Any,
    ) -> Answer:
        """One request; the path goes out as it is written."""
        sent = dict(headers or {})
        if key is not None:
            sent.setdefault("Authorization", f"Bearer {key}")
        target = URL((url or self.url) + path, encoded=True)
        async with self.session.request(method, target, headers=sent, allow_redirects=False, **arguments) as response:
            return Answer(status=response.status, headers=response.headers, body=await response.read())


@pytest.fixture
async def server(services: Services, fleet: Fleet, clock: FakeClock, tmp_path: Path) -> AsyncIterator[RunningServer]:
    """A running server; its devices are `fleet`."""
    async with running(services, clock, tmp_path) as started:
        yield started


@asynccontextmanager
async def running(services: Services, clock: FakeClock, state: Path) -> AsyncIterator[RunningServer]:
    """The listeners over these services, for the time of the context."""
    config = Config(
        listen=Listen(http="127.0.0.1:0", operations="127.0.0.1:0"),
        # So that a test can come from any address, by X-Forwarded-For.
        identity=Identity(trusted_proxies=("127.0.0.1",)),
    )
    _, admin_key = await services.access.create_key(name="admin", scopes=tuple(Scope), expires_at=None, actor=ADMIN)
    async with (
        serve(config, services, build_application=build_application) as listening,
        aiohttp.ClientSession() as session,
    ):
        urls = {kind: f"http://{host}:{port}" for kind, (host, port) in listening.addresses.items()}
        yield RunningServer(
            url=urls[ListenerKind.HTTP],
            operations_url=urls[ListenerKind.OPERATIONS],
            services=services,
            clock=clock,
            state=state,
            session=session,
            admin_key=admin_key.reveal(),
        )
