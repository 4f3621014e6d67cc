"""What only SQLite has: the writer thread that drives bodies, one file with its mode, a disk that is full."""

import asyncio
import stat
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from mdmserver.errors import Unavailable
from mdmserver.storage.sqlite import SQLiteStorage, drive
from mdmserver.transaction import Transaction

ROOM_IN_PAGES = 24
PAGE_BYTES = 4096


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[SQLiteStorage]:
    """A database with one table of blobs."""
    storage = SQLiteStorage(tmp_path / "test.sqlite")
    await storage.run(_create)
    yield storage
    await storage.close()


async def _create(tx: Transaction) -> None:
    await tx.execute("CREATE TABLE thing (id INTEGER PRIMARY KEY, content BLOB NOT NULL)")


async def _write(tx: Transaction, size: int) -> None:
    await tx.execute("INSERT INTO thing (content) VALUES (?)", b"x" * size)


async def _sizes(tx: Transaction) -> list[int]:
    return [row[0] for row in await tx.fetch_all("SELECT length(content) FROM thing ORDER BY id")]


def _modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


async def _fill_the_disk(tx: Transaction) -> None:
    await tx.execute(f"PRAGMA max_page_count = {ROOM_IN_PAGES}")


async def _make_room(tx: Transaction) -> None:
    await tx.execute("PRAGMA max_page_count = 100000")


async def test_a_body_that_awaits_something_else_fails_and_rolls_back(sqlite: SQLiteStorage) -> None:
    async def body(tx: Transaction) -> None:
        await _write(tx, 1)
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="awaited something else"):
        await sqlite.run(body)

    assert await sqlite.read(_sizes) == []


async def test_a_body_that_sleeps_fails_and_rolls_back(sqlite: SQLiteStorage) -> None:
    async def body(tx: Transaction) -> None:
        await _write(tx, 1)
        await asyncio.sleep(1)

    with pytest.raises(RuntimeError):
        await sqlite.run(body)

    assert await sqlite.read(_sizes) == []


async def test_a_body_that_is_cancelled_from_within_fails_alone(sqlite: SQLiteStorage) -> None:
    async def body(tx: Transaction) -> None:
        await _write(tx, 1)
        raise asyncio.CancelledError

    with pytest.raises(RuntimeError, match="CancelledError"):
        await asyncio.wait_for(sqlite.run(body), timeout=5)

    await asyncio.wait_for(sqlite.run(partial(_write, size=2)), timeout=5)
    assert await sqlite.read(_sizes) == [2]


def test_driving_closes_a_coroutine_that_suspends() -> None:
    closed = []

    async def body() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            closed.append(True)

    with pytest.raises(RuntimeError):
        drive(body())

    assert closed == [True]


async def test_a_full_disk_is_unavailable_and_not_a_defect(sqlite: SQLiteStorage) -> None:
    await sqlite.run(_fill_the_disk)

    with pytest.raises(Unavailable):
        await sqlite.run(partial(_write, size=ROOM_IN_PAGES * PAGE_BYTES))


async def test_a_full_disk_fails_only_those_that_do_not_fit(sqlite: SQLiteStorage) -> None:
    await sqlite.run(_fill_the_disk)
    too_large = ROOM_IN_PAGES * PAGE_BYTES
    sizes = [10, too_large, 20, too_large, 30]

    outcomes = await asyncio.gather(*(sqlite.run(partial(_write, size=size)) for size in sizes), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [type(None), Unavailable, type(None), Unavailable, type(None)]
    assert await sqlite.read(_sizes) == [10, 20, 30]


async def test_the_server_goes_on_when_there_is_room_again(sqlite: SQLiteStorage) -> None:
    await sqlite.run(_fill_the_disk)
    with pytest.raises(Unavailable):
        await sqlite.run(partial(_write, size=ROOM_IN_PAGES * PAGE_BYTES))

    await sqlite.run(_make_room)
    await sqlite.run(partial(_write, size=ROOM_IN_PAGES * PAGE_BYTES))

    assert await sqlite.read(_sizes) == [ROOM_IN_PAGES * PAGE_BYTES]


async def test_nobody_else_may_read_the_database_or_its_wal(sqlite: SQLiteStorage, tmp_path: Path) -> None:
    await sqlite.run(partial(_write, size=1))
    await sqlite.read(_sizes)

    assert _modes(tmp_path) == {"test.sqlite": 0o600, "test.sqlite-wal": 0o600, "test.sqlite-shm": 0o600}


async def test_what_was_committed_is_there_when_the_file_is_opened_again(sqlite: SQLiteStorage, tmp_path: Path) -> None:
    await sqlite.run(partial(_write, size=3))
    await sqlite.close()

    again = SQLiteStorage(tmp_path / "test.sqlite")

    assert await again.read(_sizes) == [3]
    await again.close()


async def test_closing_leaves_no_wal_behind(sqlite: SQLiteStorage, tmp_path: Path) -> None:
    await sqlite.run(partial(_write, size=3))
    await sqlite.read(_sizes)

    await sqlite.close()

    assert list(_modes(tmp_path)) == ["test.sqlite"]


async def test_commits_are_durable_and_foreign_keys_hold(sqlite: SQLiteStorage) -> None:
    async def settings(tx: Transaction) -> list[int | str]:
        rows = [await tx.fetch_one(f"PRAGMA {name}") for name in ("journal_mode", "synchronous", "foreign_keys")]
        return [row[0] for row in rows if row is not None]

    assert await sqlite.run(settings) == ["wal", 2, 1]


async def test_a_file_that_is_no_database_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "test.sqlite").write_bytes(b"this is not a database, whatever its name says" * 100)

    with pytest.raises(Unavailable, match=r"test\.sqlite does not open as a database"):
        SQLiteStorage(tmp_path / "test.sqlite")
