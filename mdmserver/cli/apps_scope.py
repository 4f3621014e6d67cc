"""For whom an app is, as a person says it: `--all`, or `--scope tag:sales`."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from mdmserver.cli.client import APIClient, Missing, Refused

_F = TypeVar("_F", bound=Callable[..., Any])
_HELP = "For whom: all, tag:NAME, group:NAME or device:REF."


def whom_options(function: _F) -> _F:
    """Adds `--all` and `--scope`, of which `chosen` makes one."""
    function = click.option("--scope", metavar="SCOPE", help=_HELP)(function)
    return click.option("--all", "everyone", is_flag=True, help="For every device, those to come too.")(function)


def scope_option(function: _F) -> _F:
    """Adds `--scope`, which is `all` where nothing is said."""
    return click.option("--scope", metavar="SCOPE", default="all", show_default=True, help=_HELP)(function)


def chosen(scope: str | None, *, everyone: bool) -> str:
    """The one scope that is meant. Raises UsageError."""
    if everyone == (scope is not None):
        raise click.UsageError("say for whom: --all, or --scope tag:NAME, group:NAME or device:REF")
    return "all" if scope is None else scope


async def as_stored(api: APIClient, scope: str) -> str:
    """The scope as the server writes it: a device by its key. What is unknown stays; the server says what it is."""
    kind, colon, reference = scope.partition(":")
    if kind != "device" or not colon:
        return scope
    try:
        return f"device:{(await api.get('enrollments', reference))['key']}"
    except (Missing, Refused):
        return scope


def devices(number: int) -> str:
    """How many, in words."""
    return "1 enrolled device" if number == 1 else f"{number} enrolled devices"
