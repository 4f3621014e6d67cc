"""Puts one command into many queues. Done in chunks between which devices are served; doing it again goes on.

The first chunk's transaction keeps the command and writes the audit record. Should the server stop between chunks,
the same call (same CommandUUID or idempotency key, same content) queues the rest: a target has a command once, and a
call that queues nothing more leaves no record.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial

from mdmserver.audit.model import Actor
from mdmserver.audit.store import AuditStore
from mdmserver.clock import Clock
from mdmserver.commands.model import CommandRecord, NewCommand
from mdmserver.commands.request import CommandRequest, compose
from mdmserver.commands.store import CommandStore
from mdmserver.devices.model import EnrollmentRow
from mdmserver.devices.store import DeviceStore
from mdmserver.errors import Conflict, Invalid
from mdmserver.events import Hint, Hints
from mdmserver.protocol import CommandUUID, EnrollmentType
from mdmserver.transaction import Storage, Transaction

CHUNK = 1_000
MAXIMUM_REFERENCES = 100_000
ASLEEP = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Enqueued:
    """What came of it. `refused` maps a reference to a stable code: `not_found` or `not_enrolled`."""

    uuid: CommandUUID
    request_type: str
    queued: int
    refused: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """The command as it is stored, and whether this call's audit record is written."""

    record: CommandRecord
    is_new: bool
    is_audited: bool = False


class Enqueuer:
    """The verb behind `CommandService.enqueue`."""

    def __init__(
        self,
        *,
        storage: Storage,
        commands: CommandStore,
        devices: DeviceStore,
        audit: AuditStore,
        hints: Hints,
        clock: Clock,
        new_uuid: Callable[[], str],
        enrollment_profile_identifier: str | None,
    ) -> None:
        self._storage = storage
        self._commands = commands
        self._devices = devices
        self._audit = audit
        self._hints = hints
        self._clock = clock
        self._new_uuid = new_uuid
        self._enrollment_profile_identifier = enrollment_profile_identifier

    async def to_references(
        self, request: CommandRequest, references: Sequence[str], *, actor: Actor, wake: bool = True
    ) -> Enqueued:
        """Queue for these external enrollment ids; those that are unknown or ended are refused one by one.

        `wake` False leaves the devices asleep for now: they are pushed after a quarter of an hour.

        With no usable target at all nothing is kept. Raises Invalid, Conflict (uuid or idempotency key taken by
        another command) or ScopeMissing.
        """
        if not references or len(references) > MAXIMUM_REFERENCES:
            raise Invalid(f"name 1 to {MAXIMUM_REFERENCES} targets, not {len(references)}", code="invalid_targets")
        command = await self._composed(request)
        rows, refused = await self._resolve(references)
        if not rows:
            return Enqueued(uuid=command.uuid, request_type=command.request_type, queued=0, refused=refused)
        kept: _Kept | None = None
        for start in range(0, len(rows), CHUNK):
            chunk = rows[start : start + CHUNK]
            kept = await self._storage.run(
                partial(
                    self._enqueue, command=command, kept=kept, targets=chunk, total=len(rows), actor=actor, wake=wake
                )
            )
        assert kept is not None
        self._hints.give(Hint.COMMANDS_QUEUED)
        record = kept.record
        return Enqueued(uuid=record.uuid, request_type=record.request_type, queued=len(rows), refused=refused)

    async def to_everyone(self, request: CommandRequest, *, types: frozenset[EnrollmentType], actor: Actor) -> Enqueued:
        """Queue for every enabled enrollment of these types, as they are when their chunk is reached."""
        command = await self._composed(request)
        kept: _Kept | None = None
        after: EnrollmentRow | None = EnrollmentRow(0)
        queued = 0
        while after is not None:
            kept, number, after = await self._storage.run(
                partial(self._enqueue_next, command=command, kept=kept, types=types, after=after, actor=actor)
            )
            queued += number
        assert kept is not None
        self._hints.give(Hint.COMMANDS_QUEUED)
        return Enqueued(uuid=kept.record.uuid, request_type=kept.record.request_type, queued=queued)

    async def _composed(self, request: CommandRequest) -> NewCommand:
        # Writing a large payload, or reading a large plist, takes up to a second: other callers go on meanwhile.
        return await asyncio.to_thread(
            compose,
            request,
            new_uuid=self._new_uuid,
            at=self._clock(),
            enrollment_profile_identifier=self._enrollment_profile_identifier,
        )

    async def _resolve(self, references: Sequence[str]) -> tuple[list[EnrollmentRow], dict[str, str]]:
        rows: dict[EnrollmentRow, None] = {}
        refused: dict[str, str] = {}
        for start in range(0, len(references), CHUNK):
            chunk = references[start : start + CHUNK]
            found = await self._storage.read(partial(self._devices.find_many, references=chunk))
            for reference in chunk:
                target = found.get(reference)
                if target is None or not target.is_live:
                    refused[reference] = "not_found" if target is None else "not_enrolled"
                else:
                    rows[target.row] = None
        return list(rows), refused

    async def _enqueue(
        self,
        tx: Transaction,
        *,
        command: NewCommand,
        kept: _Kept | None,
        targets: Sequence[EnrollmentRow],
        total: int,
        actor: Actor,
        wake: bool,
    ) -> _Kept:
        kept, at = kept or await self._kept(tx, command, actor), self._clock()
        wake_at = kept.record.not_before or at
        number = await self._commands.enqueue(
            tx, kept.record.row, targets, at=at, wake_at=wake_at if wake else max(wake_at, at + ASLEEP)
        )
        return await self._audited(tx, kept, queued=number, targets=total, actor=actor)

    async def _enqueue_next(
        self,
        tx: Transaction,
        *,
        command: NewCommand,
        kept: _Kept | None,
        types: frozenset[EnrollmentType],
        after: EnrollmentRow,
        actor: Actor,
    ) -> tuple[_Kept, int, EnrollmentRow | None]:
        kept = kept or await self._kept(tx, command, actor)
        at = self._clock()
        number, last = await self._commands.enqueue_all(
            tx,
            kept.record.row,
            after=after,
            limit=CHUNK,
            types=types,
            at=at,
            wake_at=kept.record.not_before or at,
        )
        return await self._audited(tx, kept, queued=number, targets="everyone", actor=actor), number, last

    async def _kept(self, tx: Transaction, command: NewCommand, actor: Actor) -> _Kept:
        known = await self._known(tx, command)
        if known is None:
            await self._commands.insert_command(tx, command, created_by=actor.name, at=self._clock())
            inserted = await self._commands.command(tx, command.uuid)
            assert inserted is not None
            return _Kept(record=inserted, is_new=True)
        if known.content_hash != command.content_hash:
            raise Conflict(
                f"command {known.uuid} was enqueued before with another content; use a new CommandUUID or key",
                code="command_differs",
            )
        return _Kept(record=known, is_new=False)

    async def _known(self, tx: Transaction, command: NewCommand) -> CommandRecord | None:
        if command.idempotency_key is not None:
            known = await self._commands.command_by_idempotency_key(tx, command.idempotency_key)
            if known is not None:
                return known
        return await self._commands.command(tx, command.uuid)

    async def _audited(self, tx: Transaction, kept: _Kept, *, queued: int, targets: int | str, actor: Actor) -> _Kept:
        if kept.is_audited or not (kept.is_new or queued):
            return kept
        record = kept.record
        detail = {"request_type": record.request_type, "targets": targets}
        await self._audit.append(
            tx, at=self._clock(), actor=actor, action="command.enqueue", subject=record.uuid, detail=detail
        )
        return replace(kept, is_audited=True)
