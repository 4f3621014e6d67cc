"""Puts one command into many queues. Done in chunks between which devices are served; doing it again goes on.

The first chunk's transaction keeps the command and writes the audit record. Should the server stop between chunks,
the same call (same CommandUUID or idempotency key, same content) queues the rest: a target has a command once, and a
call that queues nothing more leaves no record. A destructive command is queued in one transaction, with what it counts
against the cap (S28): there is no half of it to be gone on with.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from mdmserver.audit.model import Actor
from mdmserver.audit.store import AuditStore
from mdmserver.clock import Clock
from mdmserver.commands.destructive import (
    CLEAR_PASSCODE,
    WINDOW,
    DestructiveRules,
    Use,
    check_cap,
    limited,
    may_be_a_mac,
)
from mdmserver.commands.model import CommandRecord, NewCommand
from mdmserver.commands.request import CommandRequest, Composed, compose
from mdmserver.commands.store import CommandStore
from mdmserver.devices.model import EnrollmentRow
from mdmserver.devices.store import DeviceStore, Target
from mdmserver.errors import Conflict, Invalid
from mdmserver.events import Hint, Hints
from mdmserver.protocol import CommandUUID, EnrollmentType
from mdmserver.secret import Secret
from mdmserver.transaction import Storage, Transaction

CHUNK = 1_000
MAXIMUM_REFERENCES = 100_000
ASLEEP = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Enqueued:
    """What came of it. `refused` maps a reference to a stable code: `not_found`, `not_enrolled`, `no_unlock_token`.

    `pin` is one that was made for it, which nobody is shown again; the times are those of a destructive command.
    """

    uuid: CommandUUID
    request_type: str
    queued: int
    refused: dict[str, str] = field(default_factory=dict)
    not_before: datetime | None = None
    expires_at: datetime | None = None
    pin: Secret[str] | None = None


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
        new_pin: Callable[[], str],
        rules: DestructiveRules,
        enrollment_profile_identifier: str | None,
    ) -> None:
        self._storage = storage
        self._commands = commands
        self._devices = devices
        self._audit = audit
        self._hints = hints
        self._clock = clock
        self._new_uuid = new_uuid
        self._new_pin = new_pin
        self._rules = rules
        self._enrollment_profile_identifier = enrollment_profile_identifier

    async def to_references(
        self, request: CommandRequest, references: Sequence[str], *, actor: Actor, wake: bool = True
    ) -> Enqueued:
        """Queue for these external enrollment ids; those that are unknown or ended are refused one by one.

        `wake` False leaves the devices asleep for now: they are pushed after a quarter of an hour.

        With no usable target at all nothing is kept. Raises Invalid, Conflict (uuid or idempotency key taken by
        another command, more than the cap of destructive commands) or ScopeMissing.
        """
        if not references or len(references) > MAXIMUM_REFERENCES:
            raise Invalid(f"name 1 to {MAXIMUM_REFERENCES} targets, not {len(references)}", code="invalid_targets")
        targets, refused = await self._resolve(references)
        composed = await self._composed(
            request, needs_pin=any(may_be_a_mac(target.product_name) for target in targets.values())
        )
        command = composed.command
        if command.renderer == CLEAR_PASSCODE:
            targets = await self._with_unlock_token(targets, refused)
        rows = list(dict.fromkeys(target.row for target in targets.values()))
        if rows and command.is_destructive:
            return replace(await self._destroy(composed, rows, actor=actor, wake=wake), refused=refused)
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
        command = (await self._composed(request, needs_pin=False)).command
        if command.is_destructive:
            raise Invalid(
                f"{command.request_type} is a destructive command: name the devices that it is for",
                code="invalid_targets",
            )
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

    async def _composed(self, request: CommandRequest, *, needs_pin: bool) -> Composed:
        # Writing a large payload, or reading a large plist, takes up to a second: other callers go on meanwhile.
        return await asyncio.to_thread(
            compose,
            request,
            new_uuid=self._new_uuid,
            at=self._clock(),
            enrollment_profile_identifier=self._enrollment_profile_identifier,
            new_pin=self._new_pin if needs_pin else None,
        )

    async def _resolve(self, references: Sequence[str]) -> tuple[dict[str, Target], dict[str, str]]:
        targets: dict[str, Target] = {}
        refused: dict[str, str] = {}
        for start in range(0, len(references), CHUNK):
            chunk = references[start : start + CHUNK]
            found = await self._storage.read(partial(self._devices.find_many, references=chunk))
            for reference in chunk:
                target = found.get(reference)
                if target is None or not target.is_live:
                    refused[reference] = "not_found" if target is None else "not_enrolled"
                else:
                    targets[reference] = target
        return targets, refused

    async def _with_unlock_token(self, targets: dict[str, Target], refused: dict[str, str]) -> dict[str, Target]:
        rows = [target.row for target in targets.values()]
        known: set[EnrollmentRow] = set()
        for start in range(0, len(rows), CHUNK):
            chunk = rows[start : start + CHUNK]
            known |= await self._storage.read(partial(self._devices.with_unlock_token, rows=chunk))
        refused |= {reference: "no_unlock_token" for reference, target in targets.items() if target.row not in known}
        return {reference: target for reference, target in targets.items() if target.row in known}

    async def _destroy(
        self, composed: Composed, targets: Sequence[EnrollmentRow], *, actor: Actor, wake: bool
    ) -> Enqueued:
        at = self._clock()
        command = limited(composed.command, self._rules, targets=len(targets), at=at)
        kept = await self._storage.run(
            partial(self._enqueue_destructive, command=command, targets=targets, actor=actor, wake=wake, at=at)
        )
        self._hints.give(Hint.COMMANDS_QUEUED)
        record = kept.record
        return Enqueued(
            uuid=record.uuid,
            request_type=record.request_type,
            queued=len(targets),
            not_before=record.not_before,
            expires_at=record.expires_at,
            # That of a repetition is another than the one the devices have.
            pin=composed.pin if kept.is_new else None,
        )

    async def _enqueue_destructive(
        self,
        tx: Transaction,
        *,
        command: NewCommand,
        targets: Sequence[EnrollmentRow],
        actor: Actor,
        wake: bool,
        at: datetime,
    ) -> _Kept:
        kept = await self._kept(tx, command, actor)
        wake_at = kept.record.not_before or at
        number = 0
        for start in range(0, len(targets), CHUNK):
            number += await self._commands.enqueue(
                tx,
                kept.record.row,
                targets[start : start + CHUNK],
                at=at,
                wake_at=wake_at if wake else max(wake_at, at + ASLEEP),
            )
        if not number:
            return await self._audited(tx, kept, queued=0, targets=len(targets), actor=actor)
        if not kept.is_new:
            # Its time to be cancelled has begun, or is over: others would go without one.
            raise Conflict(
                f"{kept.record.request_type} {kept.record.uuid} was enqueued before and takes no more devices; send a "
                "new command",
                code="destructive_command_closed",
            )
        uses = await self._commands.destructive_uses(tx, since=at - WINDOW)
        check_cap(uses, number, cap=self._rules.cap(await self._devices.enabled_devices(tx)), at=at)
        await self._commands.add_destructive_use(tx, kept.record.row, Use(at=at, devices=number))
        return await self._audited(tx, kept, queued=number, targets=len(targets), actor=actor)

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
