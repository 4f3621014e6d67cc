"""Enqueue, follow and cancel commands. Handing them out to devices is `checkin`; waking devices is `push`."""

import secrets
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from mdmserver.audit.model import Actor, ActorKind
from mdmserver.audit.store import AuditStore
from mdmserver.clock import Clock
from mdmserver.commands.destructive import DEFAULT_RULES, DestructiveRules
from mdmserver.commands.enqueue import Enqueued, Enqueuer
from mdmserver.commands.explain import Explanation, explain, timeline_of
from mdmserver.commands.model import (
    CommandRecord,
    CommandRow,
    ItemRow,
    ItemState,
    Progress,
    QueueItem,
    StoredResult,
)
from mdmserver.commands.request import CommandRequest
from mdmserver.commands.store import CommandStore, ItemFilter
from mdmserver.devices.model import EnrollmentRow, TimelineEntry
from mdmserver.devices.store import DeviceStore
from mdmserver.errors import Conflict, NotFound
from mdmserver.events import Hint, Hints
from mdmserver.paging import Page, checked_limit, decode_cursor, page_of
from mdmserver.protocol import CommandUUID, EnrollmentType
from mdmserver.transaction import Storage, Transaction

_EXPIRE_CHUNK = 500
_QUARANTINE = Actor(kind=ActorKind.BACKGROUND, name="quarantine")


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandDetail:
    """A command and how far it got."""

    record: CommandRecord
    progress: Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemDetail:
    """A command for one enrollment: where it stands, why, what happened, and its result if there is one."""

    item: QueueItem
    explanation: Explanation
    timeline: list[TimelineEntry]
    result: StoredResult | None


