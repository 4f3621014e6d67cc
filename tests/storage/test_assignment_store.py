"""The AssignmentStore's contract: targets by device and setting."""

import sqlite3
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from mdmserver.assignments.model import (
    Platform,
    SettingKind,
    Step,
    Target,
    TargetState,
    Turn,
)
from mdmserver.assignments.store import Standing
from mdmserver.commands.model import ItemState, ReportedResult
from mdmserver.commands.store import CommandStore
from mdmserver.devices.model import EnrollmentRow
from mdmserver.protocol import CommandUUID, Status
from mdmserver.storage.devices import SQLDeviceStore
from mdmserver.storage.vault import Vault
from mdmserver.transaction import Storage
from tests.fleet import START, device_id, user_id
from tests.storage.assignment_board import APP, CONFIGURATION, DEVICES, LATER, PROFILE, Board, new_board


@pytest.fixture
async def board(storage: Storage, devices: SQLDeviceStore, commands: CommandStore, vault: Vault) -> Board:
    """Four enabled devices that nobody asked for, and an app with two revisions."""
    return await new_board(storage, devices, commands, vault)


async def test_a_device_is_what_it_said_with_its_labels(board: Board, devices: SQLDeviceStore) -> None:
    await board.label(0, "tag", add=["a", "b"])
    await board.label(0, "tag", add=["a", "c"], remove=["b", "x"])
    await board.label(0, "group", add=["a"])

    device = await board.device(0)

    assert device is not None
    assert (device.id, device.life, device.enabled, device.platform) == (device_id(0), 1, True, Platform.IOS)
    assert (sorted(device.tags), sorted(device.groups)) == (["a", "c"], ["a"])
    insert = partial(devices.insert_enrollment, id=user_id(0), parent=board.devices[0], life=1, at=START)
    user = await board.storage.run(insert)
    assert await board.storage.read(partial(board.store.device, enrollment=user)) is None
    assert await board.storage.read(partial(board.store.device, enrollment=EnrollmentRow(99))) is None


async def test_labels_are_counted_and_members_paged(board: Board) -> None:
    for device in (2, 0, 3):
        await board.label(device, "tag", add=["a"])
    await board.label(1, "group", add=["a"])

    assert await board.storage.read(partial(board.store.label_counts, kind="tag")) == {"a": 3}
    members = partial(board.store.members, kind="tag", name="a", limit=2)
    first = await board.storage.read(partial(members, after=EnrollmentRow(0)))
    rest = await board.storage.read(partial(members, after=first[-1]))
    assert [board.devices.index(row) for row in (*first, *rest)] == [0, 2, 3]


async def test_what_is_wanted_is_intended_and_wanted_again_it_is_intended_anew(board: Board) -> None:
    first = await board.want()
    assert (first.state, first.is_wanted, first.wanted_revision) == (TargetState.INTENDED, True, board.revisions[0])
    await board.begin(first, "C1")
    verified = await board.turn(
        first, Turn(state=TargetState.VERIFIED, is_verified=True, sent=board.revisions[0], attempts=2, next_at=LATER)
    )
    await board.begin(verified, "C2")

    again = await board.want(revision=1)

    assert again == replace(first, wanted_revision=board.revisions[1], sent_revision=board.revisions[0])


async def test_a_setting_of_a_device_is_one_target(board: Board) -> None:
    for kind in (APP, CONFIGURATION, PROFILE, CONFIGURATION):
        await board.want(kind)
    await board.want(device=1)

    assert [target.kind for target in await board.targets()] == [APP, CONFIGURATION, PROFILE]
    with pytest.raises(sqlite3.IntegrityError):
        await board.execute(
            "INSERT INTO target_state (enrollment_id, kind, app_id, is_wanted, state, state_at) "
            "SELECT enrollment_id, kind, app_id, 1, 'intended', 0 FROM target_state LIMIT 1"
        )


@pytest.mark.parametrize(
    "change",
    ["state = 'verified'", "state = 'done'", "kind = 'other'", "is_wanted = 2", "app_id = 99", "wanted_revision = 99",
     "command_id = 99", "enrollment_id = 99"],
)  # fmt: skip
async def test_the_schema_refuses_a_target_that_cannot_be(board: Board, change: str) -> None:
    await board.want()

    with pytest.raises(sqlite3.IntegrityError):
        await board.execute(f"UPDATE target_state SET {change}")


