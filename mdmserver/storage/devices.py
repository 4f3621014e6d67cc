"""Enrollments in SQL: their lives, their secrets and their timelines. Listing them is `device_lists`."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from mdmserver.devices.model import DeviceFacts, EnrollmentRow, EventKind, PushInfo, TimelineEntry
from mdmserver.protocol import EnrollmentID
from mdmserver.secret import Secret
from mdmserver.storage.device_lists import DeviceLists
from mdmserver.storage.erasing import ErasingRows
from mdmserver.storage.identities import IdentityRows
from mdmserver.storage.times import loaded, stored
from mdmserver.storage.vault import Place, Vault
from mdmserver.transaction import Transaction

_OF_ENROLLMENT = ("push_target", "push_attempt", "target_state", "reconcile", "device_label")
_FACTS = tuple(DeviceFacts.__slots__)
_SET_FACTS = ", ".join(f"{name} = coalesce(?, {name})" for name in _FACTS)


class SQLDeviceStore(IdentityRows, DeviceLists, ErasingRows):
    """The DeviceStore of SQLite."""

    def __init__(self, vault: Vault) -> None:
        super().__init__(vault)

    async def insert_enrollment(
        self, tx: Transaction, id: EnrollmentID, *, parent: EnrollmentRow | None, life: int, at: datetime
    ) -> EnrollmentRow:
        """A new enrollment, not enabled; `parent` is the device for a user channel and None for a device."""
        row = await tx.fetch_one(
            "INSERT INTO enrollment (key, external_id, type, device_id, user_id, parent_id, life, created_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
            id.key, str(id), id.type.value, id.device, id.user, parent, life, stored(at),
        )  # fmt: skip
        assert row is not None
        return EnrollmentRow(row[0])

    async def begin_life(self, tx: Transaction, device: EnrollmentRow, *, life: int, at: datetime) -> None:
        """Give a device its next life: not enabled, not ended, no tokens. Its user channels end."""
        await tx.execute(
            "UPDATE enrollment SET life = ?, enabled = 0, ended_at = NULL, released_at = NULL, tally = 0, "
            "erased_at = NULL, unenroll_requested_at = NULL, reauthenticated_at = NULL, deleted_at = NULL, "
            "awaiting_configuration = 0, enrolled_at = NULL, push_token_sealed = NULL, push_magic_sealed = NULL, "
            "unlock_token_sealed = NULL, bootstrap_token_sealed = NULL WHERE id = ?",
            life,
            device,
        )
        await tx.execute("DELETE FROM pending_reenrollment WHERE enrollment_id = ?", device)
        # What the device had belongs to the life that ended: all of it is intended again, and what was to be taken
        # away is gone.
        await tx.execute("DELETE FROM target_state WHERE enrollment_id = ? AND is_wanted = 0", device)
        await tx.execute(
            "UPDATE target_state SET state = 'intended', state_at = ?, reason = NULL, sent_revision = NULL, "
            "verified_at = NULL, step = NULL, command_id = NULL, attempts = 0, next_at = NULL, observed = NULL, "
            "identifier = NULL WHERE enrollment_id = ?",
            stored(at),
            device,
        )
        await self._end(tx, "parent_id = ? AND ended_at IS NULL", device, at=at)

    async def begin_user_life(self, tx: Transaction, user: EnrollmentRow, *, life: int) -> None:
        """A user channel that had ended is there again, in the device's present life, tally 0."""
        await tx.execute(
            "UPDATE enrollment SET life = ?, ended_at = NULL, tally = 0, awaiting_configuration = 0, "
            "enrolled_at = NULL WHERE id = ?",
            life,
            user,
        )

    async def end_life(self, tx: Transaction, row: EnrollmentRow, *, at: datetime) -> None:
        """End an enrollment's life and, for a device, its user channels': not enabled, tokens dropped."""
        await self._end(tx, "(id = ? OR parent_id = ?) AND ended_at IS NULL", row, row, at=at)

    async def _end(self, tx: Transaction, condition: str, *parameters: int, at: datetime) -> None:
        await tx.execute(
            "UPDATE enrollment SET ended_at = ?, enabled = 0, push_token_sealed = NULL, push_magic_sealed = NULL, "
            f"unlock_token_sealed = NULL, bootstrap_token_sealed = NULL WHERE {condition}",
            stored(at),
            *parameters,
        )

    async def set_facts(
        self, tx: Transaction, row: EnrollmentRow, facts: DeviceFacts, *, topic: str, at: datetime
    ) -> None:
        """Overwrite facts with those that were said; what was not said stays."""
        await tx.execute(
            f"UPDATE enrollment SET {_SET_FACTS}, topic = ?, last_seen_at = ? WHERE id = ?",
            *(getattr(facts, name) for name in _FACTS),
            topic,
            stored(at),
            row,
        )

    async def update_facts(self, tx: Transaction, row: EnrollmentRow, facts: DeviceFacts) -> None:
        """The same from a command's result: no topic."""
        await tx.execute(
            f"UPDATE enrollment SET {_SET_FACTS} WHERE id = ? AND deleted_at IS NULL",
            *(getattr(facts, name) for name in _FACTS),
            row,
        )

    async def set_push_info(
        self,
        tx: Transaction,
        id: EnrollmentID,
        row: EnrollmentRow,
        push: PushInfo,
        *,
        unlock_token: Secret[bytes] | None,
        awaiting_configuration: bool | None,
        user_short_name: str | None,
        user_long_name: str | None,
        at: datetime,
    ) -> int:
        """A TokenUpdate: enables, adds one to the tally and returns it. None keeps what is stored."""
        awaiting = None if awaiting_configuration is None else int(awaiting_configuration)
        updated = await tx.fetch_one(
            "UPDATE enrollment SET enabled = 1, tally = tally + 1, reauthenticated_at = NULL, topic = ?, "
            "erased_at = NULL, push_token_sealed = ?, push_magic_sealed = ?, "
            "unlock_token_sealed = coalesce(?, unlock_token_sealed), "
            "awaiting_configuration = coalesce(?, awaiting_configuration), "
            "user_short_name = coalesce(?, user_short_name), user_long_name = coalesce(?, user_long_name), "
            "enrolled_at = coalesce(enrolled_at, ?), last_seen_at = ?, push_token_at = ? WHERE id = ? RETURNING tally",
            push.topic,
            self._sealed(push.token, id, "push_token"),
            self._vault.seal(push.magic.reveal().encode(), _place(id, "push_magic")),
            self._sealed(unlock_token, id, "unlock_token"),
            awaiting, user_short_name, user_long_name, stored(at), stored(at), stored(at), row,
        )  # fmt: skip
        assert updated is not None
        # A new token is another address: what APNs said of the one before is forgotten, and what waits is told of.
        await tx.execute(
            "UPDATE push_target SET stopped_at = NULL, failures = 0, step = 0, held_until = 0, asks = asks + 1, "
            "due_at = CASE WHEN is_asked = 1 OR EXISTS (SELECT 1 FROM queue_item q WHERE q.enrollment_id = ? "
            "AND q.finished_at IS NULL) THEN ? END WHERE enrollment_id = ?",
            row,
            stored(at),
            row,
        )
        return int(updated[0])

    async def push_info(self, tx: Transaction, id: EnrollmentID) -> PushInfo | None:
        """Where APNs finds the enrollment; None before its first TokenUpdate and after its end."""
        row = await tx.fetch_one(
            "SELECT topic, push_token_sealed, push_magic_sealed FROM enrollment WHERE key = ?", id.key
        )
        if row is None or row[2] is None:
            return None
        token = None if row[1] is None else Secret(self._vault.open(bytes(row[1]), _place(id, "push_token")))
        magic = Secret(self._vault.open(bytes(row[2]), _place(id, "push_magic")).decode())
        return PushInfo(topic=row[0], token=token, magic=magic)

    async def set_origin(self, tx: Transaction, device: EnrollmentRow, *, uid: str, user_name: str | None) -> None:
        """Take over the id in the certificate and the invited user's name."""
        await tx.execute("UPDATE enrollment SET uid = ?, user_name = ? WHERE id = ?", uid, user_name, device)

    async def note_reauthenticated(self, tx: Transaction, device: EnrollmentRow, *, at: datetime) -> None:
        """An Authenticate came that began nothing."""
        await tx.execute("UPDATE enrollment SET reauthenticated_at = ? WHERE id = ?", stored(at), device)

    async def request_unenroll(self, tx: Transaction, device: EnrollmentRow, *, at: datetime) -> None:
        """From now on every message of this device is answered that it shall unenroll."""
        await tx.execute("UPDATE enrollment SET unenroll_requested_at = ? WHERE id = ?", stored(at), device)

    async def forget(self, tx: Transaction, device: EnrollmentRow, *, at: datetime) -> None:
        """Delete what is known of a device and its users; empty rows stay, so that revoked certificates stay known."""
        whose = "(SELECT id FROM enrollment WHERE id = ? OR parent_id = ?)"
        both = (device, device)
        await tx.execute(
            f"DELETE FROM result WHERE item_id IN (SELECT id FROM queue_item WHERE enrollment_id IN {whose})", *both
        )
        for table in ("queue_item", "enrollment_event", "pending_reenrollment", *_OF_ENROLLMENT):
            await tx.execute(f"DELETE FROM {table} WHERE enrollment_id IN {whose}", *both)
        nothing = ", ".join(f"{name} = NULL" for name in (*_FACTS, "user_name", "user_short_name", "user_long_name"))
        await tx.execute(
            f"UPDATE enrollment SET deleted_at = ?, topic = NULL, last_seen_at = NULL, {nothing} WHERE id IN {whose}",
            stored(at),
            *both,
        )

    async def set_awaiting_configuration(self, tx: Transaction, row: EnrollmentRow, awaiting: bool) -> None:
        """Whether the device is held in the Setup Assistant."""
        await tx.execute("UPDATE enrollment SET awaiting_configuration = ? WHERE id = ?", int(awaiting), row)

    async def set_bootstrap_token(self, tx: Transaction, device: EnrollmentID, token: Secret[bytes] | None) -> None:
        """Keep the device's bootstrap token, sealed; None deletes it."""
        await tx.execute(
            "UPDATE enrollment SET bootstrap_token_sealed = ? WHERE key = ?",
            self._sealed(token, device, "bootstrap_token"),
            device.key,
        )

    async def bootstrap_token(self, tx: Transaction, device: EnrollmentID) -> Secret[bytes] | None:
        """The device's bootstrap token, or None."""
        row = await tx.fetch_one("SELECT bootstrap_token_sealed FROM enrollment WHERE key = ?", device.key)
        if row is None or row[0] is None:
            return None
        return Secret(self._vault.open(bytes(row[0]), _place(device, "bootstrap_token")))

    async def add_event(
        self, tx: Transaction, row: EnrollmentRow, kind: EventKind, *, detail: str, life: int, at: datetime
    ) -> None:
        """Add to the enrollment's timeline."""
        await tx.execute(
            "INSERT INTO enrollment_event (enrollment_id, life, at, kind, detail) VALUES (?, ?, ?, ?, ?)",
            row,
            life,
            stored(at),
            kind.value,
            detail,
        )

    async def events_since(self, tx: Transaction, row: EnrollmentRow, kind: EventKind, *, since: datetime) -> int:
        """How many events of this kind the timeline has since then."""
        found = await tx.fetch_one(
            "SELECT count(*) FROM enrollment_event WHERE enrollment_id = ? AND kind = ? AND at >= ?",
            row,
            kind.value,
            stored(since),
        )
        assert found is not None
        return int(found[0])

    async def timeline(self, tx: Transaction, row: EnrollmentRow, *, limit: int) -> list[TimelineEntry]:
        """The newest entries, newest first."""
        rows = await tx.fetch_all(
            "SELECT at, kind, detail, life FROM enrollment_event WHERE enrollment_id = ? ORDER BY id DESC LIMIT ?",
            row,
            limit,
        )
        return [TimelineEntry(at=loaded(at), kind=kind, detail=detail, life=life) for at, kind, detail, life in rows]

    async def flush_last_seen(
        self, tx: Transaction, seen: Mapping[EnrollmentRow, datetime], *, worth_writing: timedelta
    ) -> None:
        """Move `last_seen_at` forward for many rows in the order given, where it moves by more than `worth_writing`."""
        await tx.execute_many(
            "UPDATE enrollment SET last_seen_at = ? WHERE id = ? AND deleted_at IS NULL "
            "AND (last_seen_at IS NULL OR last_seen_at < ?)",
            [(stored(at), row, stored(at - worth_writing)) for row, at in seen.items()],
        )

    def _sealed(self, secret: Secret[bytes] | None, id: EnrollmentID, column: str) -> bytes | None:
        return None if secret is None else self._vault.seal(secret.reveal(), _place(id, column))


def _place(id: EnrollmentID, column: str) -> Place:
    return Place("enrollment", id.key, column)
