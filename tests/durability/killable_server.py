"""The real `mdmserver serve` in a process of its own that a test ends with SIGKILL and starts again."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_LISTENS = re.compile(rb"listens on (http://\S+) \(http\)")
_START_SECONDS = 20


class KillableServer:
    """One state directory and the server on it, running or not."""

    def __init__(self, launcher: Process, state: Path) -> None:
        self.state = state
        self._launcher = launcher

    async def start(self) -> str:
        """Start the server; its URL, once it listens."""
        self.begin_start()
        async with asyncio.timeout(_START_SECONDS):
            while line := await self._line():
                if found := _LISTENS.search(line):
                    return found.group(1).decode()
        raise AssertionError("the server did not start; see its log in the test's folder")

    def begin_start(self) -> None:
        """Start the server without waiting for anything."""
        self._tell(f"start {self.state}")

    async def kill(self) -> None:
        """End the server with SIGKILL, wherever it is."""
        self._tell("kill")
        async with asyncio.timeout(_START_SECONDS):
            while await self._line() != b"killed\n":
                pass

    def _tell(self, line: str) -> None:
        assert self._launcher.stdin is not None
        self._launcher.stdin.write(line.encode() + b"\n")

    async def _line(self) -> bytes:
        assert self._launcher.stdout is not None
        line = await self._launcher.stdout.readline()
        assert line, "the launcher ended"
        return line


@asynccontextmanager
async def killable_server(state: Path) -> AsyncIterator[KillableServer]:
    """A server that is not started yet; whatever runs at the end of the block is ended with it."""
    with (state.parent / "server.log").open("ab") as log:
        launcher = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.durability.launcher",
            stdin=PIPE, stdout=PIPE, stderr=log, cwd=ROOT, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        try:
            yield KillableServer(launcher, state)
        finally:
            assert launcher.stdin is not None
            launcher.stdin.close()
            await launcher.wait()
