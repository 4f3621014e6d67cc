"""How far apps and their configurations got: counts, and for every device why it is where it is."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from mdmserver.apps.desired import configuration_for, effect_on
from mdmserver.apps.explain import Progress, UnderWay, explain_absence, explain_target, progress_of, progress_word
from mdmserver.apps.model import App, Effect
from mdmserver.apps.store import AppStore
from mdmserver.assignments.model import Device, SettingKind, Target, TargetRow, TargetState
from mdmserver.assignments.store import AssignmentStore
from mdmserver.clock import Clock
from mdmserver.commands.explain import Explanation, explain
from mdmserver.commands.store import CommandStore
from mdmserver.devices.model import Enrollment, EnrollmentRow
from mdmserver.devices.store import DeviceStore
from mdmserver.errors import NotFound
from mdmserver.paging import Page, checked_limit, decode_cursor, page_of
from mdmserver.transaction import Storage, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetDetail:
    """A setting on a device: how it stands, and why. `target` is None where nothing is meant for the device."""

    app: App
    enrollment: Enrollment
    target: Target | None
    progress: Progress | None
    command_uuid: str | None
    explanation: Explanation


class AppProgress:
    """What became of what is wanted."""

    def __init__(
        self,
        *,
        storage: Storage,
        apps: AppStore,
        assignments: AssignmentStore,
        commands: CommandStore,
        devices: DeviceStore,
        clock: Clock,
    ) -> None:
        self._storage = storage
        self._apps = apps
        self._assignments = assignments
        self._commands = commands
        self._devices = devices
        self._clock = clock

    async def counts(self, key: str) -> Mapping[SettingKind, Mapping[Progress, int]]:
        """How many devices are how far, by kind of setting. Raises NotFound."""

        async def body(tx: Transaction) -> Mapping[SettingKind, Mapping[Progress, int]]:
            app = await self._app(tx, key)
            counts: dict[SettingKind, Counter[Progress]] = {}
            for (kind, state, has_command, was_sent), number in (await self._assignments.counts(tx, app.row)).items():
                word = progress_word(state, has_command=has_command, was_sent=was_sent)
                counts.setdefault(kind, Counter())[word] += number
            return counts

        return await self._storage.read(body)

    async def targets(
        self, key: str, *, kind: SettingKind | None, states: frozenset[TargetState], cursor: str | None, limit: int
    ) -> Page[TargetDetail]:
        """The app's settings on devices, with why each is where it is. Raises NotFound."""

        async def body(tx: Transaction) -> list[tuple[int, TargetDetail]]:
            app = await self._app(tx, key)
            found = await self._assignments.of_app(
                tx, app.row, kind=kind, states=frozenset(state.value for state in states), after=after, limit=limit + 1
            )
            return [(target.row, await self._detail(tx, app, target)) for target in found]

        after = TargetRow(decode_cursor(cursor) or 0)
        checked_limit(limit)
        return page_of(await self._storage.read(body), limit)

    async def settings_of(self, enrollment: EnrollmentRow) -> list[TargetDetail]:
        """What should be on a device and how it stands; where nothing is meant for it, why. Raises NotFound."""

        async def body(tx: Transaction) -> list[TargetDetail]:
            device = await self._assignments.device(tx, enrollment)
            if device is None:
                raise NotFound("apps and settings are for devices, not for their users", code="not_a_device")
            apps = {app.row: app for app in await self._apps.apps(tx)}
            targets = await self._assignments.targets(tx, enrollment)
            details = [await self._detail(tx, apps[target.app], target) for target in targets]
            absent = [app for app in apps.values() if app.row not in {target.app for target in targets}]
            return details + [await self._absence(tx, app, device) for app in absent]

        return await self._storage.read(body)

    async def _detail(self, tx: Transaction, app: App, target: Target) -> TargetDetail:
        enrollment = await self._devices.enrollment(tx, target.enrollment)
        assert enrollment is not None
        device = await self._assignments.device(tx, target.enrollment)
        under_way = await self._under_way(tx, target, enrollment)
        return TargetDetail(
            app=app,
            enrollment=enrollment,
            target=target,
            progress=progress_of(target, under_way),
            command_uuid=None if under_way is None else under_way.command_uuid,
            explanation=explain_target(target, app, device, under_way),
        )

    async def _under_way(self, tx: Transaction, target: Target, enrollment: Enrollment) -> UnderWay | None:
        if target.command is None:
            return None
        item = await self._commands.item(tx, target.command, target.enrollment)
        if item is None:
            return None
        ahead = 0 if item.state.is_final else await self._commands.items_ahead(tx, item)
        return UnderWay(
            command_uuid=item.command_uuid,
            was_sent=item.first_sent_at is not None,
            explanation=explain(item, enrollment, ahead=ahead, at=self._clock()),
        )

    async def _absence(self, tx: Transaction, app: App, device: Device) -> TargetDetail:
        enrollment = await self._devices.enrollment(tx, device.row)
        assert enrollment is not None
        effect = effect_on(device, app.row, await self._apps.assignments(tx, app.row))
        revision = configuration_for(device, app.row, await self._apps.configurations(tx, app.row))
        return TargetDetail(
            app=app,
            enrollment=enrollment,
            target=None,
            progress=None,
            command_uuid=None,
            explanation=explain_absence(
                app, device, is_meant=effect is Effect.INSTALL, has_configuration=revision is not None
            ),
        )

    async def _app(self, tx: Transaction, key: str) -> App:
        app = await self._apps.app(tx, key)
        if app is None:
            raise NotFound(f"there is no app {key!r} in the catalogue", code="app_not_found")
        return app
