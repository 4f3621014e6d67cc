"""Sends what is due: claims, pushes with many in flight, records what came of it. One per process.

A claim is committed before the push goes out, and the outcome after. A crash between the two repeats the push after
the claim's time, under the same apns-id; without a crash nothing is pushed twice for one ask.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
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
    fate_of,
    repush_after,
    retry_after,
)
from mdmserver.push.pace import Pace, Served
from mdmserver.push.ports import PushGateway
from mdmserver.push.store import PushStore, Recorded
from mdmserver.push.topics import SUSPECT_PUSHES, Halt, TopicHealth
from mdmserver.transaction import Storage, Transaction

CLAIM = 100
CLAIM_TIME = timedelta(minutes=2)
GAP = timedelta(seconds=2)
"""Between two pushes to one enrollment: the first wakes it, and what is asked for meanwhile needs only one more."""
PROBE_AFTER = timedelta(minutes=15)
_RECORDS = 200
_LONGEST_WAIT = 0.02
_BACKGROUND = Actor(kind=ActorKind.BACKGROUND, name="push")
_log = logging.getLogger(__name__)


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
        self._topics: frozenset[str] = frozenset()
        self._halted: dict[str, datetime] = {}
        self._in_flight = 0
        self._progress = asyncio.Event()
        self._unrecorded: list[Recorded] = []
        self._recording: asyncio.Task[None] | None = None
        self._sending: set[asyncio.Task[Outcome]] = set()

    def use(self, topics: frozenset[str], halted: dict[str, datetime]) -> None:
        """Push on these topics; the halted ones (since when) are only probed."""
        self._topics, self._halted = topics - halted.keys(), dict(halted)
        self.health = {topic: self.health.get(topic, TopicHealth()) for topic in topics}

    def forgive(self, topic: str) -> None:
        """The topic has another certificate or was resumed: what is known of it no longer holds."""
        self.health[topic] = TopicHealth()

    async def work(self) -> int:
        """Send until nothing is due, or nothing can be sent now; how many were sent. Answers may be still to come."""
        sent = 0
        while topics := self._open_topics():
            room = await self._room(topics)
            due, looked_at = await self._claimed(topics, room)
            for each in due:
                self._in_flight += 1
                task = asyncio.create_task(self._send(each))
                self._sending.add(task)
                task.add_done_callback(self._sent)
            self.pace.spend(len(due))
            sent += len(due)
            if looked_at < room:
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
                self._in_flight += 1
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
            self._in_flight += 1
            if (await self._send(due, is_probe=True)).is_accepted:
                healed.append(topic)
        await self._recorded()
        return healed

    def _open_topics(self) -> frozenset[str]:
        at = self._clock()
        return frozenset(topic for topic in self._topics if not self.health[topic].rests(at))

    async def _room(self, topics: frozenset[str]) -> int:
        """How many may go now, at least one; waits for it."""
        while True:
            self._progress.clear()
            most = SUSPECT_PUSHES if any(self.health[topic].is_suspect for topic in topics) else self._concurrency
            room = min(most - self._in_flight, self.pace.allowed(self._steady()), CLAIM)
            if room >= min(self.pace.worthwhile, most, CLAIM):
                return room
            try:
                async with asyncio.timeout(_LONGEST_WAIT):
                    await self._progress.wait()
            except TimeoutError:
                pass

    async def _claimed(self, topics: frozenset[str], room: int) -> tuple[list[Due], int]:
        now = self._clock()
        return await self._storage.run(
            partial(self._push.claim, topics=topics, at=now, until=now + CLAIM_TIME, limit=room)
        )

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
            self._in_flight -= 1
            self._progress.set()
        at = self._clock()
        health = self.health.get(due.topic)
        halt = health.note(due, outcome, at=at, jitter=self._jitter()) if health is not None and not is_probe else None
        is_about_topic = is_probe or due.topic in self._halted
        self._unrecorded.append(self._record_of(due, outcome, at, spares=is_about_topic or halt is not None))
        if halt is not None and due.topic in self._topics:
            await self._halt(due.topic, halt)
        if self._recording is None or self._recording.done():
            self._recording = asyncio.create_task(self._record())
        return outcome

    def _record_of(self, due: Due, outcome: Outcome, at: datetime, *, spares: bool) -> Recorded:
        fate = fate_of(outcome, token_since=due.token_since)
        if spares and fate in (Fate.STOPPED, Fate.DAILY):
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

    async def _halt(self, topic: str, halt: Halt) -> None:
        at = self._clock()
        self._topics -= {topic}
        self._halted[topic] = at
        _log.error("push_halted", extra={"topic": topic, "reason": halt.reason})
        await self._recorded()

        async def body(tx: Transaction) -> None:
            await self._push.halt(tx, topic, reason=halt.reason, at=at)
            await self._push.spare(tx, halt.spared, at=at)
            await self._audit.append(
                tx, at=at, actor=_BACKGROUND, action="push.halt", subject=topic, detail={"reason": halt.reason}
            )

        await self._storage.run(body)

    async def _record(self) -> None:
        """Write what has come together, until nothing has; while one batch is written the next one grows."""
        while self._unrecorded:
            batch, self._unrecorded = self._unrecorded[:_RECORDS], self._unrecorded[_RECORDS:]
            try:
                await self._storage.run(partial(self._push.record, recorded=batch))
            except MDMError:
                # Written with the next outcome; if the server stops before, the claims run out and these go again.
                self._unrecorded = batch + self._unrecorded
                _log.exception("push_not_recorded", extra={"number": len(batch)})
                return
            self.pace.judge(self._served, self._steady())

    async def _recorded(self) -> None:
        if self._recording is not None:
            await self._recording
        await self._record()

    def _sent(self, task: asyncio.Task[Outcome]) -> None:
        self._sending.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("push_failed", exc_info=error)
