"""Devices, an app with two revisions, and short ways to the AssignmentStore."""

from collections.abc import Iterable
from datetime import timedelta
from functools import partial

from mdmserver.apps.model import NewApp
from mdmserver.assignments.model import (
    AppRow,
    Device,
    RevisionRow,
    Scope,
    ScopeKind,
    SettingKind,
    Step,
    Target,
    Turn,
    Wanted,
)
from mdmserver.assignments.store import Claimed
from mdmserver.commands.model import CommandRow, NewCommand
from mdmserver.commands.store import CommandStore
from mdmserver.devices.model import DeviceFacts, EnrollmentRow
from mdmserver.protocol import CommandUUID
from mdmserver.storage.apps import SQLAppStore
from mdmserver.storage.assignments import SQLAssignmentStore
from mdmserver.storage.devices import SQLDeviceStore
from mdmserver.storage.vault import Vault
from mdmserver.transaction import Storage
from tests.fleet import START, TOPIC, device_id

ALL = Scope(kind=ScopeKind.ALL)
APP, CONFIGURATION, PROFILE = SettingKind.APP, SettingKind.CONFIGURATION, SettingKind.PROFILE
LATER = START + timedelta(hours=1)
DEVICES = 4


class Board:
    """The store, devices, an app with two revisions, and short ways to use them."""

    def __init__(self, storage: Storage, commands: CommandStore) -> None:
        self.storage = storage
        self.commands = commands
        self.store = SQLAssignmentStore()
        self.devices: list[EnrollmentRow] = []
        self.app = AppRow(0)
        self.revisions: list[RevisionRow] = []

    async def want(self, kind: SettingKind = CONFIGURATION, device: int = 0, revision: int = 0) -> Target:
        wanted = Wanted(kind=kind, app=self.app, revision=None if kind is APP else self.revisions[revision])
        await self.storage.run(partial(self.store.want, enrollment=self.devices[device], wanted=wanted, at=START))
        return await self.target(kind, device)

    async def targets(self, device: int = 0) -> list[Target]:
        return await self.storage.read(partial(self.store.targets, enrollment=self.devices[device]))

    async def target(self, kind: SettingKind = CONFIGURATION, device: int = 0) -> Target:
        [target] = [each for each in await self.targets(device) if each.kind is kind]
        return target

    async def turn(self, target: Target, turn: Turn, *, hours: float = 1) -> Target:
        at = START + timedelta(hours=hours)
        await self.storage.run(partial(self.store.turned, target=target.row, turn=turn, at=at))
        [turned] = [each for each in await self.all_targets() if each.row == target.row]
        return turned

    async def all_targets(self) -> list[Target]:
        return [target for device in range(DEVICES) for target in await self.targets(device)]

    async def begin(self, target: Target, uuid: str, step: Step = Step.CONFIGURE) -> CommandRow:
        command = NewCommand(uuid=CommandUUID(uuid), request_type="Settings", body=b"b", content_hash=b"")
        row = await self.storage.run(
            partial(self.commands.insert_command, command=command, created_by="test", at=START)
        )  # fmt: skip
        assert row is not None
        enqueue = partial(self.commands.enqueue, command=row, targets=[target.enrollment], at=START)
        await self.storage.run(enqueue)
        await self.storage.run(partial(self.store.began, target=target.row, step=step, command=row))
        return row

    async def claim(self, *, hours: float = 0, limit: int = 10) -> list[Claimed]:
        at = START + timedelta(hours=hours)
        until = at + timedelta(minutes=1)
        return await self.storage.run(partial(self.store.claim, at=at, until=until, limit=limit))

    async def ask(self, *devices: int, hours: float = 0) -> None:
        rows = [self.devices[device] for device in devices]
        await self.storage.run(partial(self.store.ask, enrollments=rows, at=START + timedelta(hours=hours)))

    async def settle(self, claimed: Claimed, hours: float | None) -> None:
        next_at = None if hours is None else START + timedelta(hours=hours)
        await self.storage.run(partial(self.store.settle, claimed=claimed, next_at=next_at))

    async def spread(self, limit: int = 100) -> bool:
        return await self.storage.run(partial(self.store.spread, at=START, limit=limit))

    async def label(self, device: int, kind: str, add: Iterable[str] = (), remove: Iterable[str] = ()) -> None:
        change = partial(self.store.set_labels, kind=kind, add=frozenset(add), remove=frozenset(remove))
        await self.storage.run(partial(change, enrollment=self.devices[device]))

    async def device(self, device: int) -> Device | None:
        return await self.storage.read(partial(self.store.device, enrollment=self.devices[device]))

    async def execute(self, sql: str, *parameters: object) -> None:
        await self.storage.run(lambda tx: tx.execute(sql, *parameters))

    def number_of(self, claimed: list[Claimed]) -> list[int]:
        return [self.devices.index(each.enrollment) for each in claimed]


async def new_board(storage: Storage, devices: SQLDeviceStore, commands: CommandStore, vault: Vault) -> Board:
    """Four enabled devices that nobody asked for, and an app with two revisions."""
    board = Board(storage, commands)
    apps = SQLAppStore(vault)
    for number in range(DEVICES):
        insert = partial(devices.insert_enrollment, id=device_id(number), parent=None, life=1, at=START)
        row = await storage.run(insert)
        facts = DeviceFacts(product_name="iPhone15,2")
        await storage.run(partial(devices.set_facts, row=row, facts=facts, topic=TOPIC, at=START))
        board.devices.append(row)
    await board.execute("UPDATE enrollment SET enabled = 1")
    new = NewApp(key="one", name="One", bundle_id="com.example.one")
    row_of_app = await storage.run(partial(apps.insert_app, app=new, at=START))
    assert row_of_app is not None
    board.app = row_of_app
    for value in ("1", "2"):
        revision = await storage.run(
            partial(
                apps.revise, app=board.app, scope=ALL, values={"T": value}, secret_keys=frozenset(), fingerprint=value,
                created_by="me", at=START,
            )
        )  # fmt: skip
        board.revisions.append(revision.row)
    return board
