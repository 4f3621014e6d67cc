"""A device reports and takes its next command: one durable step, the path that every connect goes.

In one transaction: may this certificate speak for this enrollment, store the result, choose and hand out the next
command. An Idle with nothing pending writes nothing.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from mdmserver.checkin.gate import Gate, Turned, turned_away
from mdmserver.clock import Clock
from mdmserver.commands.model import ItemState, OpenItem, ReportedResult, after_report, next_offer, reason_of
from mdmserver.commands.ports import Renderer
from mdmserver.commands.store import CommandStore
from mdmserver.devices.identity import PresentedIdentity
from mdmserver.devices.model import EnrollmentRow
from mdmserver.devices.presence import Presence
from mdmserver.devices.store import Channel
from mdmserver.events import Hint, Hints
from mdmserver.protocol import CommandReport, CommandUUID, EnrollmentID, Status
from mdmserver.push.pace import Served
from mdmserver.transaction import Storage, Transaction

OPEN_WINDOW = 64
"""Open items that are looked at first; the rest is read only when none of these can be handed out."""
OVERSIZED_RESULTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    enrollment: EnrollmentRow | None
    body: bytes | None = field(default=None, repr=False)
    stored_result: bool = False


class Exchange:
    """Takes reports and gives commands."""

    def __init__(
        self,
        *,
        storage: Storage,
        commands: CommandStore,
        presence: Presence,
        hints: Hints,
        clock: Clock,
        gate: Gate,
        renderers: Mapping[str, Renderer],
        processed_request_types: frozenset[str],
        served: Served,
    ) -> None:
        self._storage = storage
        self._commands = commands
        self._presence = presence
        self._hints = hints
        self._clock = clock
        self._gate = gate
        self._renderers = renderers
        self._processed_request_types = processed_request_types
        self._served = served

    async def report(
        self, report: CommandReport, presented: PresentedIdentity, result: ReportedResult | None
    ) -> bytes | None:
        """Store what the device reports and give the next command's bytes, or None when there is none.

        `result` is the report's body as it is to be stored; None for Idle and NotNow, which leave none.
        Raises IdentityRefused. A report for an unknown or finished command changes nothing.
        """
        at, began = self._clock(), time.monotonic()
        outcome = await self._storage.run(partial(self._step, report=report, presented=presented, result=result, at=at))
        self._served.add(time.monotonic() - began)
        if isinstance(outcome, Turned):
            raise turned_away(outcome, report.enrollment_id)
        if outcome.enrollment is not None:
            self._presence.saw(outcome.enrollment, at)
        if outcome.stored_result:
            self._hints.give(Hint.RESULTS)
        return outcome.body

    async def refuse_oversized(self, id: EnrollmentID, uuid: CommandUUID, presented: PresentedIdentity) -> None:
        """A result over the byte cap was refused; the third time its command ends as error. Raises IdentityRefused."""

        async def body(tx: Transaction) -> Turned | None:
            admitted = await self._gate.admit(tx, id, presented, at)
            if isinstance(admitted, Turned):
                return admitted
            channel = admitted.channel
            if channel is None or admitted.is_renewal_only:
                return None
            if await self._commands.count_oversized(tx, channel.row, uuid) >= OVERSIZED_RESULTS:
                item = await self._commands.open_item(tx, channel.row, uuid)
                assert item is not None
                await self._commands.finish(tx, item.row, ItemState.ERROR, at=at, reason="result too large")
            return None

        at = self._clock()
        turned = await self._storage.run(body)
        if turned is not None:
            raise turned_away(turned, id)

    async def _step(
        self,
        tx: Transaction,
        *,
        report: CommandReport,
        presented: PresentedIdentity,
        result: ReportedResult | None,
        at: datetime,
    ) -> _Outcome | Turned:
        admitted = await self._gate.admit(tx, report.enrollment_id, presented, at)
        if isinstance(admitted, Turned):
            return admitted
        channel = admitted.channel
        if channel is None or not channel.is_live:
            # The device is genuine but this user channel is not enrolled: let it go on, with nothing to do.
            return _Outcome(enrollment=None)
        return await self._converse(tx, channel, report, result, at, is_renewal_only=admitted.is_renewal_only)

    async def _converse(
        self,
        tx: Transaction,
        channel: Channel,
        report: CommandReport,
        result: ReportedResult | None,
        at: datetime,
        *,
        is_renewal_only: bool,
    ) -> _Outcome:
        enrollment = channel.row
        items = await self._commands.open_items(tx, enrollment, limit=OPEN_WINDOW)
        stored = False
        if report.status is Status.IDLE:
            if len(items) == OPEN_WINDOW or any(item.state is ItemState.WITHDRAWN for item in items):
                await self._commands.finish_withdrawn(tx, enrollment, at=at)
        else:
            reported = await self._reported(tx, enrollment, items, report.command_uuid)
            if reported is not None and (reported.is_renewal or not is_renewal_only):
                items = [item for item in items if item.row != reported.row]
                stored = await self._take(tx, reported, report, result, at)
        handed_out = partial(self._handed_out, tx, channel, after=report.status, at=at, is_renewal_only=is_renewal_only)
        body = await handed_out(items)
        if body is None and len(items) >= OPEN_WINDOW - 1:
            body = await handed_out(await self._commands.open_items(tx, enrollment, limit=None))
        return _Outcome(enrollment=enrollment, body=body, stored_result=stored)

    async def _handed_out(
        self,
        tx: Transaction,
        channel: Channel,
        items: list[OpenItem],
        *,
        after: Status,
        at: datetime,
        is_renewal_only: bool,
    ) -> bytes | None:
        """The bytes of the next command, which is then sent, or None when none of these is to be handed out."""
        while (offer := _offer(items, after, at, is_renewal_only=is_renewal_only)) is not None:
            body = await self._body(tx, offer, channel, at)
            if body is not None:
                await self._commands.mark_sent(tx, offer.row, at=at)
                return body
            items = [item for item in items if item.row != offer.row]
        return None

    async def _body(self, tx: Transaction, offer: OpenItem, channel: Channel, at: datetime) -> bytes | None:
        if offer.renderer is None:
            return await self._commands.body(tx, offer.command)
        return await self._renderers[offer.renderer](tx, offer, channel, at)

    async def _reported(
        self, tx: Transaction, enrollment: EnrollmentRow, items: list[OpenItem], uuid: CommandUUID | None
    ) -> OpenItem | None:
        for item in items:
            if item.command_uuid == uuid:
                return item
        if uuid is None or len(items) < OPEN_WINDOW:
            return None
        return await self._commands.open_item(tx, enrollment, uuid)

    async def _take(
        self,
        tx: Transaction,
        item: OpenItem,
        report: CommandReport,
        result: ReportedResult | None,
        at: datetime,
    ) -> bool:
        state = after_report(item, report.status)
        if state is ItemState.NOT_NOW:
            await self._commands.mark_not_now(tx, item.row, at=at)
            return False
        await self._commands.finish(tx, item.row, state, at=at, reason=reason_of(item, report))
        if result is None or report.status is Status.NOT_NOW:
            return False
        needs_processing = item.request_type in self._processed_request_types
        await self._commands.store_result(tx, item, result, needs_processing=needs_processing, at=at)
        return needs_processing


def _offer(items: list[OpenItem], after: Status, at: datetime, *, is_renewal_only: bool) -> OpenItem | None:
    allowed = [item for item in items if item.is_renewal] if is_renewal_only else items
    return next_offer(allowed, after=after, at=at)
