"""Sends what is due: claims, pushes with many in flight, records what came of it. One per process.

A claim is committed before the push goes out, and the outcome after. A crash between the two repeats the push after
the claim's time, under the same apns-id; without a crash nothing is pushed twice for one ask.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from random import random

from mdmserver.audit.model import Actor, ActorKind
from mdmserver.audit.store import AuditStore
from mdmserver.clock import Clock
from mdmserver.devices.model import EnrollmentRow
from mdmserver.errors import MDMError
from mdmserver.push.model import (
    EXPIRATION,
    REFUSED_AGAIN_AFTER,
    Due,
    Fate,
    Notification,
    Outcome,
    OutcomeClass,
    class_of,
    fate_of,
    repush_after,
    retry_after,
)
from mdmserver.push.pace import Pace, Served
from mdmserver.push.ports import PushGateway
from mdmserver.push.store import PushStore, Recorded
from mdmserver.push.topics import Halt, Room, TopicHealth
from mdmserver.transaction import Storage, Transaction

CLAIM = 100
CLAIM_TIME = timedelta(minutes=2)
GAP = timedelta(seconds=1)
"""Between two pushes to one enrollment: the first wakes it, and what is asked for meanwhile needs only one more."""
PROBE_AFTER = timedelta(minutes=15)
_RECORDS = 200
_LONGEST_WAIT = 0.02
_BACKGROUND = Actor(kind=ActorKind.BACKGROUND, name="push")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answered:
    """A push whose outcome is not written yet."""

    due: Due
    outcome: Outcome
    at: datetime
    is_probe: bool


class PushSender:
    """Works through what is due; `topics` are those with a certificate in force."""

    def __init__(
        self,
        *,
        storage: Storage,
        push: PushStore,
        audit: AuditStore,
        gateway: PushGateway,
        clock: Clock,
        served: Served,
        concurrency: int,
        most_per_second: float,
        steady: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random,
    ) -> None:
        self._storage = storage
        self._push = push
        self._audit = audit
        self._gateway = gateway
        self._clock = clock
        self._served = served
        self._concurrency = concurrency
        self._steady = steady
        self._jitter = jitter
        self.pace = Pace(most_per_second=most_per_second, at=steady())
        self.health: dict[str, TopicHealth] = {}
        self.counted: Counter[OutcomeClass] = Counter()
        """What came of all pushes since the process began."""
        self._topics: frozenset[str] = frozenset()
        self._halted: dict[str, datetime] = {}
        self._halting: dict[str, tuple[Halt, datetime]] = {}
        self._halting_one_by_one = asyncio.Lock()
        self._in_flight: Counter[str] = Counter()
        self._progress = asyncio.Event()
        self._unrecorded: list[_Answered] = []
        self._recording: asyncio.Task[None] | None = None
        self._sending: set[asyncio.Task[Outcome]] = set()

    def use(self, topics: frozenset[str], halted: Mapping[str, datetime]) -> None:
        """Push on these topics; the halted ones (since when) are only probed."""
        # What was halted here a moment ago may not be written yet, and a probe counts from the one before.
        halted = {topic: at for topic, (_, at) in self._halting.items() if topic in topics} | dict(halted)
        self._halted = {topic: max(since, self._halted.get(topic, since)) for topic, since in halted.items()}
        self._topics = topics - halted.keys()
        self.health = {topic: self.health.get(topic, TopicHealth()) for topic in topics}

    def forgive(self, topic: str) -> None:
        """The topic has another certificate or was resumed: what is known of it no longer holds."""
        self.health[topic] = TopicHealth()
        self._halting.pop(topic, None)

    async def work(self) -> int:
        """Send until nothing is due, or nothing can be sent now; how many were sent. Answers may be still to come."""
        # What storage could not take before is tried again, also when no outcome comes that would have it tried.
        self._start_recording()
        await self._write_halts()
        sent = 0
        while most := await self._room():
            due, looked_at = await self._claimed(most)
            for each in due:
                self._in_flight[each.topic] += 1
                task = asyncio.create_task(self._send(each))
                self._sending.add(task)
                task.add_done_callback(self._sent)
            self.pace.spend(len(due), self._steady())
            sent += len(due)
            if looked_at < most:
                break
        return sent

    async def finish(self, *, at_most_seconds: float = 5.0) -> None:
        """Wait for the answers that are still to come and record them; what takes longer is pushed again later."""
        if self._sending:
            _, late = await asyncio.wait(self._sending, timeout=at_most_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._recorded()

    async def send_now(self, enrollments: Sequence[EnrollmentRow]) -> dict[EnrollmentRow, Outcome]:
        """Push to these at once and wait for the answers; those that cannot be pushed are missing."""
        now = self._clock()
        topics = frozenset(self._topics | self._halted.keys())
        claim = partial(self._push.claim_these, enrollments=enrollments, topics=topics, at=now, until=now + CLAIM_TIME)
        due = await self._storage.run(claim)
        slots = asyncio.Semaphore(self._concurrency)

        async def one(each: Due) -> Outcome:
            async with slots:
                self._in_flight[each.topic] += 1
                return await self._send(each)

        outcomes = await asyncio.gather(*(one(each) for each in due))
        await self._recorded()
        return {each.enrollment: outcome for each, outcome in zip(due, outcomes, strict=True)}

    async def probe(self) -> list[str]:
        """Try one push on each topic that was halted some time ago; the topics on which it was accepted."""
        at, healed = self._clock(), []
        for topic, since in list(self._halted.items()):
            if at < since + PROBE_AFTER:
                continue
            self._halted[topic] = at
            claim = partial(self._push.claim_probe, topic=topic, at=at, until=at + CLAIM_TIME)
            due = await self._storage.run(claim)
            if due is None:
                continue
            self._in_flight[topic] += 1
            if (await self._send(due, is_probe=True)).is_accepted:
                healed.append(topic)
        await self._recorded()
        return healed

    def _rooms(self) -> dict[str, Room]:
        at = self._clock()
        return {
            topic: self.health[topic].room(at, in_flight=self._in_flight[topic], most=self._concurrency)
            for topic in self._topics
        }

    async def _room(self) -> int:
        """How many may go now, on all topics together; waits until some may. 0: all topics rest."""
        while True:
            self._progress.clear()
            at, rooms = self._clock(), self._rooms()
            if all(self.health[topic].rests(at) for topic in rooms):
                return 0
            for_all = sum(room.number for room in rooms.values())
            most = min(self._concurrency - self._in_flight.total(), for_all, self.pace.allowed(self._steady()), CLAIM)
            # Where APNs just begins to answer again there is no use in waiting until many may go.
            enough = self.pace.worthwhile if for_all >= self._concurrency else 1
            if most >= min(enough, self._concurrency, CLAIM):
                return most
            try:
                async with asyncio.timeout(_LONGEST_WAIT):
                    await self._progress.wait()
            except TimeoutError:
                pass

    def _noted(self, due: Due, outcome: Outcome, at: datetime) -> Halt | None:
        health = self.health[due.topic]
        before = health.silence
        halt = health.note(due, outcome, at=at, jitter=self._jitter())
        # Told when it begins and when it ends, not for each push between.
        if before is None and health.silence is not None:
            _log.warning("apns_does_not_answer", extra={"topic": due.topic, "reason": health.silence})
        elif before is not None and health.silence is None:
            _log.warning("apns_answers_again", extra={"topic": due.topic})
        return halt

    async def _claimed(self, most: int) -> tuple[list[Due], int]:
        now = self._clock()
        claim = partial(self._push.claim, rooms=self._rooms(), at=now, until=now + CLAIM_TIME, limit=most)
        return await self._storage.run(claim)

    async def _send(self, due: Due, *, is_probe: bool = False) -> Outcome:
        try:
            outcome = await self._gateway.push(
                due.topic,
                Notification(
                    token=due.token,
                    magic=due.magic,
                    apns_id=due.apns_id,
                    expires_at=self._clock() + EXPIRATION,
                ),
            )
        finally:
            self._in_flight[due.topic] -= 1
            self._progress.set()
        self.counted[class_of(outcome)] += 1
        at = self._clock()
        self._unrecorded.append(_Answered(due=due, outcome=outcome, at=at, is_probe=is_probe))
        if not is_probe and due.topic in self._topics:
            halt = self._noted(due, outcome, at)
            if halt is not None:
                await self._halt(due.topic, halt, at)
        self._start_recording()
        return outcome

    def _record_of(self, answered: _Answered) -> Recorded:
        due, outcome, at = answered.due, answered.outcome, answered.at
        fate = fate_of(outcome, token_since=due.token_since)
        # Judged when it is written: the topic may have been halted since the answer came.
        is_about_topic = answered.is_probe or due.topic in self._halted
        if is_about_topic and fate in (Fate.STOPPED, Fate.DAILY):
            fate = Fate.RETRIED
        step, failures, next_at, held_until = due.step, 0, at, at
        match fate:
            case Fate.ACCEPTED:
                step += 1
                next_at, held_until = at + repush_after(step), at + GAP
            case Fate.DAILY:
                next_at = held_until = at + REFUSED_AGAIN_AFTER
            case Fate.RETRIED if outcome.status is not None:
                failures = due.failures + 1
                next_at = held_until = at + retry_after(failures, jitter=self._jitter())
            case Fate.RETRIED | Fate.STOPPED:
                # No answer: when the topic is tried again, so is this.
                pass
        return Recorded(
            due=due, outcome=outcome, at=at, step=step, failures=failures, next_at=next_at, held_until=held_until,
            stops=fate is Fate.STOPPED,
        )  # fmt: skip

    async def _halt(self, topic: str, halt: Halt, at: datetime) -> None:
        self._topics -= {topic}
        self._halted[topic] = at
        self._halting[topic] = halt, at
        _log.error("push_halted", extra={"topic": topic, "reason": halt.reason})
        try:
            await self._write_halts()
        except MDMError:
            # Nothing is sent on it from now on, and the next turn writes it.
            _log.exception("push_halt_not_written", extra={"topic": topic})

    async def _write_halts(self) -> None:
        async with self._halting_one_by_one:
            for topic, (halt, at) in list(self._halting.items()):
                # The refusals that are not written yet come first, so that what they say can be taken back.
                await self._recorded()
                await self._storage.run(partial(self._halt_written, topic=topic, halt=halt, at=at))
                self._halting.pop(topic, None)

    async def _halt_written(self, tx: Transaction, *, topic: str, halt: Halt, at: datetime) -> None:
        await self._push.halt(tx, topic, reason=halt.reason, at=at)
        await self._push.spare(tx, halt.spared, at=at)
        await self._audit.append(
            tx, at=at, actor=_BACKGROUND, action="push.halt", subject=topic, detail={"reason": halt.reason}
        )

    def _start_recording(self) -> None:
        if self._unrecorded and (self._recording is None or self._recording.done()):
            self._recording = asyncio.create_task(self._record())

    async def _record(self) -> None:
        """Write what has come together, until nothing has; while one batch is written the next one grows."""
        while self._unrecorded:
            batch, self._unrecorded = self._unrecorded[:_RECORDS], self._unrecorded[_RECORDS:]
            recorded = [self._record_of(each) for each in batch]
            try:
                await self._storage.run(partial(self._push.record, recorded=recorded))
            except MDMError:
                # Written at the next turn; if the server stops before, the claims run out and these go again.
                self._unrecorded = batch + self._unrecorded
                _log.exception("push_not_recorded", extra={"batch": len(batch)})
                return
            except Exception:
                # What cannot be written now or later must not keep the rest: the claims run out and these go again.
                _log.exception("push_not_recorded", extra={"batch": len(batch)})
            self.pace.judge(self._served, self._steady())

    async def _recorded(self) -> None:
        """Wait until every outcome so far is written, or could not be."""
        self._start_recording()
        if self._recording is not None:
            # Whoever waits may be cancelled; the writing goes on.
            await asyncio.wait({self._recording})

    def _sent(self, task: asyncio.Task[Outcome]) -> None:
        self._sending.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("push_failed", exc_info=error)
