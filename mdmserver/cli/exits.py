"""How a command ends: one exit code per kind of ending, so that scripts can tell them apart."""

from enum import IntEnum

import click

from mdmserver.escaping import escaped


class Exit(IntEnum):
    """The exit codes of `mdmctl` (and, where they apply, of `mdmserver`)."""

    OK = 0
    REFUSED = 1
    USAGE = 2
    NOT_FOUND = 3
    UNREACHABLE = 4
    NOT_ALL_SUCCEEDED = 5
    INTERRUPTED = 130


EXIT_CODES_HELP = """\b
Exit codes:
  0    done
  1    refused or failed
  2    wrong usage
  3    there is no such thing
  4    the server cannot be reached
  5    waited, and not every device acknowledged
  130  interrupted while waiting
"""


class Failure(click.ClickException):
    """Ends a command with one line on standard error and this exit code."""

    def __init__(self, message: str, *, exit_code: Exit = Exit.REFUSED) -> None:
        super().__init__(escaped(message))
        self._exit = exit_code

    @property
    def exit_code(self) -> int:  # type: ignore[override]  # click has a class attribute there
        """The process's exit code."""
        return self._exit.value
