"""The programs of the demonstration: mdmserver and mdmctl of this checkout, as processes that are ended with it."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from shlex import join

from mdmserver.cli.demo_narrator import Narrator
from mdmserver.cli.lock import lock_holder

_MODULES = {"mdmserver": "mdmserver", "mdmctl": "mdmserver.cli.mdmctl"}
_OWN_VARIABLES = ("MDMSERVER_", "MDMCTL_")
_SECONDS_FOR_A_COMMAND = 60
_SECONDS_TO_START = 60
_SECONDS_TO_STOP = 15
_LOG = "serve.log"


class DemoFailed(Exception):
    """The story cannot go on; the message says what did not happen."""


class Programs:
    """Runs commands on this state directory and shows them."""

    def __init__(self, state: Path, narrator: Narrator) -> None:
        self._state = state
        self._narrator = narrator

    async def show(self, *command: str, given: str | None = None, note: str = "") -> str:
        """Run a command, show it and what it says, and give back its standard output. Raises DemoFailed."""
        self._narrator.command(join(command), note=note)
        out, errors = await self.run(*command, given=given, coloured=self._narrator.is_terminal)
        self._narrator.answer(out)
        self._narrator.answer(errors)
        return out

    async def run(self, *command: str, given: str | None = None, coloured: bool = False) -> tuple[str, str]:
        """Run a command with `given` on its standard input: standard output and error. Raises DemoFailed."""
        process = await asyncio.create_subprocess_exec(
            *self._arguments(command),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment(coloured=coloured),
            start_new_session=True,  # Ctrl-C is for the demonstration, which ends them
        )
        try:
            async with asyncio.timeout(_SECONDS_FOR_A_COMMAND):
                out, errors = await process.communicate((given or "").encode())
        except TimeoutError:
            raise DemoFailed(f"`{join(command)}` did not end in {_SECONDS_FOR_A_COMMAND} seconds") from None
        finally:
            await _ended(process)
        if process.returncode != 0:
            raise DemoFailed(f"`{join(command)}` ended with {process.returncode}: {errors.decode().strip()}")
        return out.decode(), errors.decode()

    @asynccontextmanager
    async def serving(self, *options: str) -> AsyncIterator[None]:
        """`mdmserver serve` for the time of the block, its log beside the database. Raises DemoFailed."""
        with (self._state / _LOG).open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *self._arguments(("mdmserver", "serve", *options)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(coloured=False),
                start_new_session=True,
            )
        try:
            await self._until_it_listens(process)
            yield
        finally:
            await _ended(process)

    async def _until_it_listens(self, process: asyncio.subprocess.Process) -> None:
        try:
            async with asyncio.timeout(_SECONDS_TO_START):
                while (holder := lock_holder(self._state)) is None or not holder.listening:
                    if process.returncode is not None:
                        break
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise DemoFailed(f"the server did not start in {_SECONDS_TO_START} seconds: {self._end_of_log()}") from None
        if process.returncode is not None:
            raise DemoFailed(f"the server ended with {process.returncode}: {self._end_of_log()}")

    def _end_of_log(self) -> str:
        return (self._state / _LOG).read_text(errors="replace")[-2000:]

    def _arguments(self, command: Sequence[str]) -> list[str]:
        return [sys.executable, "-m", _MODULES[command[0]], *command[1:]]

    def _environment(self, *, coloured: bool) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OWN_VARIABLES)}
        shown = {"FORCE_COLOR": "1", "COLUMNS": str(self._narrator.width)} if coloured else {}
        return {**kept, "MDMSERVER_STATE": str(self._state), **shown}


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Asked to end, then made to."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_SECONDS_TO_STOP):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
