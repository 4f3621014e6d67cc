"""Before something that cannot be taken back: say what will happen, then ask."""

import sys

import click

from mdmserver.cli.output import Output


def ask(what: str, *, yes: bool, out: Output) -> None:
    """Say what will be done and ask; `yes` answers. Raises UsageError where nobody is there to answer, Abort for no."""
    for line in what.splitlines():
        out.say(line)
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("nobody is there to ask: say --yes")
    click.confirm("Go on?", abort=True, err=True)
