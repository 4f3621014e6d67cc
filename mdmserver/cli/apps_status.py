"""`mdmctl apps status | again`: how far an app got, who is not there, and why; with --watch until all are there."""

import asyncio
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import click
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mdmserver.apps.explain import Progress
from mdmserver.assignments.model import SettingKind
from mdmserver.cli.client import APIClient, Unreachable
from mdmserver.cli.exits import Exit, Failure
from mdmserver.cli.output import STATE_STYLES, Output
from mdmserver.cli.times import Duration
from mdmserver.cli.verb import api_verb

_KINDS = click.Choice([kind.value for kind in SettingKind])
_PAUSE = 1.0
_SHOWN_LIVE = 15
_WORDS = (
    Progress.VERIFIED,
    Progress.INSTALLED,
    Progress.SENT,
    Progress.WAITING,
    Progress.FAILED,
    Progress.NOT_VERIFIABLE,
)
_COUNT_TITLES = ("SETTING", *(word.value.replace("_", " ").upper() for word in _WORDS), "ALL")
_TITLES = ("DEVICE", "SETTING", "PROGRESS", "STATE", "SINCE", "WHY")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How an app stands: the counts, and some of those where something is still to be done."""

    status: dict[str, Any]
    missing: list[dict[str, Any]]
    has_more: bool

    @property
    def is_done(self) -> bool:
        """Whether all is there that is meant, and gone what is not."""
        return not self.missing and not self.status["unsettled"]


@click.command()
@click.argument("key")
@click.option("--kind", type=_KINDS, help="List only this: the app itself, its configuration, its profile on Macs.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many to list.")
@click.option("--all", "everything", is_flag=True, help="List all who are not there, however many.")
@click.option("--watch", is_flag=True, help="Go on until all are there, or Ctrl-C.")
@click.option("--timeout", type=Duration(), help="With --watch: not longer than this; then exit code 5.")
@api_verb
async def status(
    api: APIClient, out: Output, key: str, kind: str | None, limit: int, everything: bool, watch: bool,
    timeout: timedelta | None,
) -> None:  # fmt: skip
    """Show how far an app and its configuration got, and list who is not there and why.

    verified: the device's own read-back equals what is wanted. installed: a Mac lists the profile; its values cannot
    be read back. sent: a command is out, or taken and not checked yet. not verifiable: taken, and cannot be checked.
    """
    if timeout is not None and not watch:
        raise click.UsageError("--timeout goes with --watch")
    at_most = None if everything else limit
    if not watch:
        standing = await _standing(api, key, kind, at_most)
        _report(out, standing, await api.get("apps", key))
        return
    is_done = await _watch(api, out, key, kind, timeout)
    standing = await _standing(api, key, kind, at_most)
    _report(out, standing, await api.get("apps", key))
    if not is_done:
        raise Failure("not all are there yet; the server goes on", exit_code=Exit.NOT_ALL_SUCCEEDED)


@click.command()
@click.argument("key")
@api_verb
async def again(api: APIClient, out: Output, key: str) -> None:
    """Look at all devices of an app now, also those whose next try was planned for later."""
    answer = await api.post("apps", key, "again")
    if out.as_json:
        out.json(answer)
        return
    out.say(f"all devices of {key} are looked at again; next: mdmctl apps status {key} --watch")


async def _standing(api: APIClient, key: str, kind: str | None, limit: int | None) -> Standing:
    found = await api.get("apps", key, "status")
    missing, has_more = await api.items("apps", key, "targets", query={"there": False, "kind": kind}, limit=limit)
    return Standing(status=found, missing=missing, has_more=has_more)


async def _watch(api: APIClient, out: Output, key: str, kind: str | None, timeout: timedelta | None) -> bool:
    """Show how it goes until all are there; False when time ran out first. Raises Failure (INTERRUPTED)."""
    until = None if timeout is None else time.monotonic() + timeout.total_seconds()
    said = ""
    try:
        with Live(console=out.errors, transient=True, auto_refresh=False) as live:
            while True:
                standing = await _answered(api, key, kind)
                if standing is not None and out.errors.is_terminal:
                    live.update(_drawn(standing, out), refresh=True)
                elif standing is not None and (line := _line(standing)) != said:
                    out.say(line)
                    said = line
                if standing is not None and standing.is_done:
                    return True
                if until is not None and time.monotonic() >= until:
                    return False
                await asyncio.sleep(_PAUSE)
    except asyncio.CancelledError:  # what Ctrl-C does to the task
        message = f"not watching any longer; the server goes on. Look with: mdmctl apps status {key}"
        raise Failure(message, exit_code=Exit.INTERRUPTED) from None


async def _answered(api: APIClient, key: str, kind: str | None) -> Standing | None:
    """None when the server does not answer and may yet: it may be restarting."""
    try:
        return await _standing(api, key, kind, _SHOWN_LIVE)
    except Unreachable:
        return None


def _report(out: Output, standing: Standing, app: dict[str, Any]) -> None:
    if out.as_json:
        out.json({**standing.status, "not_there": standing.missing, "has_more": standing.has_more})
        return
    out.table(_COUNT_TITLES, _count_rows(standing.status))
    if standing.missing:
        out.table(_TITLES, [_row(each, out) for each in standing.missing])
    if standing.has_more:
        out.say("there are more: --all or --limit")
    if standing.status["unsettled"]:
        out.say(f"{standing.status['unsettled']} devices are still to be looked at; the counts go on changing")
    _hint(out, app, standing)


def _hint(out: Output, app: dict[str, Any], standing: Standing) -> None:
    name, key = app["name"], app["key"]
    if not any(each["effect"] == "install" for each in app["assignments"]):
        out.say(f"{name} is assigned to nobody: mdmctl apps assign {key} --all")
    elif not app["configurations"]:
        out.say(f"{name} has no configuration: mdmctl apps configure --help")
    elif standing.is_done and not standing.status["total"]:
        out.say(f"{name} is meant for no device that is enrolled now: mdmctl devices settings DEVICE says why")
    elif standing.is_done:
        out.say("all are there")


def _count_rows(status: dict[str, Any]) -> list[tuple[object, ...]]:
    return [
        (kind, *(by_word[word] for word in _WORDS), sum(by_word.values())) for kind, by_word in status["counts"].items()
    ]


def _row(each: dict[str, Any], out: Output) -> tuple[object, ...]:
    setting = each["kind"] if each["is_wanted"] else f"{each['kind']}, to be removed"
    return (
        each["serial_number"] or each["device_name"] or each["id"], setting, each["progress"], each["state"],
        out.when(each["state_at"]), each["explanation"]["text"],
    )  # fmt: skip


def _line(standing: Standing) -> str:
    totals, total = standing.status["totals"], standing.status["total"]
    words = ", ".join(f"{totals[word]} {word.value.replace('_', ' ')}" for word in _WORDS if totals[word])
    unsettled = standing.status["unsettled"]
    return f"{total} settings: {words or 'none'}" + (f"; {unsettled} devices to look at" if unsettled else "")


def _drawn(standing: Standing, out: Output) -> Table:
    whole = Table.grid()
    whole.add_row(_table(_COUNT_TITLES, _count_rows(standing.status), out))
    if standing.missing:
        whole.add_row(_table(_TITLES, [_row(each, out) for each in standing.missing], out))
    more = " and more" if standing.has_more else ""
    whole.add_row(Text(f"{_line(standing)}{more} – Ctrl-C ends the watch, not the work", style="dim"))
    return whole


def _table(titles: tuple[str, ...], rows: list[tuple[object, ...]], out: Output) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(text, style=STATE_STYLES.get(text, "")) for text in map(out.cell, row)))
    return table
