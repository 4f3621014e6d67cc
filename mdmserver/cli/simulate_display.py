"""What `mdmserver simulate` shows: progress bars and a live line on standard error, the summary at the end."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from mdmserver.cli.output import Output
from mdmserver.simulator.measures import Summary, Tally

SECONDS_BETWEEN_LINES = 1.0


@contextmanager
def progress(title: str, total: int, out: Output) -> Iterator[Callable[[], None]]:
    """A progress bar at a terminal; the value given is to be called once for each piece of work."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=out.errors, transient=True, disable=not _is_shown(out) or not total) as bar:
        task = bar.add_task(title, total=total)
        yield lambda: bar.advance(task)


@asynccontextmanager
async def live_line(tally: Tally, out: Output) -> AsyncIterator[None]:
    """One line at a terminal that says each second what has happened so far."""
    if not _is_shown(out):
        yield
        return
    with Live(console=out.errors, transient=True, auto_refresh=False) as live:
        task = asyncio.create_task(_refresh(live, tally))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def print_summary(summary: Summary, out: Output) -> None:
    """The counts of the run, as a table or as JSON."""
    if out.as_json:
        out.json(summary)
        return
    rows = [
        ("devices", summary.devices),
        ("enrolled", summary.enrolled),
        ("connects", summary.connects),
        *((("pushes heard", summary.wakes),) if summary.wakes else ()),
        *((f"pushes ignored: {why}", count) for why, count in summary.ignored_pushes.items()),
        ("requests", summary.requests),
        *((f"commands {status}", count) for status, count in summary.commands.items()),
        ("lost replies", summary.lost_replies),
        ("renewals", summary.renewals),
        *((f"mishaps: {kind}", count) for kind, count in summary.mishaps.items()),
        *((f"errors: {kind}", count) for kind, count in summary.errors.items()),
        ("request time p50 / p99", _times(summary)),
        ("seconds to enroll", round(summary.enrolling_seconds, 1)),
        ("seconds", round(summary.seconds, 1)),
    ]
    out.table(("", "total"), rows)


async def _refresh(live: Live, tally: Tally) -> None:
    before, then = 0, time.monotonic()
    while True:
        await asyncio.sleep(SECONDS_BETWEEN_LINES)
        delivered, now = sum(tally.commands.values()), time.monotonic()
        rate = (delivered - before) / (now - then)
        before, then = delivered, now
        live.update(Text(_line(tally, delivered, rate)), refresh=True)


def _line(tally: Tally, delivered: int, rate: float) -> str:
    errors = f", {sum(tally.errors.values())} errors" if tally.errors else ""
    pushes = f"{tally.wakes} pushes, " if tally.wakes else ""
    done = f"{tally.enrolled} enrolled, {pushes}{tally.connects} connects, {delivered} results ({rate:.0f}/s)"
    return f"{done}{errors}; Ctrl-C ends"


def _times(summary: Summary) -> str | None:
    if summary.p50_milliseconds is None:
        return None
    return f"{summary.p50_milliseconds} / {summary.p99_milliseconds} ms"


def _is_shown(out: Output) -> bool:
    return out.errors.is_terminal and not out.as_json
