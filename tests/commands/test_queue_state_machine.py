"""Whatever administrators and a device do in whatever order: the queue does what its model does, and loses nothing.

One device with one user channel, on a real database that is torn away under the server now and then.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mdmserver.bootstrap import DATABASE, KEYS, open_services
from mdmserver.config import Config
from mdmserver.devices.identity import PresentedIdentity
from mdmserver.errors import IdentityRefused
from mdmserver.protocol import CommandUUID, EnrollmentID, Status
from mdmserver.storage.vault_keys import add_wrapping_key
from mdmserver.web.services import Services
from tests.commands.queue_model import FINAL, ModelQueue
from tests.fleet import ADMIN, FakeClock, Fleet, certificate, device_id, plist_command, user_id, uuid_of

T = TypeVar("T")
DEVICE, USER = device_id(1), user_id(1)
CHANNELS = st.sampled_from([DEVICE, DEVICE, USER])
# As often as they matter: what is put off comes back, what is answered is over.
ANSWERS = st.sampled_from(
    [Status.NOT_NOW, Status.NOT_NOW, Status.ACKNOWLEDGED, Status.ERROR, Status.COMMAND_FORMAT_ERROR]
)
HALF_AN_HOUR = timedelta(minutes=30)
FAR = timedelta(days=2)


class QueueMachine(RuleBasedStateMachine):
    """The server and the model, side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = FakeClock()
        self.states = 0
        self.number = 0
        self.version = 1
        self.is_enrolled = self.is_logged_in = False
        self.queues = {DEVICE: ModelQueue(), USER: ModelQueue()}
        self.held: dict[EnrollmentID, str | None] = {DEVICE: None, USER: None}
        self.finals: dict[tuple[EnrollmentID, str], str] = {}
        self.opened: AbstractAsyncContextManager[Services]

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)

    @property
    def presented(self) -> PresentedIdentity:
        return certificate(1, self.version)

    @initialize()
    def start(self) -> None:
        add_wrapping_key(self.folder / "0" / KEYS)
        self._open()
        self.enroll()
        self.log_in()

    def _open(self) -> None:
        self.opened = open_services(Config(), self.folder / str(self.states), clock=self.clock)
        self.fleet = Fleet(self.run(self.opened.__aenter__()))

    def is_there(self, channel: EnrollmentID) -> bool:
        return self.is_enrolled if channel == DEVICE else self.is_enrolled and self.is_logged_in

    @rule(
        what=st.sampled_from(
            ["a new life", "the device leaves", "the user leaves", "the user comes back", "restart", "crash"]
        )
    )
    def something_rare(self, what: str) -> None:
        match what:
            case "a new life":
                self.enroll()
            case "the device leaves":
                self.check_out(DEVICE)
                self.every_item_is_where_the_model_has_it_and_what_is_final_stays()
                self.report(DEVICE, Status.IDLE, None, reply_is_lost=False)
                self.enroll()
            case "the user leaves":
                self.check_out(USER)
                self.report(USER, Status.IDLE, None, reply_is_lost=False)
            case "the user comes back":
                self.log_in()
            case "restart":
                self.run(self.opened.__aexit__(None, None, None))
                self._open()
            case "crash":
                self.crash()

    def enroll(self) -> None:
        """A new life: with the certificate as before, or after a check-out, which revoked it, with the next one."""
        self.run(self.fleet.enroll(1, self.presented))
        for queue in self.queues.values():
            queue.clear()
        self.is_enrolled, self.is_logged_in = True, False
        if self.states % 2 == 0:
            self.log_in()

    def log_in(self) -> None:
        self.run(self.fleet.token_update(USER, self.presented))
        self.is_logged_in = True

    def check_out(self, channel: EnrollmentID) -> None:
        self.run(self.fleet.check_out(channel, self.presented))
        self.queues[USER].clear()
        self.is_logged_in = False
        if channel == DEVICE:
            self.queues[DEVICE].clear()
            self.is_enrolled = False
            self.version += 1

    def crash(self) -> None:
        """What is in the files now is all that a server finds that was killed now."""
        before, self.states = self.folder / str(self.states), self.states + 1
        after = self.folder / str(self.states)
        shutil.copytree(before / KEYS, after / KEYS)
        for name in (DATABASE, f"{DATABASE}-wal"):
            shutil.copy(before / name, after / name)
        self.run(self.opened.__aexit__(None, None, None))
        self._open()

    @rule(
        channels=st.sampled_from([(DEVICE,), (DEVICE, USER)]),
        number=st.integers(min_value=2, max_value=4),
        priority=st.sampled_from([0, 0, 1, -1]),
        held_back=st.sampled_from([None, None, None, HALF_AN_HOUR]),
        lives_for=st.sampled_from([None, None, HALF_AN_HOUR, 2 * HALF_AN_HOUR]),
    )
    def enqueue(
        self,
        channels: tuple[EnrollmentID, ...],
        number: int,
        priority: int,
        held_back: timedelta | None,
        lives_for: timedelta | None,
    ) -> None:
        not_before = None if held_back is None else self.clock.now + held_back
        expires_at = None if lives_for is None else (not_before or self.clock.now) + lives_for
        there = [channel for channel in channels if self.is_there(channel)]
        for _ in range(number):
            self.number += 1
            uuid = f"C{self.number}"
            outcome = self.run(
                self.fleet.enqueue(uuid, *channels, priority=priority, not_before=not_before, expires_at=expires_at)
            )
            assert outcome.queued == len(there)
            for channel in there:
                self.queues[channel].enqueue(uuid, priority=priority, not_before=not_before, expires_at=expires_at)

    def report(self, channel: EnrollmentID, status: Status, uuid: str | None, *, reply_is_lost: bool) -> None:
        report = self.fleet.report(channel, status, uuid, presented=self.presented)
        if not self.is_enrolled:
            with pytest.raises(IdentityRefused):
                self.run(report)
            return
        body = self.run(report)

        served = uuid_of(body)
        expected = self.queues[channel].report(status, uuid, self.clock.now) if self.is_there(channel) else None
        assert served == expected
        if served is not None:
            assert body == plist_command(served)
            assert (channel, served) not in self.finals
        self.held[channel] = None if reply_is_lost else served

    @rule(channel=CHANNELS, answers=st.lists(ANSWERS, min_size=1, max_size=6), last_reply_is_lost=st.booleans())
    def converse(self, channel: EnrollmentID, answers: list[Status], last_reply_is_lost: bool) -> None:
        """The device connects and answers what it is given, as long as it likes."""
        self.report(channel, Status.IDLE, None, reply_is_lost=last_reply_is_lost and not answers)
        for place, status in enumerate(answers, start=1):
            if (uuid := self.held[channel]) is not None:
                self.report(channel, status, uuid, reply_is_lost=last_reply_is_lost and place == len(answers))

    @rule(channel=CHANNELS, status=ANSWERS, is_cancelled_before=st.booleans())
    def answer_what_is_held(self, channel: EnrollmentID, status: Status, is_cancelled_before: bool) -> None:
        """The answer to a command that was given before, whatever became of it since."""
        if self.held[channel] is None:
            self.report(channel, Status.IDLE, None, reply_is_lost=False)
        uuid = self.held[channel]
        if uuid is None:
            return
        if is_cancelled_before:
            self._cancel(uuid)
        self.report(channel, status, uuid, reply_is_lost=False)

    @rule(channel=CHANNELS, times=st.integers(min_value=1, max_value=6))
    def replies_are_lost(self, channel: EnrollmentID, times: int) -> None:
        for _ in range(times):
            self.report(channel, Status.IDLE, None, reply_is_lost=True)

    @rule(channel=CHANNELS, status=ANSWERS, number=st.integers(min_value=0, max_value=30))
    def answer_anything(self, channel: EnrollmentID, status: Status, number: int) -> None:
        """A stray report: never enqueued, finished, not yet sent, or another channel's."""
        self.report(channel, status, f"C{number}", reply_is_lost=False)

    @precondition(lambda self: self.number)
    @rule(number=st.integers(min_value=1, max_value=30))
    def cancel(self, number: int) -> None:
        self._cancel(f"C{1 + number % self.number}")

    def _cancel(self, uuid: str) -> None:
        known = [queue for queue in self.queues.values() if uuid in queue.items]
        if known:
            assert self.run(self.fleet.cancel(uuid)) == sum(queue.cancel(uuid) for queue in known)

    @precondition(lambda self: self.number)
    @rule(number=st.integers(min_value=1, max_value=30), channel=CHANNELS)
    def cancel_one_target(self, number: int, channel: EnrollmentID) -> None:
        uuid = f"C{1 + number % self.number}"
        if uuid not in self.queues[channel].items:
            return

        async def cancel() -> int:
            row = await self.fleet.services.devices.resolve(channel.key)
            return await self.fleet.services.commands.cancel(CommandUUID(uuid), [row], actor=ADMIN)

        assert self.run(cancel()) == self.queues[channel].cancel(uuid)

    @rule(half_hours=st.integers(min_value=1, max_value=2), is_swept=st.booleans())
    def time_passes(self, half_hours: int, is_swept: bool) -> None:
        self.clock.now += half_hours * HALF_AN_HOUR
        if is_swept:
            expected = sum(queue.sweep(self.clock.now) for queue in self.queues.values())
            assert self.run(self.fleet.services.commands.expire_due()) == expected

    @invariant()
    def every_item_is_where_the_model_has_it_and_what_is_final_stays(self) -> None:
        if not hasattr(self, "fleet"):
            return
        for channel, queue in self.queues.items():
            there = self.run(self.fleet.items(channel)) if self._is_known(channel) else {}
            states = {uuid: item.state.value for uuid, item in there.items()}
            assert states == {item.uuid: item.state for item in queue.items.values()}
            for uuid, state in states.items():
                if state in FINAL:
                    assert self.finals.setdefault((channel, uuid), state) == state

    def _is_known(self, channel: EnrollmentID) -> bool:
        return channel == DEVICE or self.is_logged_in or bool(self.queues[USER].items)

    def teardown(self) -> None:
        try:
            if hasattr(self, "fleet"):
                self._everything_that_is_still_wanted_arrives()
                self.run(self.opened.__aexit__(None, None, None))
        finally:
            self.runner.close()
            shutil.rmtree(self.folder)

    def _everything_that_is_still_wanted_arrives(self) -> None:
        self.clock.advance(seconds=FAR.total_seconds())
        self.run(self.fleet.services.commands.expire_due())
        for channel, queue in self.queues.items():
            queue.sweep(self.clock.now)
            if not self.is_there(channel):
                continue
            wanted = {item.uuid for item in queue.items.values() if item.state in ("queued", "sent", "not_now")}
            self.report(channel, Status.IDLE, None, reply_is_lost=False)
            arrived = set()
            while (uuid := self.held[channel]) is not None:
                arrived.add(uuid)
                self.report(channel, Status.ACKNOWLEDGED, uuid, reply_is_lost=False)
            assert arrived == wanted
            assert {item.state.is_final for item in self.run(self.fleet.items(channel)).values()} <= {True}


QueueMachine.TestCase.settings = settings(
    max_examples=50,
    stateful_step_count=30,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
test_the_queue_does_what_its_model_does = QueueMachine.TestCase
