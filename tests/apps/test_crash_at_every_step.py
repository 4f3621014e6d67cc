"""The server dies before or after every single commit along a change: at the end every device has the newest value.

Nothing is doubled beyond delivery at least once: of each step there is one command, which a device may hear again.
"""

import copy
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from mdmserver.apps.model import PINGID_TOKEN
from mdmserver.assignments.model import TargetState
from mdmserver.storage.migration import migrate
from mdmserver.storage.sqlite import SQLiteStorage
from tests.apps.handset import Handset
from tests.apps.mortal import Killed, Mortal
from tests.apps.office import APP, CONFIGURATION, PROFILE, Office
from tests.enrollment.world import give_authority, open_world
from tests.fleet import FakeClock


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """A database as it was before the change, and what the devices had then."""

    folder: Path
    keys: Path
    clock: FakeClock
    handsets: list[Handset]


@asynccontextmanager
async def opened(before: Before, database: Path) -> AsyncIterator[tuple[Office, Mortal]]:
    """The server over this database, with devices as they were."""
    storage = SQLiteStorage(database)
    try:
        mortal = Mortal(storage)
        clock = FakeClock()
        clock.now = before.clock.now
        world = await open_world(mortal, before.keys, clock)
        office = Office(world=world, handsets=[copy_of(handset) for handset in before.handsets])
        office.reopen(world)
        mortal.is_to_die(at=None, before_commit=False)
        yield office, mortal
    finally:
        await storage.close()


def copy_of(handset: Handset) -> Handset:
    fields = {name: getattr(handset, name) for name in Handset.__slots__}
    services = fields.pop("services")
    return Handset(services=services, **copy.deepcopy(fields))


async def prepared(folder: Path, keys: Path, *, with_app: bool) -> Before:
    """A phone and a Mac, with token-1 verified, or with nothing meant for them yet."""
    clock = FakeClock()
    storage = SQLiteStorage(folder / "before.sqlite")
    await migrate(storage, "sqlite", clock=clock)
    world = await open_world(storage, keys, clock)
    await give_authority(world)
    await world.services.apps.add_built_in()
    office = Office(world=world)
    await office.phone(1)
    await office.mac(2)
    if with_app:
        await office.configure("token-1")
        await office.assign()
        await office.quiet()
    for handset in office.handsets:
        handset.forget()
    await storage.close()
    return Before(folder=folder, keys=keys, clock=clock, handsets=office.handsets)


async def change(office: Office) -> None:
    """What the administrator wants, however often it is said."""
    await office.configure("token-2")
    await office.assign()
    await office.quiet()


async def commits_of(before: Before) -> int:
    """How many commits the whole change takes."""
    shutil.copy(before.folder / "before.sqlite", before.folder / "counted.sqlite")
    async with opened(before, before.folder / "counted.sqlite") as (office, mortal):
        await change(office)
        await check(office)
        return mortal.commits


async def check(office: Office) -> None:
    phone, mac = office.handsets
    assert phone.configuration == {PINGID_TOKEN: "token-2"}
    for kind in (APP, CONFIGURATION):
        target = await office.target(phone, kind)
        assert (target.state, target.command) == (TargetState.VERIFIED, None)
    assert len({each.uuid for each in phone.heard if each.request_type in ("Settings", "InstallApplication")}) == 1
    profile = await office.target(mac, PROFILE)
    assert (profile.state, profile.command) == (TargetState.INSTALLED, None)
    assert len({each.uuid for each in mac.heard if each.request_type == "InstallProfile"}) == 1
    assert "token-2" in repr(mac.profiles)
    revisions = "SELECT count(*) FROM app_configuration_revision"
    audits = "SELECT count(*) FROM audit_record WHERE action = 'app.configure'"
    assert await office.world.count(revisions) == await office.world.count(audits)
    assert await office.world.count("SELECT count(*) FROM queue_item WHERE finished_at IS NULL") == 0
    assert await office.world.count("SELECT count(*) FROM result WHERE processed = 0") == 0


async def die_and_go_on(before: Before, database: Path, dies_at: int, *, before_commit: bool, loses: bool) -> None:
    shutil.copy(before.folder / "before.sqlite", database)
    async with opened(before, database) as (office, mortal):
        mortal.is_to_die(at=dies_at, before_commit=before_commit)
        for handset in office.handsets:
            handset.loses_reports = loses
        with pytest.raises(Killed):
            await change(office)
        survivors = Before(folder=before.folder, keys=before.keys, clock=office.clock, handsets=office.handsets)
    survivors.clock.advance(minutes=2)  # Claims of the dead process run out.
    async with opened(survivors, database) as (office, _):
        await change(office)
        assert await office.world.composed.reconciler.find_stalled() == 0
        await check(office)


@pytest.mark.parametrize("with_app", [True, False], ids=["a value is changed", "the app is assigned"])
@pytest.mark.parametrize("before_commit", [True, False], ids=["before", "after"])
async def test_a_crash_at_any_commit_leaves_no_device_behind(
    tmp_path: Path, keys: Path, *, with_app: bool, before_commit: bool
) -> None:
    before = await prepared(tmp_path, keys, with_app=with_app)
    commits = await commits_of(before)
    assert commits > 20

    for dies_at in range(1, commits + 1):
        loses = dies_at % 2 == 0
        database = tmp_path / f"{dies_at}.sqlite"
        await die_and_go_on(before, database, dies_at, before_commit=before_commit, loses=loses)
