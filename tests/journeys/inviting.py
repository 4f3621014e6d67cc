"""A server that invites, over HTTP on a free port, and a fleet of simulated devices that accept and renew."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from random import Random

from aiohttp.test_utils import unused_port
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from mdmserver.audit.model import Actor, ActorKind
from mdmserver.commands.request import CommandRequest
from mdmserver.config import CA, Config, Listen, Server
from mdmserver.devices.identity import IdentityState
from mdmserver.protocol import CommandUUID
from mdmserver.secret import Secret
from mdmserver.simulator.applicant import Applicant
from mdmserver.simulator.building import DeviceBuilder
from mdmserver.simulator.device import Habits, SimulatedDevice
from mdmserver.simulator.facts import Platform
from mdmserver.simulator.fleet import Fleet, Pace
from mdmserver.simulator.identity import RSAKeys
from mdmserver.simulator.measures import Tally
from mdmserver.simulator.proof import MessageSignature
from mdmserver.simulator.scep import SCEPClient
from mdmserver.simulator.transport import Transport
from mdmserver.transaction import Storage
from mdmserver.web.app import build_application
from mdmserver.web.server import serve
from tests.certs.scep_parties import rsa_key
from tests.enrollment.world import World, give_authority, open_world
from tests.fleet import FakeClock

CERTIFICATE_DAYS = 1
KEYS = 4
USUAL = Habits()
ADMIN = Actor(kind=ActorKind.KEY, name="tests")


@dataclass(frozen=True, slots=True, kw_only=True)
class InvitingServer:
    """The world behind the server, and the way to it for simulated devices."""

    world: World
    url: str
    transport: Transport
    tally: Tally

    async def invitation(self, *, uses: int = 1) -> str:
        """The URL of a new invitation."""
        _, token = await self.world.invite(uses=uses)
        return self.world.services.enrollment.page_url(Secret(token)).reveal()

    def invited(
        self,
        number: int,
        invitation: str,
        *,
        habits: Habits = USUAL,
        platforms: tuple[Platform, ...] = tuple(Platform),
    ) -> list[SimulatedDevice]:
        """Devices that have this invitation and share a few keys."""
        applicant = Applicant(
            keys=RSAKeys(shared=KEYS, make=keys_made_before()),
            scep=SCEPClient(clock=self.world.clock, pause=no_pause, lost=self.tally.lost_reply),
        )
        builder = DeviceBuilder(seed=7, tally=self.tally, habits=habits, applicant=applicant)
        devices = builder.draw(range(number), platforms=platforms, topic="")
        for device in devices:
            device.invitation = invitation
        return devices

    def fleet(self, devices: list[SimulatedDevice]) -> Fleet:
        """These devices, with the way to this server."""
        return Fleet(devices, self.transport, tally=self.tally, pace=Pace(concurrency=4), random=Random(9))

    async def enrolled(self, number: int, *, habits: Habits = USUAL) -> list[SimulatedDevice]:
        """Devices that have enrolled by one invitation."""
        devices = self.invited(number, await self.invitation(uses=number), habits=habits)
        for device in devices:
            await device.enroll(self.transport)
        return devices

    async def send(self, device: SimulatedDevice, **command: str) -> CommandUUID:
        """Queue a command for the device; its uuid."""
        sent = await self.world.services.commands.enqueue(
            CommandRequest(payload=command), [device.facts.udid], actor=ADMIN
        )
        return sent.uuid

    async def certificates(self, device: SimulatedDevice) -> dict[bytes, IdentityState]:
        """The device's certificates, as the server has them."""
        row = await self.world.services.devices.resolve(device.facts.udid)
        found = await self.world.storage.read(
            lambda tx: tx.fetch_all("SELECT certificate, state FROM identity WHERE enrollment_id = ?", row)
        )
        return {bytes(certificate): IdentityState(state) for certificate, state in found}

    async def renewals(self, device: SimulatedDevice) -> list[str]:
        """What became of the device's renewals, oldest first."""
        return [item.state.value for item in (await self.world.fleet.items(device.channel.enrollment_id)).values()]


@asynccontextmanager
async def inviting_server(storage: Storage, keys: Path, clock: FakeClock) -> AsyncIterator[InvitingServer]:
    """Start it: certificates are good for a day, and nothing happens but by request. It ends with the block."""
    port = unused_port()
    url = f"http://127.0.0.1:{port}"
    config = Config(
        server=Server(url=url),
        listen=Listen(http=f"127.0.0.1:{port}", operations=""),
        ca=CA(certificate_days=CERTIFICATE_DAYS, renewals_per_minute=6000),
    )
    world = await open_world(storage, keys, clock, config)
    await give_authority(world)
    async with (
        serve(config, world.services, build_application=build_application),
        Transport(None, proofs=(MessageSignature(),)) as transport,
    ):
        yield InvitingServer(world=world, url=url, transport=transport, tally=Tally())


async def no_pause(seconds: float) -> None:
    """Waits for nothing."""


def keys_made_before() -> Callable[[int], RSAPrivateKey]:
    """Gives one key after the other that all tests of a run have in common."""
    numbers = count()
    return lambda bits: rsa_key(f"simulated {next(numbers)}", bits)
