"""What the tests of the command line share: a server, and `mdmctl` as a person types it."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mdmserver.__main__ import main as mdmserver_main
from mdmserver.cli.mdmctl import main as mdmctl_main
from tests.web.api_server import RunningServer, server

__all__ = ["server"]

Mdmctl = Callable[..., Coroutine[Any, Any, Result]]
Mdmserver = Callable[..., Result]


@pytest.fixture
def mdmctl(server: RunningServer, tmp_path: Path) -> Mdmctl:
    """Runs mdmctl against `server` with the administrator's key, in a thread: it has an event loop of its own."""
    key_file = tmp_path / "key"
    key_file.write_text(server.admin_key + "\n")

    async def run(*arguments: str, input: str | None = None, url: str = server.url) -> Result:
        whole = ["--url", url, "--key-file", str(key_file), *arguments]
        return await asyncio.to_thread(CliRunner().invoke, mdmctl_main, whole, input=input)

    return run


@pytest.fixture
def mdmserver() -> Mdmserver:
    """Runs mdmserver in this process."""

    def run(*arguments: str, input: str | None = None) -> Result:
        return CliRunner().invoke(mdmserver_main, list(arguments), input=input)

    return run


@pytest.fixture
def state(mdmserver: Mdmserver, tmp_path: Path) -> Path:
    """A state directory made by `mdmserver init`."""
    result = mdmserver("init", "--state", str(tmp_path / "state"), "--yes", "--simulator-ca")
    assert result.exit_code == 0, result.output
    return tmp_path / "state"
