"""Destructive commands in SQL: how many devices they went to lately, and which of them are in quarantine."""

from datetime import datetime

from mdmserver.commands.destructive import Use
from mdmserver.commands.model import CommandRow
from mdmserver.devices.model import EnrollmentRow
from mdmserver.storage.push import ask_to_wake
from mdmserver.storage.times import loaded, stored
from mdmserver.transaction import Transaction


class DestructiveRows:
    """The part of the command store that deals in destructive commands."""

    async def destructive_uses(self, tx: Transaction, *, since: datetime) -> list[Use]:
        """What was enqueued after then, oldest first. One writer at a time: an engine with more takes a lock here."""
        rows = await tx.fetch_all("SELECT at, devices FROM destructive_use WHERE at > ? ORDER BY at, id", stored(since))
        return [Use(at=loaded(at), devices=devices) for at, devices in rows]

    async def add_destructive_use(self, tx: Transaction, command: CommandRow, use: Use) -> None:
        """Count devices that a destructive command was enqueued for."""
        await tx.execute(
            "INSERT INTO destructive_use (command_id, at, devices) VALUES (?, ?, ?)",
            command,
            stored(use.at),
            use.devices,
        )

    async def hold_destructive(self, tx: Transaction, *, at: datetime) -> int:
        """Put every open destructive item in quarantine; how many that were not in it."""
        return await tx.execute(
            "UPDATE queue_item SET held_at = ? WHERE finished_at IS NULL AND held_at IS NULL AND state <> 'withdrawn' "
            "AND command_id IN (SELECT id FROM command WHERE is_destructive = 1)",
            stored(at),
        )

    async def release_held(self, tx: Transaction, command: CommandRow, *, at: datetime) -> int:
        """Let a command's items out of quarantine, and have their devices woken; how many."""
        rows = await tx.fetch_all(
            "UPDATE queue_item SET held_at = NULL WHERE command_id = ? AND finished_at IS NULL AND held_at IS NOT NULL "
            "RETURNING enrollment_id",
            command,
        )
        await ask_to_wake(tx, [EnrollmentRow(row[0]) for row in rows], at=at)
        return len(rows)
