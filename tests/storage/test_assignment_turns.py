"""The AssignmentStore's contract: whose turn it is, and how a scope is told to its devices."""

from functools import partial

import pytest

from mdmserver.assignments.model import (
    Scope,
    ScopeKind,
)
from mdmserver.commands.store import CommandStore
from mdmserver.storage.devices import SQLDeviceStore
from mdmserver.storage.vault import Vault
from mdmserver.transaction import Storage
from tests.fleet import START, device_id, user_id
from tests.storage.assignment_board import ALL, DEVICES, Board, new_board


@pytest.fixture
async def board(storage: Storage, devices: SQLDeviceStore, commands: CommandStore, vault: Vault) -> Board:
    """Four enabled devices that nobody asked for, and an app with two revisions."""
    return await new_board(storage, devices, commands, vault)


async def test_it_is_a_devices_turn_at_its_time_and_the_longest_due_come_first(board: Board) -> None:
    await board.ask(2, hours=1)
    await board.ask(0, hours=2)
    await board.ask(1, hours=9)

    assert await board.claim(hours=0.5) == []
    assert board.number_of(await board.claim(hours=2, limit=1)) == [2]
    assert board.number_of(await board.claim(hours=2)) == [0]


async def test_a_claim_holds_until_its_time_and_is_then_anybodys(board: Board) -> None:
    await board.ask(0)

    assert board.number_of(await board.claim()) == [0]
    assert await board.claim() == []
    assert board.number_of(await board.claim(hours=1)) == [0]


async def test_an_earlier_ask_counts_and_a_later_one_puts_nothing_off(board: Board) -> None:
    await board.ask(0, hours=5)
    await board.ask(0, hours=1)
    await board.ask(0, hours=9)

    assert board.number_of(await board.claim(hours=1)) == [0]


async def test_a_settled_device_comes_when_it_is_due_again_or_never(board: Board) -> None:
    await board.ask(0, 1)
    first, second = await board.claim()
    await board.settle(first, 2)
    await board.settle(second, None)

    assert await board.claim(hours=1) == []
    assert board.number_of(await board.claim(hours=10**5)) == [board.devices.index(first.enrollment)]


async def test_an_ask_while_a_device_is_looked_at_stands(board: Board) -> None:
    await board.ask(0)
    [claimed] = await board.claim()
    await board.ask(0)

    await board.settle(claimed, None)

    [again] = await board.claim()
    await board.settle(again, None)
    assert await board.claim(hours=10**5) == []


async def test_a_scope_is_told_to_its_devices_in_pieces(board: Board) -> None:
    await board.storage.run(partial(board.store.ask_scope, scope=ALL))
    assert await board.storage.read(partial(board.store.unsettled, at=START)) == DEVICES

    assert await board.spread(limit=3)
    assert board.number_of(await board.claim()) == [0, 1, 2]
    assert await board.spread(limit=3)
    assert board.number_of(await board.claim()) == [3]
    assert not await board.spread(limit=3)


@pytest.mark.parametrize(
    ("kind", "value", "members"),
    [
        (ScopeKind.ALL, "", [0, 1, 2, 3]),
        (ScopeKind.TAG, "a", [1, 2]),
        (ScopeKind.GROUP, "a", [3]),
        (ScopeKind.TAG, "b", []),
        (ScopeKind.DEVICE, device_id(2).key, [2]),
        (ScopeKind.DEVICE, "nobody", []),
    ],
)
async def test_each_scope_tells_those_it_takes_in(
    board: Board, kind: ScopeKind, value: str, members: list[int]
) -> None:
    await board.label(1, "tag", add=["a"])
    await board.label(2, "tag", add=["a"])
    await board.label(3, "group", add=["a"])
    scope = Scope(kind=kind, value=value)
    assert await board.storage.read(partial(board.store.reach, scope=scope)) == len(members)
    await board.storage.run(partial(board.store.ask_scope, scope=scope))

    while await board.spread(limit=1):
        pass

    assert sorted(board.number_of(await board.claim())) == members


async def test_users_and_devices_that_are_not_enabled_are_not_told(board: Board, devices: SQLDeviceStore) -> None:
    insert = partial(devices.insert_enrollment, id=user_id(0), parent=board.devices[0], life=1, at=START)
    await board.storage.run(insert)
    await board.execute("UPDATE enrollment SET enabled = (id <> ?)", board.devices[1])
    await board.storage.run(partial(board.store.ask_scope, scope=ALL))

    while await board.spread():
        pass

    assert board.number_of(await board.claim()) == [0, 2, 3]
