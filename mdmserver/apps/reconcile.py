"""Brings devices nearer to what should be on them: level-triggered, a device at a time, in one transaction each.

It looks at what is wanted and at what is known, never at what changed: doing it twice, or after a crash, does the same.
One command at a time is under way per setting; when something else is wanted meanwhile, that one is superseded.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from mdmserver.apps.delivery import RENDERER, Deliveries
from mdmserver.apps.desired import Catalogue, desired, effect_on
from mdmserver.apps.model import App, Effect
from mdmserver.apps.steps import step_of
from mdmserver.apps.store import AppStore
from mdmserver.assignments.model import (
    AppRow,
    Device,
    SettingKind,
    Step,
    Target,
    TargetState,
    Turn,
    Wanted,
    retry_after,
)
from mdmserver.assignments.store import AssignmentStore, Claimed
from mdmserver.clock import Clock
from mdmserver.commands.model import ItemState, NewCommand
from mdmserver.commands.store import CommandStore
from mdmserver.devices.model import EnrollmentRow
from mdmserver.events import Hint, Hints
from mdmserver.protocol import CommandUUID
from mdmserver.transaction import Storage, Transaction

LEASE = timedelta(minutes=1)
CREATED_BY = "assignments"
LOOK_AGAIN_AFTER = timedelta(minutes=15)
"""A device that has not said what it is may have said it by then."""
_CLAIM = 50
_SPREAD = 1_000
_log = logging.getLogger(__name__)


class Reconciler:
    """Works through the devices whose turn it is."""

    def __init__(
        self,
        *,
        storage: Storage,
        assignments: AssignmentStore,
        apps: AppStore,
        commands: CommandStore,
        deliveries: Deliveries,
        hints: Hints,
        clock: Clock,
        new_uuid: Callable[[], str],
    ) -> None:
        self._storage = storage
        self._assignments = assignments
        self._apps = apps
        self._commands = commands
        self._deliveries = deliveries
        self._hints = hints
        self._clock = clock
        self._new_uuid = new_uuid

    async def work(self) -> int:
        """Look at each device whose turn it is; how many commands were queued."""
        queued = 0
        while await self._storage.run(partial(self._assignments.spread, at=self._clock(), limit=_SPREAD)):
            pass
        while True:
            at = self._clock()
            claimed = await self._storage.run(partial(self._assignments.claim, at=at, until=at + LEASE, limit=_CLAIM))
            queued += sum(await asyncio.gather(*(self._looked_at(each) for each in claimed)))
            if len(claimed) < _CLAIM:
                break
        if queued:
            self._hints.give(Hint.COMMANDS_QUEUED)
        return queued

    async def find_stalled(self) -> int:
        """Give devices a turn whose commands ended in a way that nobody heard of; how many. Called now and then."""
        stalled = await self._storage.read(partial(self._assignments.stalled, limit=_SPREAD))
        if stalled:
            await self._storage.run(partial(self._assignments.ask, enrollments=stalled, at=self._clock()))
            self._hints.give(Hint.RECONCILE)
        return len(stalled)

    async def _looked_at(self, claimed: Claimed) -> int:
        try:
            return await self._storage.run(partial(self._reconcile, claimed=claimed))
        except Exception:
            # One device that cannot be looked at must not keep the others waiting; its claim runs out.
            _log.exception("reconcile_failed", extra={"enrollment_id": claimed.enrollment})
            return 0

    async def _reconcile(self, tx: Transaction, *, claimed: Claimed) -> int:
        at = self._clock()
        device = await self._assignments.device(tx, claimed.enrollment)
        if device is None or not device.enabled:
            await self._assignments.settle(tx, claimed, next_at=None)
            return 0
        await self._take_up_ended(tx, claimed.enrollment, at)
        catalogue = Catalogue(
            apps=await self._apps.apps(tx),
            assignments=await self._apps.assignments(tx),
            configurations=await self._apps.configurations(tx),
        )
        await self._set_wanted(tx, device, catalogue, at)
        targets = await self._assignments.targets(tx, device.row)
        apps = {app.row: app for app in catalogue.apps}
        queued = 0
        waits = [at + LOOK_AGAIN_AFTER] if device.platform is None else []
        for target in targets:
            if target.command is not None:
                continue
            if target.next_at is not None and target.next_at > at:
                waits.append(target.next_at)
                continue
            presence = _presence(targets, target.app)
            step = step_of(target, presence=presence)
            if step is not None:
                await self._begin(tx, apps[target.app], target, step, at)
                queued += 1
            else:
                await self._note_absence(tx, target, presence, at)
        await self._assignments.settle(tx, claimed, next_at=min(waits, default=None))
        return queued

    async def _take_up_ended(self, tx: Transaction, enrollment: EnrollmentRow, at: datetime) -> None:
        """Commands that somebody cancelled, or that expired: the target is still wanted, later."""
        for ended in await self._assignments.ended(tx, enrollment):
            target = ended.target
            attempts = target.attempts + 1
            next_at = at if ended.state is ItemState.SUPERSEDED else at + retry_after(attempts)
            turn = Turn(state=target.state, reason=_words_of(ended.state), attempts=attempts, next_at=next_at)
            await self._assignments.turned(tx, target.row, turn, at=at)

    async def _set_wanted(self, tx: Transaction, device: Device, catalogue: Catalogue, at: datetime) -> None:
        targets = await self._assignments.targets(tx, device.row)
        present = {(each.kind, each.app): each for each in targets}
        wanted = {(each.kind, each.app): each for each in desired(device, catalogue)}
        for key, want in wanted.items():
            target = present.get(key)
            if target is None or not _is_wanted_so(target, want):
                await self._supersede(tx, target, at)
                await self._assignments.want(tx, device.row, want, at=at)
        for key, target in present.items():
            effect = effect_on(device, target.app, catalogue.assignments)
            is_going = not target.is_wanted and (target.kind is not SettingKind.APP or effect is Effect.REMOVE)
            if key in wanted or is_going:
                continue
            app = present.get((SettingKind.APP, target.app))
            may_be_there = await self._may_be_there(tx, target, app)
            await self._supersede(tx, target, at)
            if _is_to_be_taken_away(target, effect, may_be_there=may_be_there):
                identifier = None if app is None else app.identifier
                await self._assignments.unwant(tx, target.row, identifier=identifier, at=at)
            else:
                await self._assignments.drop(tx, target.row)

    async def _supersede(self, tx: Transaction, target: Target | None, at: datetime) -> None:
        if target is None or target.command is None:
            return
        may_bring = target.step in (Step.CONFIGURE, Step.INSTALL_PROFILE) and await self._was_sent(tx, target)
        may_have = target.wanted_revision if may_bring else None
        await self._assignments.halt_command(tx, target.row, may_have=may_have)
        await self._commands.withdraw(
            tx,
            target.command,
            [target.enrollment],
            ending=ItemState.SUPERSEDED,
            reason="something else is wanted",
            at=at,
        )

    async def _was_sent(self, tx: Transaction, target: Target) -> bool:
        if target.command is None:
            return False
        item = await self._commands.item(tx, target.command, target.enrollment)
        return item is not None and item.first_sent_at is not None

    async def _may_be_there(self, tx: Transaction, target: Target, app: Target | None) -> bool:
        """Whether the device may have what a target is about from this server; `app` is the app's own target."""
        if await self._was_sent(tx, target):
            return True
        match target.kind:
            case SettingKind.APP:
                # What a person installed and never gave over stays theirs.
                return target.state not in (TargetState.INTENDED, TargetState.APP_UNMANAGED)
            case SettingKind.CONFIGURATION if app is not None and app.step is Step.INSTALL_APP:
                # It may be on its way with the installation.
                return target.sent_revision is not None or await self._was_sent(tx, app)
            case _:
                return target.sent_revision is not None

    async def _begin(self, tx: Transaction, app: App, target: Target, step: Step, at: datetime) -> None:
        uuid = CommandUUID(self._new_uuid())
        request_type, body = await self._deliveries.template(tx, app, target, step, uuid)
        command = NewCommand(
            uuid=uuid,
            request_type=request_type,
            body=body.content,
            content_hash=b"",
            renderer=RENDERER if body.is_rendered else None,
        )
        row = await self._commands.insert_command(tx, command, created_by=CREATED_BY, at=at)
        assert row is not None
        await self._commands.enqueue(tx, row, [target.enrollment], at=at)
        await self._assignments.began(tx, target.row, step, row)

    async def _note_absence(self, tx: Transaction, target: Target, presence: Target | None, at: datetime) -> None:
        """The configuration waits for its app: say so, and that what was verified is so no more."""
        if not target.is_wanted:
            return
        assert presence is not None
        state = TargetState.APP_UNMANAGED if presence.state is TargetState.APP_UNMANAGED else TargetState.APP_MISSING
        if presence.state in (TargetState.INTENDED, TargetState.ACKNOWLEDGED, TargetState.FAILED):
            state = target.state if target.state is TargetState.ACKNOWLEDGED else TargetState.INTENDED
        reason = "the app is not there and managed yet"
        if (target.state, target.reason) == (state, reason):
            return
        await self._assignments.turned(tx, target.row, Turn(state=state, reason=reason), at=at)


def _is_wanted_so(target: Target, wanted: Wanted) -> bool:
    return target.is_wanted and target.wanted_revision == wanted.revision


def _is_to_be_taken_away(target: Target, effect: Effect | None, *, may_be_there: bool) -> bool:
    """What may be there is taken away; an app stays unless its removal was ordered."""
    return may_be_there and (target.kind is not SettingKind.APP or effect is Effect.REMOVE)


def _words_of(ended: ItemState) -> str:
    if ended in (ItemState.ACKNOWLEDGED, ItemState.ERROR, ItemState.FORMAT_ERROR):
        return "the device's answer could not be read"
    return f"its command was {ended.value}"


def _presence(targets: list[Target], app: AppRow) -> Target | None:
    return next((each for each in targets if each.kind is SettingKind.APP and each.app == app), None)
