"""What a command prints: tables for people, tab-separated text for pipes, JSON for programs.

Answers go to standard output, everything said about them to standard error. Every text is escaped first: most of it
was written by devices.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mdmserver.cli.times import ago
from mdmserver.clock import Clock, utc_now
from mdmserver.escaping import escaped, escaped_json

STATE_STYLES = {
    "acknowledged": "green",
    "verified": "green",
    "installed": "green",
    "enrolled": "green",
    "ok": "green",
    "error": "red",
    "format_error": "red",
    "failure": "red",
    "failed": "red",
    "expired": "yellow",
    "cancelled": "yellow",
    "warning": "yellow",
    "not_now": "yellow",
    "ended": "dim",
    "revoked": "dim",
}


class Output:
    """Where one command writes. With `as_json` people's tables are left out: the command calls `json` once."""

    def __init__(self, *, as_json: bool, console: Console | None = None, clock: Clock = utc_now) -> None:
        self.as_json = as_json
        self.console = console or Console(highlight=False)
        self.errors = Console(stderr=True, highlight=False)
        self._clock = clock

    @property
    def now(self) -> datetime:
        """The present, for times that are typed or shown relative to it."""
        return self._clock()

    def json(self, value: object) -> None:
        """The whole answer for a program."""
        # Escaped before the line breaks come in.
        click.echo(msgspec.json.format(escaped_json(msgspec.json.encode(value).decode()), indent=2))

    def table(self, titles: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Rows under titles; without a terminal one tab-separated line each, nothing cut."""
        lines = [[self.cell(value) for value in row] for row in rows]
        if not self.console.is_terminal:
            for line in [list(titles), *lines]:
                click.echo("\t".join(line))
            return
        table = Table(box=None, header_style="bold", pad_edge=False)
        for title in titles:
            table.add_column(title, overflow="fold")
        for line in lines:
            table.add_row(*(Text(text, style=STATE_STYLES.get(text, "")) for text in line))
        self.console.print(table)

    def facts(self, pairs: Mapping[str, object]) -> None:
        """One thing: its facts, one a line. None is left out."""
        known = {name: self.cell(value) for name, value in pairs.items() if value is not None}
        width = max(map(len, known), default=0)
        for name, text in known.items():
            click.echo(f"{name:{width}}  {text}")

    def when(self, text: str | None) -> str:
        """A time of the API: relative for a person at a terminal, as it is otherwise."""
        if self.console.is_terminal:
            return ago(text, now=self.now)
        return text or "–"

    def say(self, text: str) -> None:
        """One line about what happens, on standard error."""
        click.echo(escaped(text), err=True)

    def cell(self, value: Any) -> str:
        """A value as text, on one line."""
        match value:
            case None:
                return "–"
            case bool():
                return "yes" if value else "no"
            case list() | tuple() | set() | frozenset():
                return ", ".join(self.cell(item) for item in value)
            case _:
                return escaped(str(value))
