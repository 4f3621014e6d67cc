"""Devices and operators that keep a server busy, never wait politely, and write down what it acknowledged.

A device whose answer was lost keeps its result and sends it first when the server is back, as real ones do; an
operator whose answer was lost repeats the request with the same idempotency key.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random

import aiohttp

from mdmserver.protocol import EnrollmentID, EnrollmentType, Status
from mdmserver.simulator.identity import Identity
from tests.durability.ledger import Ledger
from tests.journeys.api import Api
from tests.journeys.devices import Device, DeviceFactory, Reply, signed_by

_ANSWERS = (Status.ACKNOWLEDGED,) * 14 + (Status.ERROR,) * 2 + (Status.NOT_NOW,) * 3 + (Status.COMMAND_FORMAT_ERROR,)
GONE = (aiohttp.ClientError, OSError, TimeoutError)


class BusyDevice:
    """A device that goes on across restarts of the server."""

    def __init__(self, udid: str, identity: Identity, ledger: Ledger, random: Random) -> None:
        self.udid = udid
        self._identity = identity
        self._ledger = ledger
        self._random = random
        self._unsent: tuple[str, Status] | None = None

    def at(self, session: aiohttp.ClientSession, url: str) -> Device:
        """The device, talking to this process of the server."""
        return Device(session, url, EnrollmentID(EnrollmentType.DEVICE, self.udid), signed_by(self._identity))

    async def enroll(self, device: Device) -> None:
        """Authenticate and TokenUpdate."""
        if self.udid not in self._ledger.authenticated:
            _succeeded(await device.authenticate())
            self._ledger.authenticated.add(self.udid)
        _succeeded(await device.token_update())
        self._ledger.token_updates[self.udid] += 1

    async def connect(self, device: Device) -> None:
        """Send what is unsent, or Idle, and answer commands until there are none."""
        reply = await self._send_unsent(device) if self._unsent else _succeeded(await device.idle())
        while (uuid := reply.command_uuid) is not None:
            self._ledger.was_served(self.udid, uuid)
            if self._random.random() < 0.1:
                return  # the device went away with the command; it is served again at the next Idle
            status = self._random.choice(_ANSWERS)
            if status is Status.NOT_NOW:
                reply = _succeeded(await device.not_now(uuid))
                self._ledger.not_now[self.udid, uuid] += 1
            else:
                self._unsent = (uuid, status)
                reply = await self._send_unsent(device)

    async def drain(self, device: Device) -> None:
        """Acknowledge until nothing comes any more."""
        reply = await self._send_unsent(device) if self._unsent else _succeeded(await device.idle())
        while (uuid := reply.command_uuid) is not None:
            self._ledger.was_served(self.udid, uuid)
            self._unsent = (uuid, Status.ACKNOWLEDGED)
            reply = await self._send_unsent(device)

    async def _send_unsent(self, device: Device) -> Reply:
        assert self._unsent is not None
        uuid, status = self._unsent
        self._ledger.sent_results[self.udid, uuid] = status
        reply = _succeeded(await device.report(status, uuid))
        self._ledger.results[self.udid, uuid] = status
        self._unsent = None
        return reply


class BusyOperator:
    """Queues commands for some of the devices, again and again."""

    def __init__(self, name: str, udids: Sequence[str], ledger: Ledger, random: Random) -> None:
        self._name = name
        self._udids = udids
        self._ledger = ledger
        self._random = random
        self._number = 0
        self._targets: list[str] = []

    async def enqueue(self, api: Api) -> None:
        """Queue one command; the one before, if it is not known whether it was queued."""
        if not self._targets:
            self._number += 1
            self._targets = self._random.sample(list(self._udids), self._random.randint(1, len(self._udids)))
        uuid = await api.enqueue(*self._targets, idempotency_key=f"{self._name}-{self._number}")
        self._ledger.enqueued |= {(target, uuid) for target in self._targets}
        self._ledger.enqueues += 1
        self._targets = []


class Load:
    """A few devices and operators, and new devices that enroll while they work."""

    def __init__(self, factory: DeviceFactory, key: str, *, seed: int, devices: int = 8, operators: int = 2) -> None:
        self.ledger = Ledger()
        self._factory = factory
        self._key = key
        self._random = Random(seed)
        self._devices = [self._device(number) for number in range(devices)]
        udids = [device.udid for device in self._devices]
        self._operators = [
            BusyOperator(f"operator-{number}", udids, self.ledger, self._random) for number in range(operators)
        ]

    async def enroll(self, url: str) -> None:
        """Enroll the devices that the operators know."""
        async with _session() as session:
            for device in self._devices:
                await device.enroll(device.at(session, url))

    @asynccontextmanager
    async def running(self, url: str) -> AsyncIterator[None]:
        """Everybody works while the block runs; afterwards they are waited for, as the server is gone."""
        async with _session() as session:
            api = Api(session, url, self._key)
            async with asyncio.TaskGroup() as tasks:
                for device in self._devices:
                    tasks.create_task(self._keep_connecting(device, device.at(session, url)))
                for operator in self._operators:
                    tasks.create_task(self._keep_enqueueing(operator, api))
                tasks.create_task(self._keep_enrolling(session, url))
                yield

    async def drain(self, url: str) -> None:
        """Let every device work off its queue."""
        async with _session() as session:
            for operator in self._operators:
                await operator.enqueue(Api(session, url, self._key))
            await asyncio.gather(*(device.drain(device.at(session, url)) for device in self._devices))

    async def _keep_connecting(self, device: BusyDevice, here: Device) -> None:
        await self._until_gone(lambda: device.connect(here))

    async def _keep_enqueueing(self, operator: BusyOperator, api: Api) -> None:
        async def enqueue() -> None:
            await operator.enqueue(api)
            await asyncio.sleep(0.01)  # more would only make queues that nobody can work off

        await self._until_gone(enqueue)

    async def _keep_enrolling(self, session: aiohttp.ClientSession, url: str) -> None:
        async def enroll() -> None:
            newcomer = self._device(self._random.randrange(2**40))
            await newcomer.enroll(newcomer.at(session, url))

        await self._until_gone(enroll)

    async def _until_gone(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            while True:
                await work()
        except GONE:
            self.ledger.unanswered += 1

    def _device(self, number: int) -> BusyDevice:
        udid = f"{number:040X}"
        return BusyDevice(udid, self._factory.identity(udid), self.ledger, self._random)


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20))


def _succeeded(reply: Reply) -> Reply:
    assert reply.status == 200, reply
    return reply
