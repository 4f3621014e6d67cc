"""The real server on a free loopback port, in this process: real storage in a temporary directory, real listeners."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mdmserver.access.model import Scope
from mdmserver.audit.model import Actor, ActorKind
from mdmserver.bootstrap import open_services
from mdmserver.clock import Clock, utc_now
from mdmserver.config import Config, Device, DeviceCA, Limits, Listen
from mdmserver.storage.vault_keys import add_wrapping_key
from mdmserver.web.app import build_application
from mdmserver.web.listener import ListenerKind
from mdmserver.web.server import serve
from mdmserver.web.services import Services
from tests.journeys.devices import DeviceFactory

DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningServer:
    """Where the server is, what opens its API, and whose certificates it trusts."""

    url: str
    key: str
    devices: DeviceFactory
    services: Services
    state: Path


@asynccontextmanager
async def running_server(
    state: Path,
    *,
    reenrollment: Literal["allow", "ask"] = "ask",
    user_authenticate: Literal["decline", "zero_digest"] = "decline",
    limits: Limits = DEFAULT_LIMITS,
    clock: Clock = utc_now,
) -> AsyncIterator[RunningServer]:
    """Start a server with a new device CA; everything ends with the block."""
    add_wrapping_key(state / "keys")
    devices = DeviceFactory.with_new_authority()
    authority = state / "device-ca.pem"
    authority.write_bytes(devices.authority_pem)
    config = Config(
        listen=Listen(http="127.0.0.1:0", operations=""),
        device=Device(user_authenticate=user_authenticate),
        limits=limits,
        device_ca=(DeviceCA(name="tests", certificates=str(authority), reenrollment=reenrollment),),
    )
    async with (
        open_services(config, state, clock=clock) as services,
        serve(config, services, build_application=build_application) as listening,
    ):
        host, port = listening.addresses[ListenerKind.HTTP]
        actor = Actor(kind=ActorKind.CLI, name="tests")
        _, secret = await services.access.create_key(name="tests", scopes=Scope, expires_at=None, actor=actor)
        yield RunningServer(
            url=f"http://{host}:{port}", key=secret.reveal(), devices=devices, services=services, state=state
        )
