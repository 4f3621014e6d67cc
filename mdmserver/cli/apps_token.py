"""Secret values that a person gives: from standard input, one a line; at a terminal unseen. Never as an argument."""

import re
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from mdmserver.apps.model import PINGID_TOKEN
from mdmserver.cli.output import Output

_F = TypeVar("_F", bound=Callable[..., Any])
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def token_option(function: _F) -> _F:
    """Adds `--token -`; the command gets whether it was given."""
    return click.option(
        "--token",
        metavar="-",
        callback=_is_dash,
        help=f"`-` reads {PINGID_TOKEN} from standard input; at a terminal it is asked for and not shown.",
    )(function)


def read_token(out: Output) -> str:
    """PingID's token; says so if it does not look like one. Raises UsageError."""
    token = read_secret(PINGID_TOKEN)
    if not _UUID.fullmatch(token):
        out.say("note: PingID makes tokens in the form of a UUID; this one is not. It is taken as it is.")
    return token


def read_secret(name: str) -> str:
    """One line without the spaces around it. Raises UsageError if there is nothing, or what cannot be sent."""
    line: str = click.prompt(name, hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.readline()
    text = line.strip()
    if not text:
        raise click.UsageError(f"there is no value for {name} on standard input; give it as one line")
    if not text.isprintable():
        raise click.UsageError(f"the value for {name} has characters in it that cannot be printed")
    return text


def _is_dash(context: click.Context, parameter: click.Parameter, value: str | None) -> bool:
    if value not in (None, "-"):
        raise click.UsageError(
            "a token is never an argument: other users see it, and the shell keeps it. Use --token - and standard "
            "input.\nIf what you gave was the token in use, think of it as known to others and replace it."
        )
    return value is not None
