"""`mdmctl groups …`: groups of devices. A group is there while it has members."""

from collections.abc import Sequence
from pathlib import Path

import click

from mdmserver.assignments.service import MOST_MEMBERS
from mdmserver.cli.client import APIClient
from mdmserver.cli.device_settings import show_members
from mdmserver.cli.output import Output
from mdmserver.cli.references import read_references
from mdmserver.cli.verb import api_verb

_from_file = click.option(
    "--from-file", type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    help="File with one REF a line; - is standard input.",
)  # fmt: skip


@click.group()
def groups() -> None:
    """Groups of devices, for which apps are meant. REF is an enrollment id or a serial number."""


@groups.command("list")
@api_verb
async def list_groups(api: APIClient, out: Output) -> None:
    """List groups."""
    await show_members(api, out, "groups", None, limit=None)


@groups.command("members")
@click.argument("group")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@click.option("--all", "everything", is_flag=True, help="However many there are.")
@api_verb
async def members(api: APIClient, out: Output, group: str, limit: int, everything: bool) -> None:
    """List the devices in a group."""
    await show_members(api, out, "groups", group, limit=None if everything else limit)


@groups.command("add")
@click.argument("group")
@click.argument("references", metavar="[REF]...", nargs=-1)
@_from_file
@api_verb
async def add(api: APIClient, out: Output, group: str, references: tuple[str, ...], from_file: Path | None) -> None:
    """Put devices into a group; it begins with its first device."""
    await _change(api, out, group, "add", _named(references, from_file))


@groups.command("remove")
@click.argument("group")
@click.argument("references", metavar="[REF]...", nargs=-1)
@_from_file
@api_verb
async def remove(api: APIClient, out: Output, group: str, references: tuple[str, ...], from_file: Path | None) -> None:
    """Take devices out of a group; what was meant for the group is not meant for them any more."""
    await _change(api, out, group, "remove", _named(references, from_file))


def _named(references: tuple[str, ...], from_file: Path | None) -> list[str]:
    named = [*references, *(read_references(from_file) if from_file is not None else [])]
    if not named:
        raise click.UsageError("name devices, or --from-file")
    return named


async def _change(api: APIClient, out: Output, group: str, verb: str, references: Sequence[str]) -> None:
    changed, answer = 0, {}
    for start in range(0, len(references), MOST_MEMBERS):
        body = {verb: list(references[start : start + MOST_MEMBERS])}
        answer = await api.post("groups", group, "members", body=body)
        changed += answer["added"] + answer["removed"]
    if out.as_json:
        out.json({"name": group, "devices": answer["devices"], "changed": changed})
        return
    words = "put into" if verb == "add" else "taken out of"
    out.say(f"{changed} devices {words} {group}, which has {answer['devices']} now")
