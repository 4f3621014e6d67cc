"""Who is woken when, in SQL. `due_at` orders the work, `claimed_until` is a lease, `held_until` keeps asks apart."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import uuid4

from mdmserver.devices.model import EnrollmentRow
from mdmserver.protocol import EnrollmentID
from mdmserver.push.model import Attempt, Due, Outcome, PushCounts
from mdmserver.push.store import Recorded
from mdmserver.push.topics import Room
from mdmserver.secret import Secret
from mdmserver.storage.device_lists import next_enabled
from mdmserver.storage.push_certificates import PushCertificateRows
from mdmserver.storage.times import loaded, stored
from mdmserver.storage.vault import Place, Vault
from mdmserver.transaction import Row, Transaction

LOOK_AGAIN = timedelta(hours=1)
"""When an enrollment is looked at again whose topic has no certificate now; installing one does not wait for that."""
LOOK_AGAIN_SOON = timedelta(seconds=30)
"""The same where there is a certificate that the caller does not know yet: it was installed or resumed just now."""

_ASK = (
    "ON CONFLICT (enrollment_id) DO UPDATE SET asks = push_target.asks + 1, step = 0, "
    "is_asked = CASE WHEN excluded.is_asked = 1 THEN 1 ELSE push_target.is_asked END, "
    "due_at = CASE WHEN push_target.due_at < excluded.due_at THEN push_target.due_at "
    "WHEN push_target.held_until > excluded.due_at THEN push_target.held_until ELSE excluded.due_at END"
)
_CANDIDATE = (
    "SELECT p.enrollment_id, e.key, e.topic, e.push_token_sealed, e.push_magic_sealed, e.push_token_at, "
    "e.last_seen_at, p.asks, p.step, p.failures, p.apns_id, e.enabled, p.is_asked, "
    "(SELECT min(coalesce(q.not_before, 0)) FROM queue_item q WHERE q.enrollment_id = p.enrollment_id "
    "AND q.finished_at IS NULL AND q.state <> 'withdrawn' AND q.held_at IS NULL "
    "AND (q.expires_at IS NULL OR q.expires_at > ?)) "
    "FROM push_target p JOIN enrollment e ON e.id = p.enrollment_id WHERE "
)


_OPENS_AT = (
    "(SELECT min(q.not_before) FROM queue_item q WHERE q.enrollment_id = push_target.enrollment_id "
    "AND q.finished_at IS NULL AND q.state <> 'withdrawn' AND q.not_before > ?)"
)


async def ask_to_wake(
    tx: Transaction, targets: Sequence[EnrollmentRow], *, at: datetime, regardless: bool = False
) -> None:
    """Make these due, once they are no longer held; `regardless` of whether something waits for them."""
    await tx.execute_many(
        "INSERT INTO push_target (enrollment_id, due_at, is_asked, asks) SELECT id, ?, ?, 1 FROM enrollment "
        f"WHERE id = ? AND ended_at IS NULL {_ASK}",
        [(stored(at), int(regardless), target) for target in targets],
    )


class SQLPushStore(PushCertificateRows):
    """The PushStore of SQLite."""

    def __init__(self, vault: Vault) -> None:
        super().__init__(vault)

    async def ask(self, tx: Transaction, enrollments: Sequence[EnrollmentRow], *, at: datetime) -> None:
        """A person or tool wants these woken, whether something waits for them or not."""
        await ask_to_wake(tx, enrollments, at=at, regardless=True)

    async def ask_all(
        self, tx: Transaction, *, after: EnrollmentRow, limit: int, types: frozenset[str], at: datetime
    ) -> tuple[int, EnrollmentRow | None]:
        """The same for up to `limit` enabled enrollments of these types above `after`; how many, and the last one."""
        targets = await next_enabled(tx, after=after, limit=limit, types=types)
        await self.ask(tx, targets, at=at)
        return len(targets), targets[-1] if len(targets) == limit else None

    async def claim(
        self, tx: Transaction, *, rooms: Mapping[str, Room], at: datetime, until: datetime, limit: int
    ) -> tuple[list[Due], int]:
        """Claim enrollments that are due, the longest due first, where there is room; at how many rows it looked."""
        now = stored(at)
        rows = await tx.fetch_all(
            f"{_CANDIDATE} p.due_at <= ? AND p.stopped_at IS NULL AND p.claimed_until <= ? ORDER BY p.due_at LIMIT ?",
            now,
            now,
            now,
            limit,
        )
        claimed: list[Due] = []
        otherwise: list[tuple[int | None, int]] = []
        elsewhere: list[tuple[str, int]] = []
        left = {topic: room.number for topic, room in rooms.items()}
        for row in rows:
            enrollment, topic, opens_at = row[0], row[2], row[13]
            is_reachable = row[11] and row[3] is not None
            if not is_reachable or not (row[12] or (opens_at is not None and opens_at <= now)):
                # Nothing waits now, or it cannot be told; a TokenUpdate or the next command makes it due again.
                otherwise.append((opens_at if is_reachable else None, enrollment))
            elif topic not in rooms:
                elsewhere.append((topic, enrollment))
            elif left[topic] > 0:
                left[topic] -= 1
                claimed.append(self._due_of(row, at))
            else:
                otherwise.append((stored(rooms[topic].again_at), enrollment))
        if elsewhere:
            in_force = await self.topics_in_force(tx)
            soon, later = stored(at + LOOK_AGAIN_SOON), stored(at + LOOK_AGAIN)
            otherwise += [(soon if topic in in_force else later, row) for topic, row in elsewhere]
        await tx.execute_many("UPDATE push_target SET due_at = ? WHERE enrollment_id = ?", otherwise)
        await self._claim(tx, claimed, until)
        return claimed, len(rows)

    async def claim_these(
        self, tx: Transaction, enrollments: Sequence[EnrollmentRow], *, topics: frozenset[str], at: datetime,
        until: datetime,
    ) -> list[Due]:  # fmt: skip
        """Claim just these, due or not, stopped or not; those without a token or a topic in use are missing."""
        await self.ask(tx, enrollments, at=at)
        marks = ", ".join("?" * len(enrollments))
        rows = await tx.fetch_all(f"{_CANDIDATE} p.enrollment_id IN ({marks})", stored(at), *enrollments)
        claimed = [self._due_of(row, at) for row in rows if row[11] and row[3] is not None and row[2] in topics]
        await self._claim(tx, claimed, until)
        return claimed

    async def claim_probe(self, tx: Transaction, topic: str, *, at: datetime, until: datetime) -> Due | None:
        """Claim the enrollment on this topic that was seen last among those for which something waits."""
        row = await tx.fetch_one(
            f"{_CANDIDATE} p.enrollment_id = (SELECT w.enrollment_id FROM push_target w "
            "JOIN enrollment f ON f.id = w.enrollment_id WHERE w.due_at IS NOT NULL AND w.stopped_at IS NULL "
            "AND w.claimed_until <= ? AND f.topic = ? AND f.enabled = 1 AND f.push_token_sealed IS NOT NULL "
            "ORDER BY f.last_seen_at DESC LIMIT 1)",
            stored(at),
            stored(at),
            topic,
        )
        if row is None:
            return None
        due = self._due_of(row, at)
        await self._claim(tx, [due], until)
        return due

    async def record(self, tx: Transaction, recorded: Sequence[Recorded]) -> None:
        """Keep what came of pushes, in the timeline too, and release the claims."""
        await tx.execute_many(
            "UPDATE push_target SET claimed_until = 0, apns_id = ?, pushed_at = ?, pushed_status = ?, "
            "pushed_reason = ?, pushed_id = ?, accepted_at = coalesce(?, accepted_at), failures = ?, held_until = ?, "
            "step = CASE WHEN asks = ? THEN ? ELSE step END, "
            "is_asked = CASE WHEN asks = ? AND ? = 200 THEN 0 ELSE is_asked END, "
            "stopped_at = CASE WHEN asks = ? THEN ? ELSE stopped_at END, "
            # A claim moves `due_at` to its own end: where it still is, nobody asked for an earlier time.
            f"due_at = CASE WHEN asks = ? OR due_at = claimed_until THEN max(?, min(?, coalesce({_OPENS_AT}, ?))) "
            "WHEN due_at < ? THEN ? ELSE due_at END WHERE enrollment_id = ?",
            [_recorded_values(each) for each in recorded],
        )
        # An enrollment that was deleted meanwhile has no row any more, and gets no timeline.
        await tx.execute_many(
            "INSERT INTO push_attempt (enrollment_id, at, status, reason, apns_id) "
            "SELECT enrollment_id, ?, ?, ?, ? FROM push_target WHERE enrollment_id = ?",
            [
                (stored(each.at), each.outcome.status, each.outcome.reason, _apns_id(each), each.due.enrollment)
                for each in recorded
            ],
        )

    async def spare(self, tx: Transaction, enrollments: Sequence[EnrollmentRow], *, at: datetime) -> None:
        """What APNs said of these tokens was not about them: they are not stopped, and due now."""
        await tx.execute_many(
            "UPDATE push_target SET stopped_at = NULL, held_until = 0, failures = 0, due_at = ? "
            "WHERE enrollment_id = ?",
            [(stored(at), row) for row in enrollments],
        )

    async def revive(self, tx: Transaction, seen: Mapping[EnrollmentRow, datetime]) -> int:
        """These enrollments spoke: those that were stopped before that are so no more. How many."""
        if await tx.fetch_one("SELECT 1 FROM push_target WHERE stopped_at IS NOT NULL LIMIT 1") is None:
            return 0
        return await tx.execute_many(
            "UPDATE push_target SET stopped_at = NULL, held_until = 0, failures = 0, step = 0, "
            "due_at = coalesce(due_at, ?) WHERE enrollment_id = ? AND stopped_at < ?",
            [(stored(at), row, stored(at)) for row, at in seen.items()],
        )

    async def revive_topic(self, tx: Transaction, topic: str, *, at: datetime) -> int:
        """All enrollments on this topic for which something waits and whose last push APNs did not accept are due now,
        stopped or not. How many."""
        return await tx.execute(
            "UPDATE push_target SET stopped_at = NULL, held_until = 0, failures = 0, due_at = ? "
            "WHERE (due_at IS NOT NULL OR stopped_at IS NOT NULL) AND (step = 0 OR coalesce(pushed_status, 0) <> 200) "
            "AND enrollment_id IN (SELECT id FROM enrollment WHERE topic = ?)",
            stored(at),
            topic,
        )

    async def attempts(self, tx: Transaction, enrollment: EnrollmentRow, *, limit: int) -> list[Attempt]:
        """The newest pushes, newest first."""
        rows = await tx.fetch_all(
            "SELECT at, status, reason, apns_id FROM push_attempt WHERE enrollment_id = ? ORDER BY id DESC LIMIT ?",
            enrollment,
            limit,
        )
        return [
            Attempt(at=loaded(at), outcome=Outcome(status=status, reason=reason, apns_id=apns_id))
            for at, status, reason, apns_id in rows
        ]

    async def forget_attempts(self, tx: Transaction, *, before: datetime, limit: int) -> int:
        """Delete up to `limit` old pushes from the timelines; how many."""
        return await tx.execute(
            "DELETE FROM push_attempt WHERE id IN (SELECT id FROM push_attempt ORDER BY id LIMIT ?) AND at < ?",
            limit,
            stored(before),
        )

    async def counts(self, tx: Transaction, *, at: datetime) -> PushCounts:
        """How many are due and stopped."""
        waiting = await tx.fetch_one(
            "SELECT count(*), coalesce(sum(due_at <= ?), 0) FROM push_target "
            "WHERE due_at IS NOT NULL AND stopped_at IS NULL",
            stored(at),
        )
        stopped = await tx.fetch_one("SELECT count(*) FROM push_target WHERE stopped_at IS NOT NULL")
        assert waiting is not None
        assert stopped is not None
        return PushCounts(due=int(waiting[1]), waiting=int(waiting[0]), stopped=int(stopped[0]))

    async def _claim(self, tx: Transaction, claimed: Sequence[Due], until: datetime) -> None:
        await tx.execute_many(
            "UPDATE push_target SET claimed_until = ?, due_at = ?, apns_id = ? WHERE enrollment_id = ?",
            [(stored(until), stored(until), due.apns_id, due.enrollment) for due in claimed],
        )

    def _due_of(self, row: Row, at: datetime) -> Due:
        id = EnrollmentID.from_key(row[1])
        return Due(
            enrollment=EnrollmentRow(row[0]),
            topic=row[2],
            token=Secret(self._vault.open(bytes(row[3]), _enrollment_place(id, "push_token"))),
            magic=Secret(self._vault.open(bytes(row[4]), _enrollment_place(id, "push_magic")).decode()),
            token_since=loaded(row[5]),
            last_seen_at=loaded(row[6]),
            asks=row[7],
            step=row[8],
            failures=row[9],
            apns_id=row[10] or str(uuid4()),
            claimed_at=at,
        )


def _recorded_values(each: Recorded) -> tuple[object, ...]:
    outcome, at, held, next_at = each.outcome, stored(each.at), stored(each.held_until), stored(each.next_at)
    asks = each.due.asks
    return (
        # A push without an answer may have arrived: it is sent again under the same id.
        each.due.apns_id if outcome.status is None else None,
        at, outcome.status, outcome.reason, _apns_id(each), at if outcome.is_accepted else None, each.failures, held,
        asks, each.step, asks, outcome.status, asks, at if each.stops else None,
        # What opened while the push was on its way is not what it told of.
        asks, held, next_at, stored(each.due.claimed_at), next_at, held, held, each.due.enrollment,
    )  # fmt: skip


def _apns_id(each: Recorded) -> str:
    return each.outcome.apns_id or each.due.apns_id


def _enrollment_place(id: EnrollmentID, column: str) -> Place:
    return Place("enrollment", id.key, column)
