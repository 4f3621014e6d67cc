"""Waits until every device has answered a command, shows how far it is, and says why the others have not."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mdmserver.cli.client import APIClient, Unreachable
from mdmserver.cli.exits import Exit, Failure
from mdmserver.cli.output import Output

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 1.0
_SHOWN = 20
_GOOD = "acknowledged"
Show = Callable[[Mapping[str, int]], None]


async def wait_and_report(
    api: APIClient, out: Output, uuid: str, *, timeout: timedelta, queued: dict[str, Any]
) -> None:
    """Wait, then show the outcome. Raises Failure (NOT_ALL_SUCCEEDED, INTERRUPTED); the command stays queued."""
    try:
        progress = await _wait(api, out, uuid, timeout.total_seconds())
    except asyncio.CancelledError:  # what Ctrl-C does to the task
        raise Failure(f"not waiting any longer; {_still_queued(uuid)}", exit_code=Exit.INTERRUPTED) from None
    except Unreachable as error:
        raise Failure(f"{error}; {_still_queued(uuid)}", exit_code=Exit.UNREACHABLE) from error
    others = await _others(api, uuid) if progress.get(_GOOD, 0) < progress["total"] else []
    if out.as_json:
        out.json({**queued, "progress": progress, "not_acknowledged": others})
    else:
        _show(out, progress, others)
    if progress.get(_GOOD, 0) < progress["total"] or queued["refused"]:
        raise Failure(_missing(progress, queued), exit_code=Exit.NOT_ALL_SUCCEEDED)


async def _wait(api: APIClient, out: Output, uuid: str, seconds: float) -> dict[str, int]:
    until, pause = time.monotonic() + seconds, _FIRST_PAUSE
    with _shown(out) as show:
        while True:
            progress = await _progress(api, uuid, give_up=time.monotonic() >= until)
            if progress is not None:
                show(progress)
                if progress["finished"] >= progress["total"] or time.monotonic() >= until:
                    return progress
            await asyncio.sleep(min(pause, max(0.0, until - time.monotonic())))
            pause = min(pause * 1.5, _LONGEST_PAUSE)


async def _progress(api: APIClient, uuid: str, *, give_up: bool) -> dict[str, int] | None:
    """None when the server did not answer and may yet: it may be restarting, and the command is safe."""
    try:
        found: dict[str, int] = (await api.get("commands", uuid))["progress"]
    except Unreachable:
        if give_up:
            raise
        return None
    return found


def counts_of(progress: Mapping[str, int]) -> dict[str, int]:
    """How many targets are in each state that any is in."""
    return {state: number for state, number in progress.items() if number and state not in ("total", "finished")}


@contextmanager
def _shown(out: Output) -> Iterator[Show]:
    if not out.errors.is_terminal:
        yield _line_per_change(out)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out.errors, transient=True) as bar:
        task = bar.add_task("waiting", total=None)

        def show(progress: Mapping[str, int]) -> None:
            bar.update(task, total=progress["total"], completed=progress["finished"], description=_words(progress))

        yield show


def _line_per_change(out: Output) -> Show:
    last = ""

    def show(progress: Mapping[str, int]) -> None:
        nonlocal last
        line = f"{progress['finished']} of {progress['total']} finished: {_words(progress)}"
        if line != last:
            out.say(line)
            last = line

    return show


async def _others(api: APIClient, uuid: str) -> list[dict[str, Any]]:
    """The first targets that did not acknowledge, each with its explanation."""
    found: list[dict[str, Any]] = []
    for state in ("error", "format_error", "expired", "cancelled", "superseded", "withdrawn", "not_now", "sent",
                  "queued"):  # fmt: skip
        if room := _SHOWN - len(found):
            items, _ = await api.items("commands", uuid, "targets", query={"state": state}, limit=room)
            found += [await _explained(api, uuid, item) for item in items]
    return found


async def _explained(api: APIClient, uuid: str, item: dict[str, Any]) -> dict[str, Any]:
    detail = await api.get("commands", uuid, "targets", item["id"])
    return {"id": item["id"], "state": item["state"], "explanation": detail["explanation"]}


def _show(out: Output, progress: Mapping[str, int], others: list[dict[str, Any]]) -> None:
    out.table(("STATE", "DEVICES"), list(counts_of(progress).items()))
    if others:
        out.table(("DEVICE", "STATE", "WHY"), [(o["id"], o["state"], o["explanation"]["text"]) for o in others])
    missing = progress["total"] - progress.get(_GOOD, 0) - len(others)
    if missing > 0:
        out.say(f"and {missing} more")


def _missing(progress: Mapping[str, int], queued: dict[str, Any]) -> str:
    refused = f"; {len(queued['refused'])} were refused" if queued["refused"] else ""
    unfinished = progress["total"] - progress["finished"]
    waiting = f"; {unfinished} have not answered yet, the command stays queued for them" if unfinished else ""
    return f"{progress.get(_GOOD, 0)} of {progress['total']} acknowledged{refused}{waiting}"


def _still_queued(uuid: str) -> str:
    return f"the command stays queued. Look with: mdmctl commands show {uuid}"


def _words(progress: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {state}" for state, number in counts_of(progress).items()) or "nothing"
