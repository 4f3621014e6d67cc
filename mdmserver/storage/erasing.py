"""Devices that erase themselves or forget their passcode, in SQL: the unlock token, and what follows an erase."""

from collections.abc import Sequence
from datetime import datetime

from mdmserver.devices.model import EnrollmentRow
from mdmserver.devices.store import ErasedDevice
from mdmserver.protocol import EnrollmentID
from mdmserver.secret import Secret
from mdmserver.storage.times import loaded, stored
from mdmserver.storage.vault import Place, Vault
from mdmserver.transaction import Transaction


class ErasingRows:
    """The part of the device store that destructive commands need."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def unlock_token(self, tx: Transaction, row: EnrollmentRow) -> Secret[bytes] | None:
        """The device's unlock token, for its ClearPasscode alone (S25); None if it sent none."""
        found = await tx.fetch_one("SELECT key, unlock_token_sealed FROM enrollment WHERE id = ?", row)
        if found is None or found[1] is None:
            return None
        return Secret(self._vault.open(bytes(found[1]), Place("enrollment", found[0], "unlock_token")))

    async def with_unlock_token(self, tx: Transaction, rows: Sequence[EnrollmentRow]) -> set[EnrollmentRow]:
        """Which of these have sent an unlock token."""
        marks = ", ".join("?" * len(rows))
        found = await tx.fetch_all(
            f"SELECT id FROM enrollment WHERE id IN ({marks}) AND unlock_token_sealed IS NOT NULL", *rows
        )
        return {EnrollmentRow(row[0]) for row in found}

    async def enabled_devices(self, tx: Transaction) -> int:
        """How many devices are enrolled, without their users."""
        row = await tx.fetch_one("SELECT count(*) FROM enrollment WHERE enabled = 1 AND parent_id IS NULL")
        assert row is not None
        return int(row[0])

    async def mark_erased(self, tx: Transaction, device: EnrollmentRow, *, at: datetime) -> None:
        """The device said that it erases itself: it is not enabled any more."""
        await tx.execute("UPDATE enrollment SET erased_at = ?, enabled = 0 WHERE id = ?", stored(at), device)

    async def unmark_erased(self, tx: Transaction, device: EnrollmentRow) -> None:
        """It did not: it is enabled as before."""
        await tx.execute("UPDATE enrollment SET erased_at = NULL, enabled = 1 WHERE id = ?", device)

    async def erased_devices(self, tx: Transaction, *, after: EnrollmentRow | None, limit: int) -> list[ErasedDevice]:
        """Live devices that acknowledged an erase, in order of row."""
        rows = await tx.fetch_all(
            "SELECT id, key, life, erased_at, last_seen_at FROM enrollment "
            "WHERE erased_at IS NOT NULL AND ended_at IS NULL AND id > ? ORDER BY id LIMIT ?",
            after or 0,
            limit,
        )
        return [
            ErasedDevice(
                device=EnrollmentRow(row[0]),
                id=EnrollmentID.from_key(row[1]),
                life=row[2],
                erased_at=loaded(row[3]),
                last_seen_at=loaded(row[4]),
            )
            for row in rows
        ]
