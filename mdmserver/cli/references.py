"""For whom a command is: enrollment ids, or serial numbers, which become ids. In URLs the server does that itself."""

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path

import click

from mdmserver.cli.client import APIClient, Missing
from mdmserver.cli.exits import Exit, Failure

_SERIAL_NUMBER = re.compile(r"[A-Za-z0-9]{1,20}")  # UDIDs are longer
_LOOKUPS_AT_ONCE = 16


async def target_ids(api: APIClient, references: Sequence[str]) -> list[str]:
    """The enrollment ids of all, each once, in order; what is no known serial number is taken for an id."""
    free = asyncio.Semaphore(_LOOKUPS_AT_ONCE)

    async def one(reference: str) -> str:
        if not _SERIAL_NUMBER.fullmatch(reference):
            return reference
        async with free:
            try:
                return str((await api.get("enrollments", reference))["id"])
            except Missing:
                return reference  # the server says so when it is to send something there

    return list(dict.fromkeys(await asyncio.gather(*map(one, references))))


def read_references(path: Path) -> list[str]:
    """One a line, `-` for standard input; empty lines and what follows a `#` are skipped. Raises Failure."""
    try:
        with click.open_file(str(path), encoding="utf-8") as file:
            lines = [line.partition("#")[0].strip() for line in file]
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{path} cannot be read: {error}", exit_code=Exit.USAGE) from error
    return [line for line in lines if line]
