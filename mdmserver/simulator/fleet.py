"""Many simulated devices at once, paced: enroll them, then let them connect until told to stop.

Where there is no push, devices connect by themselves, each at its own moments around the interval. Where there is,
they connect when pushed; one that is offline does so later, and one that was locked, or whose result was not taken,
comes back by itself. A push that comes while its device is connected makes it connect once more.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from mdmserver.simulator.apns_listener import Wakes
from mdmserver.simulator.condition import Condition
from mdmserver.simulator.device import SimulatedDevice
from mdmserver.simulator.errors import CommandUnreadable, EnrollmentRefused, ServerRefused, ServerUnreachable
from mdmserver.simulator.facts import Platform
from mdmserver.simulator.measures import Tally
from mdmserver.simulator.transport import Transport

JITTER = 0.5
"""A pause is the interval, more or less by up to this share of it."""
OFFLINE_INTERVALS = (2, 10)
"""How many intervals a device stays offline: from, to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast a fleet goes; `locked` is the share of connects that find the device locked or in Power Nap.

    A pushed device connects within `reaction_seconds`, unless it is in the share that is `offline` at that moment.
    """

    concurrency: int = 32
    interval_seconds: float = 2
    locked: float = 0
    offline: float = 0
    reaction_seconds: float = 0.5


class Fleet:
    """The devices, the way to their server and the pace; `tally` counts what happens.

    The condition of a device in `held` is that one; of all others it is drawn each time.
    """

    def __init__(
        self, devices: Sequence[SimulatedDevice], transport: Transport, *, tally: Tally, pace: Pace, random: Random
    ) -> None:
        self.devices = devices
        self.held: dict[SimulatedDevice, Condition] = {}
        self._transport = transport
        self._tally = tally
        self._pace = pace
        self._random = random
        self._slots = asyncio.Semaphore(pace.concurrency)
        self._awake: set[SimulatedDevice] = set()
        self._pushed_again: set[SimulatedDevice] = set()

    async def enroll(self, stop: asyncio.Event, enrolled: Callable[[], None] = lambda: None) -> None:
        """Enroll the devices that are not; `enrolled` is called for each. Ends early when `stop` is set.

        The first device goes alone and raises EnrollmentRefused, ServerRefused or ServerUnreachable; of the others
        this is counted.
        """
        waiting = [device for device in self.devices if not device.is_enrolled]
        if waiting:
            await self._enroll(waiting[0], enrolled)
        async with asyncio.TaskGroup() as tasks:
            for device in waiting[1:]:
                tasks.create_task(self._enroll_counted(device, stop, enrolled))

    async def connect_once(self, stop: asyncio.Event) -> None:
        """Let every device connect one time."""
        async with asyncio.TaskGroup() as tasks:
            for device in self.devices:
                tasks.create_task(self._connect(device, stop))

    async def run(self, stop: asyncio.Event) -> None:
        """Let the devices connect again and again until `stop` is set; a connect that has begun is finished."""
        async with asyncio.TaskGroup() as tasks:
            for device in self.devices:
                tasks.create_task(self._live(device, stop))

    async def run_when_pushed(self, wakes: Wakes, stop: asyncio.Event) -> None:
        """Let devices connect when they are pushed until `stop` is set; a connect that has begun is finished."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_close_at(stop, wakes))
            while (device := await wakes.next()) is not None:
                if device in self._awake:
                    self._pushed_again.add(device)
                else:
                    self._awake.add(device)
                    tasks.create_task(self._react(device, stop))

    async def _react(self, device: SimulatedDevice, stop: asyncio.Event) -> None:
        await _pause(stop, self._seconds_to_react())
        while not stop.is_set():
            await self._connect(device, stop)
            if device in self._pushed_again:
                continue
            if not _comes_back(device):
                break
            await _pause(stop, self._pace.interval_seconds)
        self._awake.discard(device)

    def _seconds_to_react(self) -> float:
        if self._random.random() < self._pace.offline:
            return self._pace.interval_seconds * self._random.uniform(*OFFLINE_INTERVALS)
        return self._pace.reaction_seconds * self._random.random()

    async def _live(self, device: SimulatedDevice, stop: asyncio.Event) -> None:
        interval = self._pace.interval_seconds
        await _pause(stop, self._random.random() * interval)
        while device.is_enrolled and not stop.is_set():
            await self._connect(device, stop)
            await _pause(stop, interval * self._random.uniform(1 - JITTER, 1 + JITTER))

    async def _enroll_counted(self, device: SimulatedDevice, stop: asyncio.Event, enrolled: Callable[[], None]) -> None:
        async with self._slots:
            if stop.is_set():
                return
            try:
                await self._enroll(device, enrolled)
            except (EnrollmentRefused, ServerRefused, ServerUnreachable) as error:
                self._count(error)

    async def _enroll(self, device: SimulatedDevice, enrolled: Callable[[], None]) -> None:
        await device.enroll(self._transport)
        self._tally.enrolled += 1
        enrolled()

    async def _connect(self, device: SimulatedDevice, stop: asyncio.Event) -> None:
        async with self._slots:
            self._pushed_again.discard(device)
            if stop.is_set() or not device.is_enrolled:
                return
            device.condition = self.held.get(device) or self._draw_condition(device.facts.platform)
            self._tally.connects += 1
            try:
                await device.connect(self._transport)
            except (ServerRefused, ServerUnreachable, CommandUnreadable) as error:
                self._count(error)

    def _draw_condition(self, platform: Platform) -> Condition:
        is_locked = self._random.random() < self._pace.locked
        is_in_power_nap = is_locked and platform is Platform.MAC and self._random.random() < 0.5
        return Condition(is_locked=is_locked, is_in_power_nap=is_in_power_nap)

    def _count(self, error: EnrollmentRefused | ServerRefused | ServerUnreachable | CommandUnreadable) -> None:
        match error:
            case ServerRefused():
                self._tally.errors[f"status {error.status}"] += 1
            case ServerUnreachable() | EnrollmentRefused():
                self._tally.errors[error.reason] += 1
            case CommandUnreadable():
                self._tally.errors["unreadable command"] += 1


def _comes_back(device: SimulatedDevice) -> bool:
    """Whether a device connects again without being pushed: once unlocked, or to send what was not taken."""
    has_more = device.owes_check_in or any(channel.unsent is not None for channel in device.channels)
    return device.is_enrolled and (device.condition.is_locked or has_more)


async def _close_at(stop: asyncio.Event, wakes: Wakes) -> None:
    await stop.wait()
    wakes.close()


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
