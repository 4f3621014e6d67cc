"""What devices answer to the commands of targets, read from stored results. Registered in `composition`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mdmserver.apps.delivery import Deliveries, Reference
from mdmserver.apps.model import App, Fingerprint, Revision, with_fingerprints
from mdmserver.apps.outcomes import Reported, app_seen, delivered_with_install, outcome, status_listed
from mdmserver.apps.store import AppStore
from mdmserver.assignments.model import RevisionRow, SettingKind, Step, Target, TargetState, Turn
from mdmserver.assignments.store import AssignmentStore
from mdmserver.commands.model import ItemState, StoredResult
from mdmserver.commands.results import Change, ResultHandler
from mdmserver.commands.store import CommandStore
from mdmserver.protocol import ErrorItem, Status, loads, parse_report_plist
from mdmserver.transaction import Transaction

_IDENTIFIER = re.compile(r"[A-Za-z0-9._-]{1,255}")
_LOST = (TargetState.APP_MISSING, TargetState.APP_UNMANAGED, TargetState.FAILED)
REQUEST_TYPES = frozenset(
    {
        "InstallApplication",
        "InstallEnterpriseApplication",
        "InstallProfile",
        "ManagedApplicationConfiguration",
        "ManagedApplicationList",
        "ProfileList",
        "RemoveApplication",
        "RemoveProfile",
        "Settings",
    }
)


class TargetAnswers:
    """Turns results into turns of targets. A result that belongs to no target tells at most which apps are there."""

    def __init__(
        self,
        *,
        apps: AppStore,
        assignments: AssignmentStore,
        commands: CommandStore,
        deliveries: Deliveries,
        fingerprint: Fingerprint,
    ) -> None:
        self._apps = apps
        self._assignments = assignments
        self._commands = commands
        self._deliveries = deliveries
        self._fingerprint = fingerprint

    def handlers(self) -> dict[str, ResultHandler]:
        """The same for each of the request types by which targets move."""
        return dict.fromkeys(REQUEST_TYPES, self._read)

    def _read(self, result: StoredResult) -> Change:
        plist = loads(result.body)
        chain = parse_report_plist(plist).error_chain

        async def change(tx: Transaction) -> None:
            await self._take(tx, result, plist, chain)

        return change

    async def _take(
        self, tx: Transaction, result: StoredResult, plist: Mapping[str, Any], chain: Sequence[ErrorItem]
    ) -> None:
        target = await self._assignments.target_of_command(tx, result.enrollment, result.command_uuid)
        if target is None or target.step is None:
            await self._take_list(tx, result, plist)
            return
        app = await self._apps.app_by_row(tx, target.app)
        assert app is not None
        reported = await self._reported(tx, result, plist, chain, target, app)
        turn = outcome(target, target.step, reported, at=result.received_at)
        if target.step is Step.INSTALL_APP and result.status is Status.ACKNOWLEDGED:
            turn = _with_identifier(turn, plist)
            if turn.state is TargetState.ACKNOWLEDGED and "RejectionReason" not in plist:
                await self._note_configuration(tx, target, result)
        await self._apply(tx, target, turn, result)
        await self._assignments.ask(tx, [result.enrollment], at=result.received_at)

    async def _reported(
        self, tx: Transaction, result: StoredResult, plist: Mapping[str, Any], chain: Sequence[ErrorItem],
        target: Target, app: App,
    ) -> Reported:  # fmt: skip
        revision = None
        if target.wanted_revision is not None:
            revision = await self._apps.revision(tx, target.wanted_revision)
        words = [error.us_english_description or error.localized_description or "" for error in chain[:3]]
        return Reported(
            status=result.status,
            plist=plist,
            reason="; ".join(word for word in words if word) or None,
            identifier=await self._deliveries.identifier(tx, app, result.enrollment),
            intended=self._intended(revision),
            profile=None
            if revision is None
            else (self._deliveries.profile_identifier(app), self._deliveries.profile_uuid(app, revision)),
            error_code=chain[0].code if chain else None,
        )

    def _intended(self, revision: Revision | None) -> Mapping[str, Any] | None:
        if revision is None:
            return None
        intended: Mapping[str, Any] = with_fingerprints(dict(revision.values), self._fingerprint)
        return intended

    async def _note_configuration(self, tx: Transaction, target: Target, result: StoredResult) -> None:
        """A configuration that went along with the installation has been sent."""
        assert target.command is not None
        reference: Reference = self._deliveries.reference_of(await self._commands.body(tx, target.command))
        if reference.revision is None:
            return
        for other in await self._assignments.targets(tx, result.enrollment):
            is_it = other.kind is SettingKind.CONFIGURATION and other.app == target.app
            if is_it and other.command is None and other.wanted_revision == reference.revision:
                turn = delivered_with_install(other, RevisionRow(reference.revision))
                await self._assignments.turned(tx, other.row, turn, at=result.received_at)

    async def _take_list(self, tx: Transaction, result: StoredResult, plist: Mapping[str, Any]) -> None:
        """Somebody else's list of managed apps: some of what it says, a device says only once."""
        if result.request_type != "ManagedApplicationList" or result.status is not Status.ACKNOWLEDGED:
            return
        for target in await self._assignments.targets(tx, result.enrollment):
            # A list from before the target's present state, perhaps of an earlier life, says nothing of it.
            if target.kind is not SettingKind.APP or not target.is_wanted or result.received_at < target.state_at:
                continue
            app = await self._apps.app_by_row(tx, target.app)
            assert app is not None
            identifier = target.identifier or app.bundle_id
            status = status_listed(plist, identifier)
            if status is None:
                continue
            if target.command is not None:
                await self._assignments.saw(tx, target.row, status)
                continue
            await self._apply(tx, target, app_seen(target, plist, identifier, at=result.received_at), result)
            await self._assignments.ask(tx, [result.enrollment], at=result.received_at)

    async def _apply(self, tx: Transaction, target: Target, turn: Turn, result: StoredResult) -> None:
        if turn.is_over:
            await self._assignments.drop(tx, target.row)
            if target.kind is SettingKind.APP and turn.state is TargetState.ACKNOWLEDGED:
                await self._drop_configuration(tx, target)
            return
        await self._assignments.turned(tx, target.row, turn, at=result.received_at)
        if target.kind is SettingKind.APP and turn.state in _LOST:
            await self._stop_configuring(tx, target, result)
            await self._assignments.lost_app(tx, result.enrollment, target.app, at=result.received_at)

    async def _drop_configuration(self, tx: Transaction, app: Target) -> None:
        """The app was removed, and its configuration with it."""
        for target in await self._assignments.targets(tx, app.enrollment):
            if target.kind is SettingKind.CONFIGURATION and target.app == app.app and target.command is None:
                await self._assignments.drop(tx, target.row)

    async def _stop_configuring(self, tx: Transaction, app: Target, result: StoredResult) -> None:
        """What is under way for the configuration of an app that is gone would prove nothing."""
        for target in await self._assignments.targets(tx, app.enrollment):
            is_it = target.kind is SettingKind.CONFIGURATION and target.app == app.app and target.is_wanted
            if not is_it or target.command is None:
                continue
            await self._assignments.halt_command(tx, target.row)
            await self._commands.withdraw(
                tx, target.command, [app.enrollment], ending=ItemState.SUPERSEDED,
                reason="the app is not there and managed", at=result.received_at,
            )  # fmt: skip


def _with_identifier(turn: Turn, plist: Mapping[str, Any]) -> Turn:
    """The device says what it calls the app: believed for this device alone."""
    identifier = plist.get("Identifier")
    if not isinstance(identifier, str) or not _IDENTIFIER.fullmatch(identifier):
        return turn
    return replace(turn, identifier=identifier)
