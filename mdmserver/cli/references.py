"""From what a person types to the id of an enrollment: an enrollment id, or the serial number of a device."""

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from mdmserver.cli.client import APIClient
from mdmserver.cli.exits import Exit, Failure

DEVICE_TYPES = ("Device", "User Enrollment (Device)")
_SERIAL_NUMBER = re.compile(r"[A-Za-z0-9]{8,14}")  # a UDID is longer
_LOOKUPS_AT_ONCE = 16


async def resolve(api: APIClient, reference: str) -> str:
    """The enrollment id; a text that is no known serial number is taken for an id. Raises Failure if it is not clear.

    Of several devices with one serial number (a device that enrolled in another way since) the one enrolled counts.
    """
    if not _SERIAL_NUMBER.fullmatch(reference):
        return reference
    page = await api.get("enrollments", query={"serial": reference, "limit": 100})
    found = [item for item in page["items"] if item["type"] in DEVICE_TYPES]
    enrolled = [item for item in found if item["state"] == "enrolled"] or found
    if len(enrolled) > 1:
        ids = ", ".join(str(item["id"]) for item in enrolled)
        raise Failure(f"{reference} is the serial number of {len(enrolled)} enrollments: {ids}")
    return str(enrolled[0]["id"]) if enrolled else reference


async def resolve_all(api: APIClient, references: Sequence[str]) -> list[str]:
    """The ids of all, each once, in order. Raises Failure."""
    free = asyncio.Semaphore(_LOOKUPS_AT_ONCE)

    async def one(reference: str) -> str:
        async with free:
            return await resolve(api, reference)

    return list(dict.fromkeys(await asyncio.gather(*map(one, references))))


def read_references(path: Path) -> list[str]:
    """One a line, `-` for standard input; empty lines and what follows a `#` are skipped. Raises Failure."""
    try:
        with click.open_file(str(path), encoding="utf-8") as file:
            lines = [line.partition("#")[0].strip() for line in file]
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{path} cannot be read: {error}", exit_code=Exit.USAGE) from error
    return [line for line in lines if line]


def name_of(enrollment: dict[str, Any]) -> str:
    """How people call it: serial number, device name, or the id."""
    return str(enrollment.get("serial_number") or enrollment.get("device_name") or enrollment["id"])
