"""Wake devices on request, and say how it stands with waking them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from mdmserver.audit.model import Actor
from mdmserver.audit.store import AuditStore
from mdmserver.clock import Clock
from mdmserver.devices.model import EnrollmentRow
from mdmserver.devices.store import DeviceStore
from mdmserver.errors import Invalid
from mdmserver.protocol import EnrollmentType
from mdmserver.push.model import ATTEMPTS_KEPT, Attempt, Outcome, OutcomeClass, PushCounts
from mdmserver.push.sender import PushSender
from mdmserver.push.store import PushStore
from mdmserver.transaction import Storage, Transaction

MOST_AT_ONCE = 500
_CHUNK = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What came of waking enrollments, by reference: an outcome, or a stable code why none was tried.

    `not_found`, `not_enrolled`, `no_push_token`, `no_push_certificate`.
    """

    outcomes: dict[str, Outcome]
    refused: dict[str, str]


class PushService:
    """Waking, as people and tools see it; `topics` are those with a certificate."""

    def __init__(
        self,
        *,
        storage: Storage,
        push: PushStore,
        devices: DeviceStore,
        audit: AuditStore,
        sender: PushSender,
        clock: Clock,
        topics: Callable[[], frozenset[str]],
    ) -> None:
        self._storage = storage
        self._push = push
        self._devices = devices
        self._audit = audit
        self._sender = sender
        self._clock = clock
        self._topics = topics

    @property
    def per_second(self) -> float:
        """The present pace: how many pushes a second may go."""
        return self._sender.pace.per_second

    @property
    def silences(self) -> Mapping[str, str]:
        """The topics on which the last push had no answer, and why not, as this process knows."""
        return {topic: health.silence for topic, health in self._sender.health.items() if health.silence is not None}

    @property
    def counted(self) -> Mapping[OutcomeClass, int]:
        """What came of the pushes of this process."""
        return {each: self._sender.counted[each] for each in OutcomeClass}

    async def send(self, references: Sequence[str], *, actor: Actor) -> Sent:
        """Push to these enrollments at once, and wait for what APNs says of each. Raises Invalid for too many."""
        if not references or len(references) > MOST_AT_ONCE:
            raise Invalid(f"name 1 to {MOST_AT_ONCE} enrollments, not {len(references)}", code="invalid_targets")
        found = await self._storage.read(partial(self._devices.find_many, references=references))
        rows = {reference: target.row for reference, target in found.items() if target.is_live}
        refused = {
            reference: "not_enrolled" if reference in found else "not_found"
            for reference in references
            if reference not in rows
        }
        outcomes: Mapping[EnrollmentRow, Outcome] = {}
        if rows:
            outcomes = await self._sender.send_now(list(dict.fromkeys(rows.values())))
            await self._audited("push.send", actor, {"targets": len(rows)})
        unsent = [reference for reference, row in rows.items() if row not in outcomes]
        refused |= await self._storage.read(partial(self._reasons, unsent={each: rows[each] for each in unsent}))
        return Sent(
            outcomes={reference: outcomes[row] for reference, row in rows.items() if row in outcomes}, refused=refused
        )

    async def send_to_everyone(self, *, types: frozenset[EnrollmentType], actor: Actor) -> int:
        """Have every enabled enrollment of these types woken, at the server's pace; how many."""
        number, after = 0, EnrollmentRow(0)
        while True:
            asked, last = await self._storage.run(
                partial(
                    self._push.ask_all,
                    after=after,
                    limit=_CHUNK,
                    types=frozenset(kind.value for kind in types),
                    at=self._clock(),
                )
            )
            number += asked
            if last is None:
                break
            after = last
        await self._audited("push.send", actor, {"targets": number, "everyone": True})
        return number

    async def attempts(self, enrollment: EnrollmentRow, *, limit: int) -> list[Attempt]:
        """The newest pushes to an enrollment, newest first."""
        return await self._storage.read(partial(self._push.attempts, enrollment=enrollment, limit=limit))

    async def counts(self) -> PushCounts:
        """How many are due, will be, and are stopped."""
        return await self._storage.read(partial(self._push.counts, at=self._clock()))

    async def revive(self, seen: Mapping[EnrollmentRow, datetime]) -> int:
        """These enrollments connected by themselves: what APNs said of their tokens no longer counts."""
        if not seen:
            return 0
        return await self._storage.run(partial(self._push.revive, seen=seen))

    async def forget_old_attempts(self) -> int:
        """Delete what happened long ago from the timelines, in chunks; how many."""
        forgotten = 0
        forget = partial(self._push.forget_attempts, before=self._clock() - ATTEMPTS_KEPT, limit=_CHUNK)
        while number := await self._storage.run(forget):
            forgotten += number
        return forgotten

    async def _reasons(self, tx: Transaction, *, unsent: Mapping[str, EnrollmentRow]) -> dict[str, str]:
        reasons = {}
        for reference, row in unsent.items():
            enrollment = await self._devices.enrollment(tx, row)
            if enrollment is None or not enrollment.enabled:
                reasons[reference] = "not_enrolled"
            elif enrollment.topic not in self._topics():
                reasons[reference] = "no_push_certificate"
            else:
                reasons[reference] = "no_push_token"
        return reasons

    async def _audited(self, action: str, actor: Actor, detail: dict[str, str | int | bool | None]) -> None:
        async def body(tx: Transaction) -> None:
            await self._audit.append(tx, at=self._clock(), actor=actor, action=action, subject="", detail=detail)

        await self._storage.run(body)