async def test_verified_has_a_date_and_loses_it_with_the_state(board: Board) -> None:
    target = await board.want()
    verified = await board.turn(target, Turn(state=TargetState.VERIFIED, is_verified=True), hours=1)
    kept = await board.turn(verified, Turn(state=TargetState.VERIFIED, reason="busy", attempts=1), hours=2)
    again = await board.turn(kept, Turn(state=TargetState.VERIFIED, is_verified=True), hours=3)
    drifted = await board.turn(again, Turn(state=TargetState.DRIFTED), hours=4)

    assert verified.verified_at == kept.verified_at == START + timedelta(hours=1)
    assert (kept.reason, kept.attempts) == ("busy", 1)
    assert (again.verified_at, again.state_at) == (START + timedelta(hours=3), START + timedelta(hours=1))
    assert (drifted.verified_at, drifted.state_at) == (None, START + timedelta(hours=4))
    with pytest.raises(sqlite3.IntegrityError):
        await board.turn(drifted, Turn(state=TargetState.VERIFIED))


async def test_a_turn_ends_the_command_and_keeps_what_it_says_nothing_of(board: Board) -> None:
    target = await board.want(APP)
    await board.begin(target, "C1", Step.INSTALL_APP)
    assert (await board.target(APP)).step is Step.INSTALL_APP

    first = await board.turn(target, Turn(state=TargetState.ACKNOWLEDGED, observed="Installing", identifier="a.b"))
    second = await board.turn(target, Turn(state=TargetState.APP_MISSING, next_at=LATER, attempts=3))

    assert (first.step, first.command) == (None, None)
    assert (second.observed, second.identifier) == ("Installing", "a.b")
    assert (second.next_at, second.attempts, second.reason) == (LATER, 3, None)


async def test_what_is_to_be_taken_away_knows_what_the_device_calls_the_app(board: Board) -> None:
    target = await board.want()
    sent = await board.turn(target, Turn(state=TargetState.VERIFIED, is_verified=True, sent=board.revisions[0]))
    await board.begin(sent, "C1")

    await board.storage.run(partial(board.store.unwant, target=target.row, identifier="a.b", at=LATER))

    gone = await board.target()
    assert (gone.is_wanted, gone.state, gone.verified_at) == (False, TargetState.INTENDED, None)
    assert (gone.sent_revision, gone.identifier, gone.command) == (board.revisions[0], "a.b", None)
    await board.storage.run(partial(board.store.drop, target=target.row))
    assert await board.targets() == []


async def test_a_halted_command_is_no_longer_the_targets(board: Board) -> None:
    target = await board.want()
    await board.begin(target, "C1")
    found = partial(board.store.target_of_command, enrollment=board.devices[0], command=CommandUUID("C1"))
    assert await board.storage.read(found) == await board.target()
    elsewhere = partial(board.store.target_of_command, enrollment=board.devices[1], command=CommandUUID("C1"))
    assert await board.storage.read(elsewhere) is None

    halt = partial(board.store.halt_command, target=target.row)
    await board.storage.run(partial(halt, may_have=board.revisions[1]))
    await board.storage.run(halt)

    assert await board.storage.read(found) is None
    assert (await board.target()).sent_revision == board.revisions[1]


async def test_what_was_seen_while_a_command_is_under_way_is_kept(board: Board) -> None:
    target = await board.want(APP)
    await board.begin(target, "C1")

    await board.storage.run(partial(board.store.saw, target=target.row, observed="UserRejected"))

    kept = await board.target(APP)
    assert kept.observed == "UserRejected"
    assert kept.command is not None


async def test_with_the_app_what_was_sent_of_its_configuration_is_lost(board: Board) -> None:
    await board.want(APP)
    verified = Turn(
        state=TargetState.VERIFIED, is_verified=True, sent=board.revisions[0], next_at=LATER, attempts=2
    )  # fmt: skip
    await board.turn(await board.want(), verified)
    other = await board.turn(await board.want(device=1), verified)
    profile = await board.turn(await board.want(PROFILE), verified)

    await board.storage.run(
        partial(board.store.lost_app, enrollment=board.devices[0], app=board.app, at=LATER)
    )  # fmt: skip

    lost = await board.target()
    assert (lost.state, lost.sent_revision, lost.verified_at) == (TargetState.INTENDED, None, None)
    assert (lost.next_at, lost.attempts) == (None, 0)
    assert await board.target(device=1) == other
    assert await board.target(PROFILE) == profile


