"""`mdmctl profiles export`: the signed .mobileconfig for Macs of an app's configuration, as a file."""

import os
import sys
from pathlib import Path

import click

from mdmserver.apps.model import PINGID_TOKEN
from mdmserver.cli.apps_scope import scope_option
from mdmserver.cli.apps_token import read_secret, read_token, token_option
from mdmserver.cli.client import APIClient
from mdmserver.cli.exits import Failure
from mdmserver.cli.output import Output
from mdmserver.cli.state import write_private
from mdmserver.cli.verb import api_verb

_STANDARD_OUTPUT = Path("-")


@click.group()
def profiles() -> None:
    """Configuration profiles as files, for Macs that get them by another way."""


@profiles.command("export")
@click.argument("key")
@scope_option
@token_option
@click.option("--secret", "secret_keys", metavar="KEY", multiple=True,
              help="Read the value of this secret key from standard input; repeat it for more.")  # fmt: skip
@click.option("--out", "file", type=click.Path(dir_okay=False, path_type=Path, allow_dash=True), required=True,
              help="The .mobileconfig to write, readable by you alone; - is standard output.")  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite the file.")
@api_verb
async def export(
    api: APIClient, out: Output, key: str, scope: str, token: bool, secret_keys: tuple[str, ...], file: Path,
    force: bool,
) -> None:  # fmt: skip
    """Write the profile that Macs get with an app's configuration: managed preferences in the app's domain.

    The server gives a secret to nobody: you bring it, and it must be the one in force.
    """
    _check_place(file, force=force, as_json=out.as_json)
    secrets = {PINGID_TOKEN: read_token(out)} if token else {}
    secrets |= {name: read_secret(name) for name in secret_keys}
    profile = await api.download("apps", key, "profile", body={"scope": scope, "secrets": secrets})
    if file == _STANDARD_OUTPUT:
        sys.stdout.buffer.write(profile)
        return
    try:
        _write(file, profile)
    except OSError as error:
        raise Failure(f"{file} cannot be written: {error.strerror}") from error
    if out.as_json:
        out.json({"file": str(file), "bytes": len(profile)})
        return
    out.say(f"{file} is written, {len(profile)} bytes, signed by this server")
    if secrets:
        out.say("whoever can read the file can read the secrets in it: they stand there in clear text")


def _check_place(file: Path, *, force: bool, as_json: bool) -> None:
    """Before a secret is asked for."""
    if file == _STANDARD_OUTPUT and (sys.stdout.isatty() or as_json):
        raise click.UsageError("a signed profile is no text: --out FILE")
    if file != _STANDARD_OUTPUT and file.exists() and not force:
        raise Failure(f"{file} is there already; --force overwrites it")


def _write(file: Path, content: bytes) -> None:
    """In the place of a file that is there; at no time half written or readable by others."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    write_private(draft, content)
    draft.replace(file)
