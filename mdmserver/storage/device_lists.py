"""Finding and listing enrollments in SQL. No secret column is named here (S22)."""

from collections.abc import Sequence

from mdmserver.devices.model import (
    DeviceFacts,
    Enrollment,
    EnrollmentFilter,
    EnrollmentRow,
    EnrollmentState,
    PushStanding,
)
from mdmserver.devices.store import Target
from mdmserver.protocol import EnrollmentID
from mdmserver.storage.times import loaded
from mdmserver.transaction import Row, Transaction

_FACTS = tuple(DeviceFacts.__slots__)
_PUSH = ("due_at", "pushed_at", "pushed_status", "pushed_reason", "pushed_id", "accepted_at", "stopped_at")
_COLUMNS = (
    "id, key, life, enabled, ended_at, topic, push_token_sealed IS NOT NULL, tally, awaiting_configuration, "
    "user_short_name, user_long_name, created_at, enrolled_at, last_seen_at, user_name, "
    "unenroll_requested_at IS NOT NULL, erased_at, " + ", ".join((*_PUSH, *_FACTS))
)
_FROM = "FROM enrollment LEFT JOIN push_target ON enrollment_id = id"
_STATES = {
    EnrollmentState.ENDED: "ended_at IS NOT NULL",
    EnrollmentState.ENROLLED: "ended_at IS NULL AND enabled = 1",
    EnrollmentState.ERASED: "ended_at IS NULL AND enabled = 0 AND erased_at IS NOT NULL",
    EnrollmentState.ENROLLING: "ended_at IS NULL AND enabled = 0 AND erased_at IS NULL",
}


async def next_enabled(
    tx: Transaction, *, after: EnrollmentRow, limit: int, types: frozenset[str]
) -> list[EnrollmentRow]:
    """The next enabled enrollments of these types, in order of row: how "everyone" is gone through in pieces."""
    marks = ", ".join("?" * len(types))
    rows = await tx.fetch_all(
        f"SELECT id FROM enrollment WHERE id > ? AND enabled = 1 AND type IN ({marks}) ORDER BY id LIMIT ?",
        after,
        *sorted(types),
        limit,
    )
    return [EnrollmentRow(row[0]) for row in rows]


class DeviceLists:
    """The part of the device store that answers people's questions."""

    async def enrollment(self, tx: Transaction, row: EnrollmentRow) -> Enrollment | None:
        """The whole record."""
        found = await tx.fetch_one(f"SELECT {_COLUMNS} {_FROM} WHERE id = ?", row)
        return None if found is None else _enrollment_of(found)

    async def find(self, tx: Transaction, reference: str) -> list[EnrollmentRow]:
        """Rows that a person may mean: a key, else an external id, else live devices with this serial number."""
        for condition in (
            "key = ?",
            "external_id = ?",
            "serial_number = ? AND ended_at IS NULL AND parent_id IS NULL",
        ):
            rows = await tx.fetch_all(
                f"SELECT id FROM enrollment WHERE {condition} AND deleted_at IS NULL ORDER BY id LIMIT 10", reference
            )
            if rows:
                return [EnrollmentRow(row[0]) for row in rows]
        return []

    async def find_many(self, tx: Transaction, references: Sequence[str]) -> dict[str, Target]:
        """The same without serial numbers, for many at once; unknown and ambiguous ones are missing from the answer."""
        marks = ", ".join("?" * len(references))
        rows = await tx.fetch_all(
            f"SELECT key, external_id, id, ended_at IS NULL, product_name FROM enrollment WHERE (key IN ({marks}) "
            f"OR external_id IN ({marks})) AND deleted_at IS NULL ORDER BY id",
            *references,
            *references,
        )
        by_key: dict[str, Target] = {}
        by_name: dict[str, list[Target]] = {}
        for key, name, row, is_live, product_name in rows:
            by_key[key] = Target(row=EnrollmentRow(row), is_live=bool(is_live), product_name=product_name)
            by_name.setdefault(name, []).append(by_key[key])
        # A device chooses what it is called: one that took another's name must not get what was meant for that one.
        unambiguous = {name: targets[0] for name, targets in by_name.items() if len(targets) == 1}
        found = unambiguous | by_key
        return {reference: found[reference] for reference in references if reference in found}

    async def enrollments(
        self, tx: Transaction, filter: EnrollmentFilter, *, after: EnrollmentRow | None, limit: int
    ) -> list[Enrollment]:
        """Enrollments in order of row."""
        conditions = ["id > ?", "deleted_at IS NULL"]
        parameters: list[str | int] = [after or 0]
        if filter.state is not None:
            conditions.append(_STATES[filter.state])
        if filter.serial_number is not None:
            conditions.append("serial_number = ?")
            parameters.append(filter.serial_number)
        if filter.device is not None:
            conditions.append("device_id = ?")
            parameters.append(filter.device)
        if filter.types:
            conditions.append(f"type IN ({', '.join('?' * len(filter.types))})")
            parameters.extend(sorted(filter.types))
        rows = await tx.fetch_all(
            f"SELECT {_COLUMNS} {_FROM} WHERE {' AND '.join(conditions)} ORDER BY id LIMIT ?",
            *parameters,
            limit,
        )
        return [_enrollment_of(row) for row in rows]

    async def counts(self, tx: Transaction) -> dict[str, int]:
        """How many enrollments are in each state, by `EnrollmentState` value, devices and users together."""
        cases = " ".join(f"WHEN {condition} THEN '{state.value}'" for state, condition in _STATES.items())
        rows = await tx.fetch_all(
            f"SELECT CASE {cases} END AS state, count(*) FROM enrollment WHERE deleted_at IS NULL GROUP BY 1"
        )
        return {state.value: 0 for state in EnrollmentState} | {row[0]: row[1] for row in rows}


def _enrollment_of(row: Row) -> Enrollment:
    next_at, pushed_at, status, reason, apns_id, accepted_at, stopped_at = row[17:24]
    facts = dict(zip(_FACTS, row[24:], strict=True))
    return Enrollment(
        row=EnrollmentRow(row[0]),
        id=EnrollmentID.from_key(row[1]),
        life=row[2],
        enabled=bool(row[3]),
        ended_at=loaded(row[4]),
        topic=row[5],
        has_push_token=bool(row[6]),
        token_update_tally=row[7],
        awaiting_configuration=bool(row[8]),
        user_short_name=row[9],
        user_long_name=row[10],
        created_at=loaded(row[11]),
        enrolled_at=loaded(row[12]),
        last_seen_at=loaded(row[13]),
        user_name=row[14],
        is_to_unenroll=bool(row[15]),
        erased_at=loaded(row[16]),
        facts=DeviceFacts(**facts),
        push=PushStanding(
            next_at=loaded(next_at) if stopped_at is None else None,
            pushed_at=loaded(pushed_at),
            status=status,
            reason=reason,
            apns_id=apns_id,
            accepted_at=loaded(accepted_at),
            stopped_at=loaded(stopped_at),
        ),
    )
