"""The simulated iPhone, iPad and Mac of the demonstration, and the persons who hold them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from mdmserver.cli.simulate_reach import reach
from mdmserver.clock import utc_now
from mdmserver.simulator.apns_listener import Wakes, listening
from mdmserver.simulator.applicant import Applicant
from mdmserver.simulator.apps import MANAGED_CONFIGURATION
from mdmserver.simulator.building import DeviceBuilder
from mdmserver.simulator.condition import Condition
from mdmserver.simulator.device import Habits, SimulatedDevice
from mdmserver.simulator.facts import Platform
from mdmserver.simulator.fleet import Fleet, Pace
from mdmserver.simulator.identity import RSAKeys
from mdmserver.simulator.measures import Tally
from mdmserver.simulator.proof import MessageSignature
from mdmserver.simulator.scep import SCEPClient
from mdmserver.simulator.transport import Transport

TOKEN_KEY = "PINGID_MDM_TOKEN"
_APP = "com.pingidentity.pingid.prod"
_MAC_DOMAIN = "com.pingidentity.pingid"
_SEED = 1
_PLATFORMS = (Platform.IPHONE, Platform.IPAD, Platform.MAC)
OFFLINE = Condition(is_reachable=False)
LID_CLOSED = Condition(is_in_power_nap=True)


class DemoDevices:
    """Three devices that enroll when told to, and from then on connect when they are pushed."""

    def __init__(self, devices: list[SimulatedDevice], transport: Transport, fleet: Fleet, wakes: Wakes) -> None:
        self.iphone, self.ipad, self.mac = devices
        self._transport = transport
        self._fleet = fleet
        self._wakes = wakes
        self._stop = asyncio.Event()

    async def enroll(self, device: SimulatedDevice, invitation: str) -> None:
        """Open the invitation on the device and install its profile. Raises EnrollmentRefused and the like."""
        device.invitation = invitation
        await device.enroll(self._transport)
        self._wakes.wake(device)  # a push that came before its last answer found it not enrolled yet

    @asynccontextmanager
    async def connecting(self) -> AsyncIterator[None]:
        """Devices that are enrolled react to pushes for the time of the block."""
        task = asyncio.create_task(self._fleet.run_when_pushed(self._wakes, self._stop))
        try:
            yield
        finally:
            self._stop.set()
            await task

    def hold(self, device: SimulatedDevice, condition: Condition) -> None:
        """Leave the device in this condition."""
        self._fleet.held[device] = condition

    def let_go(self, device: SimulatedDevice) -> None:
        """The device is awake and in a network again, and connects by itself."""
        del self._fleet.held[device]
        self._wakes.wake(device)

    def token(self, device: SimulatedDevice) -> Any:
        """What PingID on this device finds: on a Mac in its preference domain; None where there is nothing."""
        installed = device.channel.installed
        if device.facts.platform is Platform.MAC:
            return installed.preferences().get(_MAC_DOMAIN, {}).get(TOKEN_KEY)
        return installed.apps.defaults(_APP).get(MANAGED_CONFIGURATION, {}).get(TOKEN_KEY)


@asynccontextmanager
async def demo_devices(*, feed: tuple[str, int], reaction_seconds: float) -> AsyncIterator[DemoDevices]:
    """The devices, new and not enrolled, and what tells them of pushes. Raises FeedUnreachable."""
    tally = Tally()
    applicant = Applicant(
        keys=RSAKeys(shared=None),
        scep=SCEPClient(clock=utc_now, pause=asyncio.sleep, lost=tally.lost_reply),
        may_visit=reach(allow_remote=False),
    )
    builder = DeviceBuilder(seed=_SEED, tally=tally, habits=Habits(), applicant=applicant)
    devices = builder.draw(range(len(_PLATFORMS)), platforms=_PLATFORMS, topic="")
    wakes = Wakes(devices, tally)
    pace = Pace(interval_seconds=1, reaction_seconds=reaction_seconds)
    async with (
        listening(*feed, wakes.heard),
        Transport(None, proofs=(MessageSignature(),), took=tally.took) as transport,
    ):
        random = Random(_SEED)  # noqa: S311 — chance, not secrets
        yield DemoDevices(devices, transport, Fleet(devices, transport, tally=tally, pace=pace, random=random), wakes)
