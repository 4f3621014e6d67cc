"""Bodies kept in memory, and that they never become another command's."""

import pytest

from mdmserver.commands.model import CommandRow, NewCommand
from mdmserver.protocol import CommandUUID
from mdmserver.storage.bodies import BodyCache
from mdmserver.storage.commands import SQLCommandStore
from mdmserver.storage.vault import Vault
from mdmserver.transaction import Storage, Transaction
from tests.fleet import START


class _AbandonedError(Exception):
    pass


def _new(uuid: str) -> NewCommand:
    return NewCommand(uuid=CommandUUID(uuid), request_type="ProfileList", body=uuid.encode(), content_hash=b"hash")


async def test_a_command_that_takes_the_number_of_an_abandoned_one_keeps_its_own_body(
    storage: Storage, vault: Vault
) -> None:
    store = SQLCommandStore(vault)

    async def insert_and_read(tx: Transaction, uuid: str) -> tuple[CommandRow, bytes]:
        row = await store.insert_command(tx, _new(uuid), created_by="me", at=START)
        assert row is not None
        return row, await store.body(tx, row)

    async def abandoned(tx: Transaction) -> None:
        # A batch whose commit fails, with a device served in it, ends like this.
        numbers.append((await insert_and_read(tx, "A"))[0])
        raise _AbandonedError

    async def kept(tx: Transaction) -> tuple[CommandRow, bytes]:
        return await insert_and_read(tx, "B")

    numbers: list[CommandRow] = []
    with pytest.raises(_AbandonedError):
        await storage.run(abandoned)

    row, body = await storage.run(kept)

    assert [row] == numbers
    assert body == b"B"


def test_the_bodies_used_longest_ago_make_room() -> None:
    cache = BodyCache(capacity_bytes=40)
    for row in range(4):
        cache.put(CommandRow(row), b"x" * 10)
    cache.get(CommandRow(0))

    cache.put(CommandRow(4), b"x" * 10)

    assert [row for row in range(5) if cache.get(CommandRow(row)) is not None] == [0, 2, 3, 4]


def test_a_body_larger_than_a_quarter_is_not_kept() -> None:
    cache = BodyCache(capacity_bytes=40)

    cache.put(CommandRow(1), b"x" * 11)

    assert cache.get(CommandRow(1)) is None


def test_putting_a_body_twice_counts_once() -> None:
    cache = BodyCache(capacity_bytes=40)
    for _ in range(9):
        cache.put(CommandRow(1), b"x" * 10)

    for row in range(2, 5):
        cache.put(CommandRow(row), b"x" * 10)

    assert cache.get(CommandRow(1)) is not None
