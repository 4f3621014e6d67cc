"""The state directory: where it is by default, and what lies in it under which name."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

import mdmserver

INSTALLED_STATE = Path("/var/lib/mdmserver")
CONFIG_FILE = "config.toml"
ADMIN_KEY_FILE = "admin.key"
DATABASE_FILE = "mdmserver.sqlite"
KEYS_FOLDER = "keys"
SIMULATOR_CA_FOLDER = "simulator-ca"

_F = TypeVar("_F", bound=Callable[..., Any])


def default_state(environment: Mapping[str, str] = os.environ) -> Path:
    """$MDMSERVER_STATE, else ./mdm-state when this runs from a source checkout, else /var/lib/mdmserver."""
    if named := environment.get("MDMSERVER_STATE"):
        return Path(named)
    checkout = Path(mdmserver.__file__).parent.parent
    return Path("mdm-state") if (checkout / "pyproject.toml").exists() else INSTALLED_STATE


def state_option(function: _F) -> _F:
    """Adds `--state DIR`; the command gets a Path."""
    return click.option(
        "--state",
        type=click.Path(file_okay=False, path_type=Path),
        default=default_state,
        metavar="DIR",
        help="State directory (default: $MDMSERVER_STATE, ./mdm-state in a source checkout, /var/lib/mdmserver).",
    )(function)


def write_private(path: Path, content: bytes) -> None:
    """A new file with mode 0600, on disk when this returns. Raises FileExistsError: nothing is overwritten."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
