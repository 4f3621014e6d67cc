"""The sender against a model: after a walk of random events each device was told of all it was asked for, and once.

The model is written from the words of the issue: it knows asks, tokens and times, and of pushes what reached APNs.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random

import pytest

from mdmserver.push.model import Notification, Outcome
from mdmserver.push.sender import CLAIM_TIME
from mdmserver.push.topics import SUSPECT_PUSHES
from tests.fleet import ADMIN, TOPIC
from tests.push.bench import Bench, token
from tests.push.certificate_bench import certificates_of
from tests.push.failing_storage import FailingStorage
from tests.push.fake_gateway import ACCEPTED, NO_ANSWER, SERVER_ERROR, UNREGISTERED, FakeGateway

# Fewer than may try while APNs is silent: a turn in which all of those are held would wait for their answers.
DEVICES = range(1, SUSPECT_PUSHES)
AGAIN_AFTER = timedelta(minutes=15)
FORBIDDEN = Outcome(status=403, reason="BadCertificateEnvironment")
WEATHER = {"fine": None, "silent": NO_ANSWER, "failing": SERVER_ERROR, "forbidding": FORBIDDEN}
EVENTS = (
    *("ask",) * 4, *("turn",) * 6, *("wait",) * 3, *("hold",) * 2, *("calm",) * 2, "ask for later", "weather",
    "weather", "answer", "put off", "token", "token", "die", "connect", "long wait", "storage", "resume", "crash",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """A cause for waking, or a push that APNs took: its place in the order of all, and when it counts."""

    place: int
    at: datetime
    token: bytes = b""
    apns_id: str = ""


@dataclass(slots=True)
class ModelDevice:
    """A device: its present token, whether something is open for it, why it is to be woken, and how it was."""

    token: bytes | None = None
    is_open: bool = False
    answered: int = 0
    """Up to which place everything was answered."""
    resumed: list[datetime] = field(default_factory=list)
    causes: list[Happened] = field(default_factory=list)
    taken: list[Happened] = field(default_factory=list)


class WalkGateway(FakeGateway):
    """Notes when each push came."""

    def __init__(self, walk: "Walk") -> None:
        super().__init__()
        self._walk = walk

    async def push(self, topic: str, notification: Notification) -> Outcome:
        """Note it, and answer by the weather."""
        arrived = self._walk.happened(token=notification.token.reveal(), apns_id=notification.apns_id)
        outcome = await super().push(topic, notification)
        if outcome.is_accepted:
            self._walk.took(arrived)
        return outcome


class Walk:
    """One walk; `crashes` lets the process die now and then."""

    def __init__(self, bench: Bench, seed: int, *, crashes: bool) -> None:
        self.bench = bench
        self.random = Random(seed)
        self.crashes = crashes
        self.weather = "fine"
        self.dead: set[bytes] = set()
        self.devices = {number: ModelDevice() for number in DEVICES}
        self.storage = FailingStorage(bench.storage)
        self.troubled_since: datetime | None = None
        self.sent = 0
        self.places = 0
        bench.gateway = WalkGateway(self)
        bench.gateway.answer(self._answered)

    async def begin(self) -> None:
        """Half of the devices are enrolled; the others are on their way."""
        self.bench.sender = self.bench.new_sender(storage=self.storage)
        self.certificates = certificates_of(self.bench)
        await self.certificates.install_for(TOPIC)
        for number in DEVICES:
            await self.bench.authenticate(number)
            if number % 2:
                await self.new_token(number)

    async def step(self) -> None:
        """One event."""
        number, event = self.random.choice(DEVICES), self.random.choice(EVENTS)
        device, clock = self.devices[number], self.bench.clock
        match event:
            case "ask":
                await self.bench.queue(number)
                self._caused(number, clock())
            case "ask for later":
                later = clock() + timedelta(minutes=self.random.uniform(0.1, 40))
                await self.bench.queue(number, not_before=later)
                self._caused(number, later)
            case "answer":
                await self.bench.answer_all(number)
                device.is_open, device.answered = False, self.places
            case "put off":
                await self.bench.put_off(number)
            case "token":
                await self.new_token(number)
            case "die" if device.token is not None:
                self.dead.add(device.token)
            case "connect":
                await self.bench.connected(number)
            case "turn":
                await self.turn()
            case "wait":
                await self.wait(self.random.uniform(0, 5))
            case "long wait":
                await self.wait(self.random.uniform(60, 1800))
            case "weather":
                self.weather = self.random.choice(["fine", "fine", *WEATHER])
            case "hold":
                self._troubled()
                self.bench.gateway.hold()
            case "storage":
                self._troubled()
                self.storage.fails = {"record"}
            case "calm":
                await self.calm()
            case "resume":
                await self.resume()
            case "crash" if self.crashes:
                await self.crash()

    async def turn(self) -> None:
        """One turn of the sender; its pushes have reached APNs, their answers may be still to come."""
        self.sent += await self.bench.sender.work()
        await self.bench.gateway.arrived(self.sent)
        if not self.bench.gateway.in_flight:
            await self.bench.sender.finish()

    async def wait(self, seconds: float) -> None:
        """Time passes; no push and no record takes as long as a claim lasts."""
        trouble = self.bench.clock() - self.troubled_since if self.troubled_since else timedelta(0)
        if trouble + timedelta(seconds=seconds) > CLAIM_TIME / 2:
            await self.calm()
        self.bench.clock.advance(seconds=seconds)

    async def calm(self) -> None:
        """All answers come, and storage takes them."""
        self.storage.fails = set()
        self.bench.gateway.release()
        await self.bench.sender.finish()
        self.troubled_since = None

    async def resume(self) -> None:
        """What people do about a halted topic."""
        await self.certificates.service.load()
        if self.certificates.service.all[0].halted_at is not None:
            await self.certificates.service.resume(TOPIC, actor=ADMIN)
            # Who waits is told at once, also where it was told of one thing before and waits for another.
            for device in self.devices.values():
                device.resumed.append(self.bench.clock())

    async def crash(self) -> None:
        """The process dies with what is in flight, and another begins."""
        await self.bench.sender.finish(at_most_seconds=0)
        self.bench.sender = self.bench.new_sender(storage=self.storage)
        self.certificates = certificates_of(self.bench)
        await self.certificates.service.load()

    async def new_token(self, number: int) -> None:
        """A TokenUpdate with another token."""
        device = self.devices[number]
        device.token = token(100_000 * number + self.places)
        await self.bench.token_update(number, value=device.token)
        if device.is_open:
            self._caused(number, self.bench.clock())

    async def come_to_rest(self) -> None:
        """Fine weather, for longer than any wait but that of a day."""
        self.weather = "fine"
        await self.calm()
        await self.resume()
        for _ in range(270):
            await self.turn()
            self.bench.clock.advance(seconds=10)

    def happened(self, *, token: bytes = b"", apns_id: str = "") -> Happened:
        """Something happens now."""
        self.places += 1
        return Happened(place=self.places, at=self.bench.clock(), token=token, apns_id=apns_id)

    def took(self, push: Happened) -> None:
        """APNs accepted a push."""
        self.devices[int(push.token.split()[1]) // 100_000].taken.append(push)

    def check_that_all_were_told(self) -> None:
        """Each that has something open and a live token was pushed after its last cause, on that token."""
        for number, device in self.devices.items():
            if not device.is_open or device.token is None or device.token in self.dead:
                continue
            for cause in (each for each in device.causes if each.place > device.answered):
                told = [
                    each
                    for each in device.taken
                    if each.place > cause.place and each.at >= cause.at and each.token == device.token
                ]
                assert told, f"device {number} was never told of {cause}; pushes: {device.taken}"

    def check_that_none_was_told_twice(self) -> None:
        """Between two pushes that were accepted there is a cause, or the time after which open ones are pushed for."""
        for number, device in self.devices.items():
            assert len({each.apns_id for each in device.taken}) == len(device.taken)
            for first, second in pairwise(device.taken):
                is_caused = any(
                    (cause.place > first.place and cause.at <= second.at and cause.place < second.place)
                    or first.at < cause.at <= second.at
                    for cause in device.causes
                )
                is_again = second.at - first.at >= AGAIN_AFTER
                is_resumed = any(first.at <= at <= second.at for at in device.resumed)
                assert is_caused or is_again or is_resumed, f"device {number}: {first} and {second} for one cause"

    def _caused(self, number: int, at: datetime) -> None:
        device = self.devices[number]
        device.is_open = True
        device.causes.append(replace(self.happened(), at=at))

    def _troubled(self) -> None:
        self.troubled_since = self.troubled_since or self.bench.clock()

    def _answered(self, _topic: str, notification: Notification) -> Outcome:
        of_token = UNREGISTERED if notification.token.reveal() in self.dead else ACCEPTED
        return WEATHER[self.weather] or of_token


@pytest.mark.parametrize("seed", range(40))
async def test_each_device_is_told_of_all_it_was_asked_for_and_once(bench: Bench, seed: int) -> None:
    walk = Walk(bench, seed, crashes=False)
    await walk.begin()
    for _ in range(200):
        await walk.step()

    await walk.come_to_rest()

    walk.check_that_all_were_told()
    walk.check_that_none_was_told_twice()


@pytest.mark.parametrize("seed", range(100, 120))
async def test_with_crashes_each_device_is_still_told_of_all_it_was_asked_for(bench: Bench, seed: int) -> None:
    walk = Walk(bench, seed, crashes=True)
    await walk.begin()
    for _ in range(200):
        await walk.step()

    await walk.come_to_rest()

    walk.check_that_all_were_told()


async def test_the_walks_come_through_what_they_are_about(bench: Bench) -> None:
    walk = Walk(bench, 1, crashes=False)
    await walk.begin()
    for _ in range(2000):
        await walk.step()
    await walk.come_to_rest()

    reasons = {attempt.outcome.reason for number in DEVICES for attempt in await bench.attempts(number, limit=10_000)}
    halts = [record for record in await bench.audited() if record.action == "push.halt"]
    assert reasons >= {None, NO_ANSWER.reason, SERVER_ERROR.reason, FORBIDDEN.reason, UNREGISTERED.reason}
    assert walk.storage.refused > 0
    assert halts
    assert all(len(device.taken) > 3 for device in walk.devices.values())
