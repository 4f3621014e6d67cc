"""What `run` and `read` promise, on every engine."""

import asyncio
from functools import partial

import pytest

from mdmserver.errors import Conflict, Unavailable
from mdmserver.transaction import Row, Storage, Transaction


@pytest.fixture
async def notes(empty_storage: Storage) -> Storage:
    """An engine with one table of texts."""
    await empty_storage.run(_create)
    return empty_storage


async def _create(tx: Transaction) -> None:
    await tx.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE)")


async def _write(tx: Transaction, text: str) -> int:
    return await tx.execute("INSERT INTO note (text) VALUES (?)", text)


async def _write_and_fail(tx: Transaction, text: str) -> None:
    await _write(tx, text)
    raise Conflict("not this one")


async def _texts(tx: Transaction) -> list[str]:
    return [row[0] for row in await tx.fetch_all("SELECT text FROM note ORDER BY id")]


async def test_a_run_returns_what_its_body_returns(notes: Storage) -> None:
    assert await notes.run(partial(_write, text="one")) == 1


async def test_a_reader_sees_what_was_committed(notes: Storage) -> None:
    await notes.run(partial(_write, text="one"))

    assert await notes.read(_texts) == ["one"]


async def test_a_failing_body_leaves_nothing_and_its_own_error_comes_through(notes: Storage) -> None:
    with pytest.raises(Conflict, match="not this one"):
        await notes.run(partial(_write_and_fail, text="one"))

    assert await notes.read(_texts) == []


async def test_failing_bodies_do_not_touch_their_neighbours(notes: Storage) -> None:
    bodies = [partial(_write_and_fail if n % 3 == 0 else _write, text=str(n)) for n in range(60)]

    outcomes = await asyncio.gather(*(notes.run(body) for body in bodies), return_exceptions=True)

    assert [isinstance(outcome, Conflict) for outcome in outcomes] == [n % 3 == 0 for n in range(60)]
    assert await notes.read(_texts) == [str(n) for n in range(60) if n % 3]


async def test_a_broken_constraint_fails_its_own_body_alone(notes: Storage) -> None:
    texts = ["one", "two", "one", "three"]

    outcomes = await asyncio.gather(*(notes.run(partial(_write, text=text)) for text in texts), return_exceptions=True)

    assert [isinstance(outcome, Exception) for outcome in outcomes] == [False, False, True, False]
    assert await notes.read(_texts) == ["one", "two", "three"]


async def test_a_body_may_catch_the_error_of_a_statement_and_go_on(notes: Storage) -> None:
    async def body(tx: Transaction) -> str:
        await _write(tx, "one")
        try:
            await tx.execute("INSERT INTO note (text) VALUES (?)", None)
        except Exception:
            await _write(tx, "instead")
        return "done"

    assert await notes.run(body) == "done"
    assert await notes.read(_texts) == ["one", "instead"]


async def test_bodies_that_are_given_in_turn_run_in_turn(notes: Storage) -> None:
    await asyncio.gather(*(notes.run(partial(_write, text=str(n))) for n in range(100)))

    assert await notes.read(_texts) == [str(n) for n in range(100)]


async def test_five_hundred_bodies_at_once_all_take_effect(notes: Storage) -> None:
    async def count_up(tx: Transaction) -> int:
        row = await tx.fetch_one("SELECT count(*) FROM note")
        assert row is not None
        await _write(tx, f"number {row[0]}")
        return int(row[0])

    seen = await asyncio.gather(*(notes.run(count_up) for _ in range(500)))

    assert sorted(seen) == list(range(500))


async def test_a_cancelled_caller_does_not_undo_the_work(notes: Storage) -> None:
    given = asyncio.create_task(notes.run(partial(_write, text="one")))
    await asyncio.sleep(0)

    given.cancel()

    with pytest.raises(asyncio.CancelledError):
        await given
    await notes.run(partial(_write, text="two"))
    assert await notes.read(_texts) == ["one", "two"]


async def test_a_reader_cannot_write(notes: Storage) -> None:
    with pytest.raises(Unavailable, match="readonly"):
        await notes.read(partial(_write, text="one"))

    assert await notes.read(_texts) == []


async def test_an_error_of_a_reading_body_comes_through(notes: Storage) -> None:
    async def body(tx: Transaction) -> None:
        raise Conflict("not now")

    with pytest.raises(Conflict, match="not now"):
        await notes.read(body)


async def test_parameters_are_bound_and_never_part_of_the_statement(notes: Storage) -> None:
    hostile = "'); DROP TABLE note; --"

    await notes.run(partial(_write, text=hostile))

    assert await notes.read(_texts) == [hostile]


async def test_execute_many_counts_all_rows(notes: Storage) -> None:
    async def body(tx: Transaction) -> int:
        return await tx.execute_many("INSERT INTO note (text) VALUES (?)", [(str(n),) for n in range(7)])

    assert await notes.run(body) == 7


async def test_fetch_one_of_nothing_is_none(notes: Storage) -> None:
    async def body(tx: Transaction) -> Row | None:
        return await tx.fetch_one("SELECT text FROM note")

    assert await notes.read(body) is None


async def test_closing_finishes_what_waits(notes: Storage) -> None:
    given = [asyncio.create_task(notes.run(partial(_write, text=str(n)))) for n in range(50)]
    await asyncio.sleep(0)

    await notes.close()  # type: ignore[attr-defined]  # every engine has it, the services do not need it

    assert await asyncio.gather(*given) == [1] * 50


async def test_after_closing_nothing_is_served(notes: Storage) -> None:
    await notes.close()  # type: ignore[attr-defined]  # every engine has it, the services do not need it

    with pytest.raises(Unavailable):
        await notes.run(partial(_write, text="one"))
    with pytest.raises(Unavailable):
        await notes.read(_texts)


async def test_closing_twice_is_harmless(notes: Storage) -> None:
    await notes.close()  # type: ignore[attr-defined]  # every engine has it, the services do not need it
    await notes.close()  # type: ignore[attr-defined]  # likewise
