"""What is printed: nothing that a device wrote drives the terminal, and JSON stays JSON."""

import io
import json
from datetime import UTC, datetime

import pytest
from rich.console import Console

from mdmserver.cli.exits import Exit, Failure
from mdmserver.cli.output import Output

HOSTILE = "iPad\x1b[2J\n\u202e[bold]"


def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=200, color_system=None)


def test_json_is_indented_and_gives_hostile_text_back_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=True).json({"name": HOSTILE, "number": 1})

    printed = capsys.readouterr().out
    assert json.loads(printed) == {"name": HOSTILE, "number": 1}
    assert printed.count("\n") == 4
    assert all(character.isprintable() or character == "\n" for character in printed)


def test_a_table_without_a_terminal_is_tab_separated_one_line_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=False, console=Console(file=io.StringIO())).table(("A", "B"), [(HOSTILE, None), (["x", "y"], True)])

    assert capsys.readouterr().out == "A\tB\niPad\\x1b[2J\\n\\u202e[bold]\t–\nx, y\tyes\n"


def test_a_table_on_a_terminal_shows_hostile_text_written_out_and_no_markup() -> None:
    console = terminal()

    Output(as_json=False, console=console).table(("A",), [(HOSTILE,)])

    assert isinstance(console.file, io.StringIO)
    assert "iPad\\x1b[2J\\n\\u202e[bold]" in console.file.getvalue()


def test_times_are_relative_on_a_terminal_alone() -> None:
    def clock() -> datetime:
        return datetime(2026, 5, 1, 12, tzinfo=UTC)

    on_terminal = Output(as_json=False, console=terminal(), clock=clock)
    elsewhere = Output(as_json=False, console=Console(file=io.StringIO()), clock=clock)

    assert on_terminal.when("2026-05-01T11:57:00Z") == "3 min ago"
    assert elsewhere.when("2026-05-01T11:57:00Z") == "2026-05-01T11:57:00Z"


def test_facts_leave_out_what_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=False).facts({"name": HOSTILE, "absent": None, "is enrolled": False})

    assert capsys.readouterr().out == "name         iPad\\x1b[2J\\n\\u202e[bold]\nis enrolled  no\n"


def test_a_failure_is_one_printable_line_with_its_exit_code() -> None:
    failure = Failure(HOSTILE, exit_code=Exit.NOT_FOUND)

    assert failure.exit_code == 3
    assert failure.message.isprintable()
