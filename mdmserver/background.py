"""The server's own recurring work: each job has one task that a supervisor owns, awaits and ends.

A job that fails is logged and tried again at its next turn; all of it is found in storage, so nothing is lost by that.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

_log = logging.getLogger(__name__)

Wait = Callable[[float], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Work done again and again; `wait` pauses between turns, for at most the seconds it is given."""

    name: str
    work: Callable[[], Awaitable[object]]
    every_seconds: float
    wait: Wait = asyncio.sleep


@asynccontextmanager
async def running(jobs: Sequence[Job], *, at_the_end: Sequence[Job] = ()) -> AsyncIterator[None]:
    """Run jobs while the block runs; afterwards end them and do those of `at_the_end` a last time."""
    tasks = [asyncio.create_task(_repeat(job), name=job.name) for job in jobs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for job in at_the_end:
            await _once(job)


async def _repeat(job: Job) -> None:
    while True:
        await job.wait(job.every_seconds)
        await _once(job)


async def _once(job: Job) -> None:
    try:
        await job.work()
    except Exception:
        # The next turn tries again; a job must not end because storage was down once.
        _log.exception("background_job_failed", extra={"job": job.name})
