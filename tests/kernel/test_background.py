"""Recurring work and its owner."""

import asyncio
import logging

import pytest

from mdmserver.background import Job, running


class Turns:
    """Gives a job its turns one by one, instead of time."""

    def __init__(self) -> None:
        self._given: asyncio.Queue[None] = asyncio.Queue()
        self.asked_for: list[float] = []

    async def wait(self, seconds: float) -> None:
        self.asked_for.append(seconds)
        await self._given.get()

    def give(self) -> None:
        self._given.put_nowait(None)


class Work:
    """Counts its turns, and fails in those it is told to."""

    def __init__(self, *, failing: frozenset[int] = frozenset()) -> None:
        self.done: asyncio.Queue[int] = asyncio.Queue()
        self._failing = failing
        self._number = 0

    async def __call__(self) -> None:
        self._number += 1
        self.done.put_nowait(self._number)
        if self._number in self._failing:
            raise RuntimeError("no luck")


async def test_a_job_works_at_each_of_its_turns() -> None:
    turns, work = Turns(), Work()

    async with running([Job(name="job", work=work, every_seconds=30, wait=turns.wait)]):
        for expected in (1, 2, 3):
            turns.give()
            assert await asyncio.wait_for(work.done.get(), 5) == expected

    assert set(turns.asked_for) == {30}


async def test_a_job_that_fails_is_logged_and_has_its_next_turn(caplog: pytest.LogCaptureFixture) -> None:
    turns, work = Turns(), Work(failing=frozenset({1}))

    async with running([Job(name="job", work=work, every_seconds=30, wait=turns.wait)]):
        for expected in (1, 2):
            turns.give()
            assert await asyncio.wait_for(work.done.get(), 5) == expected

    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert (record.getMessage(), record.__dict__["job"]) == ("background_job_failed", "job")


async def test_the_last_work_is_done_after_all_jobs_have_ended() -> None:
    turns, work, last = Turns(), Work(), Work()
    jobs = [Job(name="job", work=work, every_seconds=30, wait=turns.wait)]

    async with running(jobs, at_the_end=[Job(name="last", work=last, every_seconds=30)]):
        assert last.done.empty()

    assert last.done.get_nowait() == 1
    assert work.done.empty()
    assert [task for task in asyncio.all_tasks() if task.get_name() == "job"] == []


async def test_jobs_end_when_the_block_fails_and_the_last_work_is_done_all_the_same() -> None:
    last = Work(failing=frozenset({1}))

    with pytest.raises(KeyError):
        async with running([], at_the_end=[Job(name="last", work=last, every_seconds=30)]):
            raise KeyError("inside")

    assert last.done.get_nowait() == 1
