"""Targets, tags and groups, and whose turn it is, in SQL."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from mdmserver.assignments.model import (
    AppRow,
    Device,
    RevisionRow,
    Scope,
    ScopeKind,
    SettingKind,
    Step,
    Target,
    TargetRow,
    TargetState,
    Turn,
    Wanted,
    platform_of,
)
from mdmserver.assignments.store import Claimed, Ended, Standing
from mdmserver.commands.model import CommandRow, ItemState
from mdmserver.devices.model import EnrollmentRow
from mdmserver.protocol import CommandUUID, EnrollmentID
from mdmserver.storage.times import loaded, stored
from mdmserver.transaction import Row, Transaction

_TARGET = (
    "SELECT t.id, t.enrollment_id, t.kind, t.app_id, t.is_wanted, t.wanted_revision, t.state, t.state_at, t.reason, "
    "t.sent_revision, t.verified_at, t.step, t.command_id, t.attempts, t.next_at, t.observed, t.identifier "
)
_ASK = (
    "ON CONFLICT (enrollment_id) DO UPDATE SET asks = reconcile.asks + 1, "
    "due_at = CASE WHEN reconcile.due_at < excluded.due_at THEN reconcile.due_at ELSE excluded.due_at END"
)
_SCOPES = {
    ScopeKind.ALL: "?  = ''",
    ScopeKind.TAG: "e.id IN (SELECT enrollment_id FROM device_label WHERE kind = 'tag' AND name = ?)",
    ScopeKind.GROUP: "e.id IN (SELECT enrollment_id FROM device_label WHERE kind = 'group' AND name = ?)",
    ScopeKind.DEVICE: "e.key = ?",
}
_NEVER = 2**62


class SQLAssignmentStore:
    """The AssignmentStore of SQLite."""

    async def device(self, tx: Transaction, enrollment: EnrollmentRow) -> Device | None:
        """The device with its tags and groups; None for a user channel and for one that is forgotten."""
        row = await tx.fetch_one(
            "SELECT key, life, enabled, product_name, model_name, model FROM enrollment "
            "WHERE id = ? AND parent_id IS NULL AND deleted_at IS NULL",
            enrollment,
        )
        if row is None:
            return None
        tags, groups = await self.labels(tx, enrollment)
        return Device(
            row=enrollment,
            id=EnrollmentID.from_key(row[0]),
            life=row[1],
            enabled=bool(row[2]),
            platform=platform_of(row[3], row[4], row[5]),
            tags=tags,
            groups=groups,
        )

    async def labels(self, tx: Transaction, enrollment: EnrollmentRow) -> tuple[frozenset[str], frozenset[str]]:
        """Tags and groups."""
        rows = await tx.fetch_all("SELECT kind, name FROM device_label WHERE enrollment_id = ?", enrollment)
        return (
            frozenset(name for kind, name in rows if kind == "tag"),
            frozenset(name for kind, name in rows if kind == "group"),
        )

    async def set_labels(
        self, tx: Transaction, enrollment: EnrollmentRow, *, kind: str, add: frozenset[str], remove: frozenset[str]
    ) -> None:
        """Put tags (kind `tag`) or memberships (kind `group`) on a device and take them off."""
        await tx.execute_many(
            "DELETE FROM device_label WHERE enrollment_id = ? AND kind = ? AND name = ?",
            [(enrollment, kind, name) for name in sorted(remove)],
        )
        await tx.execute_many(
            "INSERT INTO device_label (enrollment_id, kind, name) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            [(enrollment, kind, name) for name in sorted(add)],
        )

    async def label_counts(self, tx: Transaction, *, kind: str) -> dict[str, int]:
        """All tags or groups, with the number of devices in each."""
        rows = await tx.fetch_all(
            "SELECT name, count(*) FROM device_label WHERE kind = ? GROUP BY name ORDER BY name", kind
        )
        return {row[0]: row[1] for row in rows}

    async def members(
        self, tx: Transaction, *, kind: str, name: str, after: EnrollmentRow, limit: int
    ) -> list[EnrollmentRow]:
        """Devices with this tag or in this group, in order of row."""
        rows = await tx.fetch_all(
            "SELECT enrollment_id FROM device_label WHERE kind = ? AND name = ? AND enrollment_id > ? "
            "ORDER BY enrollment_id LIMIT ?",
            kind,
            name,
            after,
            limit,
        )
        return [EnrollmentRow(row[0]) for row in rows]

    async def ask(self, tx: Transaction, enrollments: Sequence[EnrollmentRow], *, at: datetime) -> None:
        """It is these devices' turn at this time, or earlier where that was planned."""
        await tx.execute_many(
            f"INSERT INTO reconcile (enrollment_id, due_at, asks) VALUES (?, ?, 1) {_ASK}",
            [(row, stored(at)) for row in enrollments],
        )

    async def ask_scope(self, tx: Transaction, scope: Scope) -> None:
        """It is the turn of every device in a scope: kept, and told to them by `spread` in pieces."""
        await tx.execute(
            "INSERT INTO reconcile_scope (scope_kind, scope_value) VALUES (?, ?)", scope.kind.value, scope.value
        )

    async def reach(self, tx: Transaction, scope: Scope) -> int:
        """How many enrolled devices a scope takes in."""
        return await _reached(tx, scope.kind, scope.value, above=0)

    async def unsettled(self, tx: Transaction, *, at: datetime) -> int:
        """At most how many devices are still to be looked at because of what changed until now."""
        due = await tx.fetch_one(
            "SELECT count(*) FROM reconcile r JOIN enrollment e ON e.id = r.enrollment_id "
            "WHERE r.due_at <= ? AND e.enabled = 1",
            stored(at),
        )
        assert due is not None
        scopes = await tx.fetch_all("SELECT scope_kind, scope_value, after_enrollment FROM reconcile_scope")
        untold = [await _reached(tx, ScopeKind(kind), value, above=after) for kind, value, after in scopes]
        return int(due[0]) + sum(untold)

    async def spread(self, tx: Transaction, *, at: datetime, limit: int) -> bool:
        """Tell up to `limit` devices of a scope that was asked for that it is their turn; whether there are more."""
        row = await tx.fetch_one(
            "SELECT id, scope_kind, scope_value, after_enrollment FROM reconcile_scope ORDER BY id LIMIT 1"
        )
        if row is None:
            return False
        found = await tx.fetch_all(
            "SELECT e.id FROM enrollment e WHERE e.id > ? AND e.enabled = 1 AND e.parent_id IS NULL "
            f"AND {_SCOPES[ScopeKind(row[1])]} ORDER BY e.id LIMIT ?",
            row[3],
            row[2],
            limit,
        )
        devices = [EnrollmentRow(each[0]) for each in found]
        await self.ask(tx, devices, at=at)
        if len(devices) == limit:
            await tx.execute("UPDATE reconcile_scope SET after_enrollment = ? WHERE id = ?", devices[-1], row[0])
        else:
            await tx.execute("DELETE FROM reconcile_scope WHERE id = ?", row[0])
        return True

    async def claim(self, tx: Transaction, *, at: datetime, until: datetime, limit: int) -> list[Claimed]:
        """Devices whose turn it is, the longest due first; nobody else's until then."""
        rows = await tx.fetch_all(
            "SELECT enrollment_id, asks FROM reconcile WHERE due_at <= ? AND claimed_until <= ? "
            "ORDER BY due_at LIMIT ?",
            stored(at),
            stored(at),
            limit,
        )
        claimed = [Claimed(enrollment=EnrollmentRow(row[0]), asks=row[1]) for row in rows]
        await tx.execute_many(
            "UPDATE reconcile SET claimed_until = ? WHERE enrollment_id = ?",
            [(stored(until), each.enrollment) for each in claimed],
        )
        return claimed

    async def settle(self, tx: Transaction, claimed: Claimed, *, next_at: datetime | None) -> None:
        """A claimed device was looked at; next time then (None: when something changes). An ask meanwhile stands."""
        await tx.execute(
            "UPDATE reconcile SET claimed_until = 0, due_at = CASE WHEN asks = ? THEN ? ELSE due_at END "
            "WHERE enrollment_id = ?",
            claimed.asks,
            _NEVER if next_at is None else stored(next_at),
            claimed.enrollment,
        )

    async def targets(self, tx: Transaction, enrollment: EnrollmentRow) -> list[Target]:
        """All of a device's."""
        rows = await tx.fetch_all(
            f"{_TARGET} FROM target_state t WHERE t.enrollment_id = ? ORDER BY t.kind, t.app_id", enrollment
        )
        return [_target_of(row) for row in rows]

    async def target_of_command(
        self, tx: Transaction, enrollment: EnrollmentRow, command: CommandUUID
    ) -> Target | None:
        """The target for which this command is under way, or None."""
        row = await tx.fetch_one(
            f"{_TARGET} FROM target_state t JOIN command c ON c.id = t.command_id "
            "WHERE t.enrollment_id = ? AND c.uuid = ?",
            enrollment,
            command,
        )
        return None if row is None else _target_of(row)

    async def ended(self, tx: Transaction, enrollment: EnrollmentRow) -> list[Ended]:
        """Targets of a device whose command has ended while nothing of its result waits to be read."""
        rows = await tx.fetch_all(
            f"{_TARGET}, q.state FROM target_state t "
            "JOIN queue_item q ON q.enrollment_id = t.enrollment_id AND q.command_id = t.command_id "
            "LEFT JOIN result r ON r.item_id = q.id "
            "WHERE t.enrollment_id = ? AND q.finished_at IS NOT NULL AND (r.item_id IS NULL OR r.processed = 1)",
            enrollment,
        )
        return [Ended(target=_target_of(row[:-1]), state=ItemState(row[-1])) for row in rows]

    async def stalled(self, tx: Transaction, *, limit: int) -> list[EnrollmentRow]:
        """Devices with a target whose command has ended unnoticed: cancelled, expired, or answered illegibly."""
        rows = await tx.fetch_all(
            "SELECT DISTINCT t.enrollment_id FROM target_state t JOIN enrollment e ON e.id = t.enrollment_id "
            "JOIN queue_item q ON q.enrollment_id = t.enrollment_id AND q.command_id = t.command_id "
            "LEFT JOIN result r ON r.item_id = q.id WHERE t.command_id IS NOT NULL AND e.enabled = 1 "
            "AND q.finished_at IS NOT NULL AND (r.item_id IS NULL OR r.processed = 1) LIMIT ?",
            limit,
        )
        return [EnrollmentRow(row[0]) for row in rows]

    async def want(self, tx: Transaction, enrollment: EnrollmentRow, wanted: Wanted, *, at: datetime) -> None:
        """A target for it, intended; one that is there is intended anew."""
        await tx.execute(
            "INSERT INTO target_state (enrollment_id, kind, app_id, is_wanted, wanted_revision, state, state_at) "
            "VALUES (?, ?, ?, 1, ?, 'intended', ?) ON CONFLICT (enrollment_id, kind, app_id) DO UPDATE SET "
            "is_wanted = 1, wanted_revision = excluded.wanted_revision, state = 'intended', "
            "state_at = excluded.state_at, reason = NULL, verified_at = NULL, step = NULL, command_id = NULL, "
            "attempts = 0, next_at = NULL",
            enrollment,
            wanted.kind.value,
            wanted.app,
            wanted.revision,
            stored(at),
        )

    async def unwant(self, tx: Transaction, target: TargetRow, *, identifier: str | None, at: datetime) -> None:
        """It is to be taken away. `identifier` is what the device calls the app, where it has said so."""
        await tx.execute(
            "UPDATE target_state SET is_wanted = 0, state = 'intended', state_at = ?, reason = NULL, "
            "verified_at = NULL, step = NULL, command_id = NULL, attempts = 0, next_at = NULL, "
            "identifier = coalesce(?, identifier) WHERE id = ?",
            stored(at),
            identifier,
            target,
        )

    async def drop(self, tx: Transaction, target: TargetRow) -> None:
        """There is nothing to do about it any more."""
        await tx.execute("DELETE FROM target_state WHERE id = ?", target)

    async def began(self, tx: Transaction, target: TargetRow, step: Step, command: CommandRow) -> None:
        """A command for the target was queued."""
        await tx.execute("UPDATE target_state SET step = ?, command_id = ? WHERE id = ?", step.value, command, target)

    async def turned(self, tx: Transaction, target: TargetRow, turn: Turn, *, at: datetime) -> None:
        """What came of the target; no command is under way for it now."""
        now = stored(at)
        await tx.execute(
            "UPDATE target_state SET state_at = CASE WHEN state = ? THEN state_at ELSE ? END, state = ?, reason = ?, "
            "sent_revision = coalesce(?, sent_revision), "
            "verified_at = CASE WHEN ? = 1 THEN ? WHEN ? = state THEN verified_at END, step = NULL, "
            "command_id = NULL, attempts = ?, next_at = ?, observed = coalesce(?, observed), "
            "identifier = coalesce(?, identifier) WHERE id = ?",
            turn.state.value, now, turn.state.value, turn.reason, turn.sent, int(turn.is_verified), now,
            turn.state.value, turn.attempts, stored(turn.next_at), turn.observed, turn.identifier, target,
        )  # fmt: skip

    async def saw(self, tx: Transaction, target: TargetRow, observed: str) -> None:
        """Keep what a device said of an app while a command for it is under way."""
        await tx.execute("UPDATE target_state SET observed = ? WHERE id = ?", observed, target)

    async def lost_app(self, tx: Transaction, enrollment: EnrollmentRow, app: AppRow, *, at: datetime) -> None:
        """The app is not there, or not managed: what was sent of its configuration is gone with it."""
        await tx.execute(
            "UPDATE target_state SET state = 'intended', state_at = ?, sent_revision = NULL, verified_at = NULL, "
            "attempts = 0, next_at = NULL, reason = 'the app is not there and managed' WHERE enrollment_id = ? "
            "AND app_id = ? AND kind = 'configuration' AND is_wanted = 1 AND command_id IS NULL",
            stored(at),
            enrollment,
            app,
        )

    async def halt_command(self, tx: Transaction, target: TargetRow, *, may_have: RevisionRow | None = None) -> None:
        """The command under way is no longer the target's: what comes of it is not. `may_have` is what it may bring."""
        await tx.execute(
            "UPDATE target_state SET step = NULL, command_id = NULL, sent_revision = coalesce(?, sent_revision) "
            "WHERE id = ?",
            may_have,
            target,
        )

    async def counts(self, tx: Transaction, app: AppRow) -> Mapping[Standing, int]:
        """How many wanted targets of an app on enabled devices stand how."""
        rows = await tx.fetch_all(
            "SELECT t.kind, t.state, t.command_id IS NOT NULL, q.first_sent_at IS NOT NULL, count(*) "
            "FROM target_state t JOIN enrollment e ON e.id = t.enrollment_id "
            "LEFT JOIN queue_item q ON q.enrollment_id = t.enrollment_id AND q.command_id = t.command_id "
            "WHERE t.app_id = ? AND e.enabled = 1 AND t.is_wanted = 1 GROUP BY 1, 2, 3, 4",
            app,
        )
        return {
            Standing(SettingKind(kind), TargetState(state), bool(has_command), bool(was_sent)): number
            for kind, state, has_command, was_sent, number in rows
        }

    async def hurry(self, tx: Transaction, app: AppRow) -> None:
        """What was planned for later is tried at the device's next turn."""
        await tx.execute("UPDATE target_state SET next_at = NULL, attempts = 0 WHERE app_id = ?", app)

    async def forget_app(self, tx: Transaction, app: AppRow) -> None:
        """Drop the app's targets on devices that are not enrolled."""
        await tx.execute("DELETE FROM target_state WHERE app_id = ?", app)

    async def of_app(
        self, tx: Transaction, app: AppRow, *, kind: SettingKind | None, states: frozenset[str],
        after: TargetRow, limit: int,
    ) -> list[Target]:  # fmt: skip
        """Targets of an app on enabled devices, in order of row; no states means all."""
        conditions, parameters = ["t.app_id = ?", "t.id > ?", "e.enabled = 1"], [app, after]
        values: list[str] = []
        if kind is not None:
            conditions.append("t.kind = ?")
            values.append(kind.value)
        if states:
            conditions.append(f"t.state IN ({', '.join('?' * len(states))})")
            values += sorted(states)
        rows = await tx.fetch_all(
            f"{_TARGET} FROM target_state t JOIN enrollment e ON e.id = t.enrollment_id "
            f"WHERE {' AND '.join(conditions)} ORDER BY t.id LIMIT ?",
            *parameters,
            *values,
            limit,
        )
        return [_target_of(row) for row in rows]


async def _reached(tx: Transaction, kind: ScopeKind, value: str, *, above: int) -> int:
    row = await tx.fetch_one(
        "SELECT count(*) FROM enrollment e WHERE e.id > ? AND e.enabled = 1 AND e.parent_id IS NULL "
        f"AND {_SCOPES[kind]}",
        above,
        value,
    )
    assert row is not None
    return int(row[0])


def _target_of(row: Row) -> Target:
    return Target(
        row=TargetRow(row[0]),
        enrollment=EnrollmentRow(row[1]),
        kind=SettingKind(row[2]),
        app=AppRow(row[3]),
        is_wanted=bool(row[4]),
        wanted_revision=None if row[5] is None else RevisionRow(row[5]),
        state=TargetState(row[6]),
        state_at=loaded(row[7]),
        reason=row[8],
        sent_revision=None if row[9] is None else RevisionRow(row[9]),
        verified_at=loaded(row[10]),
        step=None if row[11] is None else Step(row[11]),
        command=None if row[12] is None else CommandRow(row[12]),
        attempts=row[13],
        next_at=loaded(row[14]),
        observed=row[15],
        identifier=row[16],
    )
