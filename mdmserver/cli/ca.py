"""`mdmserver ca …`: the built-in CA. It signs device certificates; whoever has its key can make devices up."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from mdmserver.cli.asking import ask
from mdmserver.cli.client import APIError, Unreachable
from mdmserver.cli.exits import Exit, Failure
from mdmserver.cli.in_force import read_in_force
from mdmserver.cli.output import Output
from mdmserver.cli.own_ca import CAFiles, OwnCA, ca_name, open_own_ca
from mdmserver.cli.state import state_option
from mdmserver.errors import MDMError

_FILE = click.Path(dir_okay=False, path_type=Path)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON, for programs.")
_YES = click.option("--yes", is_flag=True, help="Do not ask.")
T = TypeVar("T")


@click.group()
def ca() -> None:
    """Look after the built-in CA, while the server runs or not."""


@ca.command()
@state_option
@_JSON
def show(state: Path, as_json: bool) -> None:
    """Show the CAs in force: the one that issues, and those whose certificates are still believed."""
    out, found = Output(as_json=as_json), _done(state, "ca show", lambda own: own.authorities())
    if as_json:
        out.json({"authorities": found})
        return
    out.table(
        ("ID", "ROLE", "NAME", "VALID UNTIL", "SHA-256"),
        [(each["id"], each["role"], each["name"], each["not_after"], each["sha256"]) for each in found],
    )
    if not found:
        out.say("there is no CA: make one with `mdmserver ca rollover`, or take one with `mdmserver ca import`")


@ca.command("import")
@state_option
@click.option("--certificate", type=_FILE, required=True, help="PEM of the CA's certificate.")
@click.option("--key", type=_FILE, required=True, help="PEM of its RSA key, not encrypted.")
@_YES
@_JSON
def import_(state: Path, certificate: Path, key: Path, yes: bool, as_json: bool) -> None:
    """Take an existing CA, which issues from now on."""
    out, files = Output(as_json=as_json), CAFiles(certificate, key)

    async def take(own: OwnCA) -> dict[str, Any]:
        what = (
            f"{files.authority.name}, valid until {files.authority.not_after.date()}, is taken with its key, which is "
            f"sealed in the database.\n{_what_changes(await own.authorities())}"
        )
        ask(what, yes=yes, out=out)
        return await own.take(files)

    _print(out, _done(state, "ca import", take))


@ca.command()
@state_option
@click.option("--name", help="Common name of the new CA (default: from the public name).")
@_YES
@_JSON
def rollover(state: Path, name: str | None, yes: bool, as_json: bool) -> None:
    """Make a new CA, which issues from now on; the old one stays trusted."""
    out = Output(as_json=as_json)
    wanted = name or ca_name(read_in_force(state, None).config.server.url)

    async def make(own: OwnCA) -> dict[str, Any]:
        ask(f"A new CA, {wanted}, is made.\n{_what_changes(await own.authorities())}", yes=yes, out=out)
        return await own.create(wanted)

    _print(out, _done(state, "ca rollover", make))


@ca.command()
@state_option
@click.option("--out", "path", type=_FILE, help="Write it there; otherwise to standard output. DER.")
def crl(state: Path, path: Path | None) -> None:
    """Write the issuing CA's revocation list, for others who check device certificates."""
    if path is None and sys.stdout.isatty():
        raise click.UsageError("a CRL is binary: say --out FILE, or send it through a pipe")
    der = _done(state, "ca crl", lambda own: own.crl())
    if path is None:
        sys.stdout.buffer.write(der)
        return
    try:
        path.write_bytes(der)
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror}") from error
    Output(as_json=False).say(f"{path}: {len(der)} bytes, DER")


def _done(state: Path, purpose: str, work: Callable[[OwnCA], Awaitable[T]]) -> T:
    async def opened() -> T:
        async with open_own_ca(state, purpose=purpose) as own:
            return await work(own)

    try:
        return asyncio.run(opened())
    except Unreachable as error:
        raise Failure(str(error), exit_code=Exit.UNREACHABLE) from error
    except (APIError, MDMError) as error:
        raise Failure(str(error)) from error


def _what_changes(present: list[dict[str, Any]]) -> str:
    if not present:
        return "There is no CA yet. From now on it signs the certificates of the devices that enroll."
    return (
        f"New certificates come from it at once. The one that issues now, {present[0]['name']}, stays trusted: the\n"
        "certificates it signed go on working until each device renews its own, which then comes from the new CA.\n"
        "Profiles that were downloaded and are not installed yet name the old CA: such people download theirs again."
    )


def _print(out: Output, made: dict[str, Any]) -> None:
    if out.as_json:
        out.json(made)
        return
    out.facts({"issues now": made["name"], "valid until": made["not_after"], "SHA-256": made["sha256"]})