async def test_a_command_that_ended_is_found_once_nothing_of_its_result_waits(board: Board) -> None:
    ended = partial(board.store.ended, enrollment=board.devices[0])
    stalled = partial(board.store.stalled, limit=10)
    command = await board.begin(await board.want(), "C1")
    assert await board.storage.read(ended) == []
    [item] = await board.storage.read(partial(board.commands.open_items, enrollment=board.devices[0], limit=None))
    finish = partial(board.commands.finish, item=item.row, state=ItemState.ACKNOWLEDGED, at=START)
    result = ReportedResult(status=Status.ACKNOWLEDGED, body=b"<plist")
    await board.storage.run(finish)
    await board.storage.run(
        partial(board.commands.store_result, item=item, result=result, needs_processing=True, at=START)
    )
    assert await board.storage.read(ended) == []
    assert await board.storage.read(stalled) == []

    await board.storage.run(partial(board.commands.result_processed, item=item.row))

    [found] = await board.storage.read(ended)
    assert (found.target.command, found.state) == (command, ItemState.ACKNOWLEDGED)
    assert await board.storage.read(stalled) == [board.devices[0]]
    await board.execute("UPDATE enrollment SET enabled = 0")
    assert await board.storage.read(stalled) == []


async def test_targets_are_counted_by_how_they_stand(board: Board) -> None:
    for device in range(DEVICES):
        await board.want(device=device)
    await board.turn(await board.target(device=0), Turn(state=TargetState.VERIFIED, is_verified=True))
    await board.begin(await board.target(device=1), "C1")
    [item] = await board.storage.read(partial(board.commands.open_items, enrollment=board.devices[1], limit=None))
    counts = partial(board.store.counts, app=board.app)

    assert await board.storage.read(counts) == {
        Standing(CONFIGURATION, TargetState.VERIFIED, has_command=False, was_sent=False): 1,
        Standing(CONFIGURATION, TargetState.INTENDED, has_command=True, was_sent=False): 1,
        Standing(CONFIGURATION, TargetState.INTENDED, has_command=False, was_sent=False): 2,
    }
    await board.storage.run(partial(board.commands.mark_sent, item=item.row, at=START))
    gone = await board.target(device=2)
    await board.storage.run(partial(board.store.unwant, target=gone.row, identifier=None, at=START))
    await board.execute("UPDATE enrollment SET enabled = 0 WHERE id = ?", board.devices[3])
    assert await board.storage.read(counts) == {
        Standing(CONFIGURATION, TargetState.VERIFIED, has_command=False, was_sent=False): 1,
        Standing(CONFIGURATION, TargetState.INTENDED, has_command=True, was_sent=True): 1,
    }


async def test_an_apps_targets_are_listed_by_kind_and_state_in_pages(board: Board) -> None:
    for device in range(DEVICES):
        await board.want(device=device)
        await board.want(APP, device)
    await board.turn(await board.target(device=0), Turn(state=TargetState.FAILED))
    await board.turn(await board.target(device=1), Turn(state=TargetState.DRIFTED))
    await board.execute("UPDATE enrollment SET enabled = 0 WHERE id = ?", board.devices[3])

    async def listed(kind: SettingKind | None = None, *states: str, after: int = 0, limit: int = 99) -> list[Target]:
        return await board.storage.read(
            lambda tx: board.store.of_app(
                tx, board.app, kind=kind, states=frozenset(states), after=type(targets[0].row)(after), limit=limit
            )
        )

    targets = await board.all_targets()
    assert len(await listed()) == 6
    assert len(await listed(APP)) == 3
    assert [each.state for each in await listed(CONFIGURATION, "failed", "drifted")] == [
        TargetState.FAILED, TargetState.DRIFTED,
    ]  # fmt: skip
    first = await listed(limit=2)
    assert [each.row for each in first + await listed(after=first[-1].row)] == [each.row for each in await listed()]


async def test_hurry_forgets_what_was_planned_for_later(board: Board) -> None:
    await board.turn(await board.want(), Turn(state=TargetState.FAILED, next_at=LATER, attempts=3))

    await board.storage.run(partial(board.store.hurry, app=board.app))

    assert ((await board.target()).next_at, (await board.target()).attempts) == (None, 0)
    await board.storage.run(partial(board.store.forget_app, app=board.app))
    assert await board.all_targets() == []