class CommandService:
    """The queue, as people and tools see it."""

    def __init__(
        self,
        *,
        storage: Storage,
        commands: CommandStore,
        devices: DeviceStore,
        audit: AuditStore,
        hints: Hints,
        clock: Clock,
        new_uuid: Callable[[], str] = lambda: str(uuid.uuid4()).upper(),
        new_pin: Callable[[], str] = lambda: f"{secrets.randbelow(10**6):06d}",
        rules: DestructiveRules = DEFAULT_RULES,
        enrollment_profile_identifier: str | None = None,
    ) -> None:
        self._storage = storage
        self._commands = commands
        self._devices = devices
        self._audit = audit
        self._hints = hints
        self._clock = clock
        self._enqueuer = Enqueuer(
            storage=storage,
            commands=commands,
            devices=devices,
            audit=audit,
            hints=hints,
            clock=clock,
            new_uuid=new_uuid,
            new_pin=new_pin,
            rules=rules,
            enrollment_profile_identifier=enrollment_profile_identifier,
        )

    async def enqueue(
        self, request: CommandRequest, references: Sequence[str], *, actor: Actor, wake: bool = True
    ) -> Enqueued:
        """Queue a command for enrollments by external id; see `Enqueuer.to_references`."""
        return await self._enqueuer.to_references(request, references, actor=actor, wake=wake)

    async def enqueue_for_everyone(
        self, request: CommandRequest, *, types: frozenset[EnrollmentType], actor: Actor
    ) -> Enqueued:
        """Queue a command for every enabled enrollment of these types; see `Enqueuer.to_everyone`."""
        return await self._enqueuer.to_everyone(request, types=types, actor=actor)

    async def commands(self, *, request_type: str | None, cursor: str | None, limit: int) -> Page[CommandRecord]:
        """Commands, newest first."""
        before = decode_cursor(cursor)
        rows = await self._storage.read(
            partial(
                self._commands.commands,
                request_type=request_type,
                before=None if before is None else CommandRow(before),
                limit=checked_limit(limit) + 1,
            )
        )
        return page_of([(record.row, record) for record in rows], limit)

    async def show(self, command_uuid: CommandUUID) -> CommandDetail:
        """A command and its progress. Raises NotFound."""

        async def body(tx: Transaction) -> CommandDetail:
            record = await self._record(tx, command_uuid)
            return CommandDetail(record=record, progress=await self._commands.progress(tx, record.row))

        return await self._storage.read(body)

    async def targets(
        self, command_uuid: CommandUUID, *, states: frozenset[ItemState], cursor: str | None, limit: int
    ) -> Page[QueueItem]:
        """A command's queue items, in the order in which they were queued. Raises NotFound."""

        async def body(tx: Transaction) -> list[QueueItem]:
            record = await self._record(tx, command_uuid)
            wanted = ItemFilter(command=record.row, states=states)
            return await self._commands.items(tx, wanted, after=after, limit=limit + 1)

        after = _item_row(cursor)
        checked_limit(limit)
        return page_of([(item.row, item) for item in await self._storage.read(body)], limit)

    async def queue_of(
        self, enrollment: EnrollmentRow, *, states: frozenset[ItemState], cursor: str | None, limit: int
    ) -> Page[QueueItem]:
        """An enrollment's queue items, oldest first."""
        wanted = ItemFilter(enrollment=enrollment, states=states)
        items = await self._storage.read(
            partial(self._commands.items, filter=wanted, after=_item_row(cursor), limit=checked_limit(limit) + 1)
        )
        return page_of([(item.row, item) for item in items], limit)

    async def results(
        self, command_uuid: CommandUUID, *, cursor: str | None, limit: int
    ) -> Page[tuple[QueueItem, StoredResult]]:
        """A command's results with the items they belong to. Raises NotFound."""

        async def body(tx: Transaction) -> list[tuple[int, tuple[QueueItem, StoredResult]]]:
            record = await self._record(tx, command_uuid)
            found = await self._commands.results(tx, record.row, after=after, limit=limit + 1)
            pairs = [(await self._commands.item(tx, record.row, result.enrollment), result) for result in found]
            return [(result.item, (item, result)) for item, result in pairs if item is not None]

        after = _item_row(cursor)
        checked_limit(limit)
        return page_of(await self._storage.read(body), limit)

    async def item(self, command_uuid: CommandUUID, enrollment: EnrollmentRow) -> ItemDetail:
        """Everything about a command for one enrollment, with why it is not there yet. Raises NotFound."""

        async def body(tx: Transaction) -> ItemDetail:
            record = await self._record(tx, command_uuid)
            item = await self._commands.item(tx, record.row, enrollment)
            target = await self._devices.enrollment(tx, enrollment)
            if item is None or target is None:
                raise NotFound(f"command {command_uuid} was not sent to that enrollment", code="target_not_found")
            ahead = 0 if item.state.is_final else await self._commands.items_ahead(tx, item)
            return ItemDetail(
                item=item,
                explanation=explain(item, target, ahead=ahead, at=self._clock()),
                timeline=timeline_of(item, target.life),
                result=await self._commands.result(tx, item.row),
            )

        return await self._storage.read(body)

    async def cancel(
        self, command_uuid: CommandUUID, enrollments: Sequence[EnrollmentRow] | None, *, actor: Actor
    ) -> int:
        """Cancel a command's open items (None: all of them); how many. One that is out becomes withdrawn.

        Raises NotFound for an unknown command; cancelling what is finished changes nothing.
        """

        async def body(tx: Transaction) -> int:
            record = await self._record(tx, command_uuid)
            at = self._clock()
            number = await self._commands.withdraw(
                tx, record.row, enrollments, ending=ItemState.CANCELLED, reason=f"cancelled by {actor.name}", at=at
            )
            await self._audit.append(
                tx, at=at, actor=actor, action="command.cancel", subject=command_uuid, detail={"items": number}
            )
            return number

        return await self._storage.run(body)

    async def clear_queue_of(self, enrollment: EnrollmentRow, *, actor: Actor) -> int:
        """Cancel all that is open for one enrollment; how many. Raises NotFound."""

        async def body(tx: Transaction) -> int:
            at = self._clock()
            target = await self._devices.enrollment(tx, enrollment)
            if target is None:
                raise NotFound("there is no such enrollment", code="enrollment_not_found")
            number = await self._commands.withdraw_all(
                tx, enrollment, ending=ItemState.CANCELLED, reason=f"queue cleared by {actor.name}", at=at
            )
            await self._audit.append(
                tx, at=at, actor=actor, action="queue.clear", subject=str(target.id), detail={"items": number}
            )
            return number

        return await self._storage.run(body)

    async def command_body(self, command_uuid: CommandUUID) -> bytes:
        """The command's bytes, for those who may send commands. Raises NotFound, and Conflict for a destructive one:
        it may hold a PIN or an UnlockToken, and neither is shown again (S25, S28)."""

        async def body(tx: Transaction) -> bytes:
            record = await self._record(tx, command_uuid)
            if record.is_destructive:
                raise Conflict(f"the body of a {record.request_type} is not shown", code="body_not_shown")
            return await self._commands.body(tx, record.row)

        return await self._storage.read(body)

    async def quarantine(self) -> int:
        """Hold every open destructive command until a person releases or cancels it; how many items.

        For what a restored backup brings back: it may have been cancelled since, or done. Call it before devices are
        served. Again it holds only what was enqueued since.
        """

        async def body(tx: Transaction) -> int:
            at = self._clock()
            number = await self._commands.hold_destructive(tx, at=at)
            if number:
                await self._audit.append(
                    tx, at=at, actor=_QUARANTINE, action="command.quarantine", subject="", detail={"items": number}
                )
            return number

        return await self._storage.run(body)

    async def release(self, command_uuid: CommandUUID, *, actor: Actor) -> int:
        """Let a command out of quarantine; for how many devices. Raises NotFound, and Conflict if it is not in it."""

        async def body(tx: Transaction) -> int:
            record, at = await self._record(tx, command_uuid), self._clock()
            number = await self._commands.release_held(tx, record.row, at=at)
            if not number:
                raise Conflict(f"command {command_uuid} is not held", code="command_not_held")
            await self._audit.append(
                tx, at=at, actor=actor, action="command.release", subject=command_uuid, detail={"items": number}
            )
            return number

        number = await self._storage.run(body)
        self._hints.give(Hint.COMMANDS_QUEUED)
        return number

    async def open_counts(self) -> dict[ItemState, int]:
        """Open items by state, over all enrollments."""
        return await self._storage.read(self._commands.counts)

    async def expire_due(self) -> int:
        """End what ran out of time, in chunks; how many items. Called by the server's sweep."""
        expired = 0
        while number := await self._storage.run(
            partial(self._commands.expire_due, at=self._clock(), limit=_EXPIRE_CHUNK)
        ):
            expired += number
        return expired

    async def _record(self, tx: Transaction, command_uuid: CommandUUID) -> CommandRecord:
        record = await self._commands.command(tx, command_uuid)
        if record is None:
            raise NotFound(f"there is no command {command_uuid!r}", code="command_not_found")
        return record


def _item_row(cursor: str | None) -> ItemRow | None:
    position = decode_cursor(cursor)
    return None if position is None else ItemRow(position)
