"""`mdmserver init`: makes a state directory. config.toml is put in place last: where it stands, everything is there."""

import asyncio
import os
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import urlsplit

import click

from mdmserver.access.service import AccessService
from mdmserver.bootstrap import open_services
from mdmserver.cli.actor import cli_actor
from mdmserver.cli.config_file import SIMULATOR_CA_SECTION, config_text
from mdmserver.cli.exits import Failure
from mdmserver.cli.init_ca import CAChoice, present_ca, print_ca
from mdmserver.cli.lock import Holder, StateLock, hold_lock, lock_holder
from mdmserver.cli.simulator_ca import SIMULATOR_CA_NAME, make_simulator_ca
from mdmserver.cli.state import (
    ADMIN_KEY_FILE,
    CONFIG_FILE,
    DATABASE_FILE,
    KEYS_FOLDER,
    SIMULATOR_CA_FOLDER,
    state_option,
    write_private,
)
from mdmserver.clock import utc_now
from mdmserver.config import Config, load_config
from mdmserver.errors import AccessRefused, MDMError
from mdmserver.issuance.authorities import OwnAuthority
from mdmserver.storage.vault_keys import add_wrapping_key, read_wrapping_keys

DEFAULT_URL = "http://127.0.0.1:8080"
_FILE = click.Path(dir_okay=False, path_type=Path)
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@click.command()
@state_option
@click.option("--url", help="The public name that devices are enrolled with; it cannot change for enrolled devices.")
@click.option("--name", default="admin", show_default=True, help="Name of the first API key.")
@click.option("--simulator-ca", is_flag=True, help="Make a CA for simulated devices and trust it. Not in production.")
@click.option("--no-ca", is_flag=True, help="Make no CA: devices have certificates of other CAs alone.")
@click.option("--ca-certificate", type=_FILE, help="Take this CA instead of making one: PEM of its certificate.")
@click.option("--ca-key", type=_FILE, help="PEM of its RSA key, not encrypted.")
@click.option("--yes", is_flag=True, help=f"Do not ask; without --url the public name is {DEFAULT_URL}.")
def init(
    state: Path, url: str | None, name: str, simulator_ca: bool, no_ca: bool, ca_certificate: Path | None,
    ca_key: Path | None, yes: bool,
) -> None:  # fmt: skip
    """Make the state directory: configuration, database, vault key, the first API key and the CA.

    A second run says what is there and changes nothing; only a missing CA or --simulator-ca is added.
    """
    ca = CAChoice.of(no_ca, ca_certificate, ca_key)
    try:
        if (state / CONFIG_FILE).exists():
            _report(state, url, simulator_ca, ca)
            return
        asked = _checked_url(url or _asked_url(yes))
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _holding(state):
            _make(state, asked, name, simulator_ca, ca)
    except (MDMError, OSError) as error:
        raise Failure(f"{state} cannot be made: {error}") from error


def _make(state: Path, url: str, name: str, simulator_ca: bool, ca: CAChoice) -> None:
    state.chmod(0o700)
    if not read_wrapping_keys(state / KEYS_FOLDER):
        add_wrapping_key(state / KEYS_FOLDER)
    if simulator_ca:
        make_simulator_ca(state / SIMULATOR_CA_FOLDER, now=utc_now())
    draft = state / f"{CONFIG_FILE}.new"
    draft.unlink(missing_ok=True)
    write_private(draft, config_text(url, simulator_ca=simulator_ca).encode())
    key, authority = asyncio.run(_first_contents(load_config(draft, {}), state, name, ca))
    draft.rename(state / CONFIG_FILE)
    click.echo(f"state directory   {state}")
    click.echo(f"configuration     {state / CONFIG_FILE}")
    click.echo(f"public name       {url} (it cannot change for devices that are enrolled)")
    print_ca(authority)
    if simulator_ca:
        click.echo(f"simulator CA      {state / SIMULATOR_CA_FOLDER} (who holds its key can enroll devices)")
    click.echo(f"first API key     {key}")
    click.echo(f"                  shown this once; also in {state / ADMIN_KEY_FILE}, where mdmctl finds it")
    click.echo("next              mdmserver serve")


async def _first_contents(config: Config, state: Path, name: str, ca: CAChoice) -> tuple[str, OwnAuthority | None]:
    """The first API key and the CA; what an interrupted run left is kept."""
    async with open_services(config, state) as services:
        authority = await present_ca(services.own_authorities, config.server.url, ca)
        return await _first_key(services.access, state / ADMIN_KEY_FILE, name), authority


async def _first_key(access: AccessService, path: Path, name: str) -> str:
    if (kept := _kept(path)) is not None:
        try:
            await access.authenticate(kept)
        except AccessRefused:
            os.unlink(path)
        else:
            return kept
    _, secret = await access.create_key(name=name, scopes=None, expires_at=None, actor=cli_actor())
    write_private(path, f"{secret.reveal()}\n".encode())
    return secret.reveal()


def _kept(path: Path) -> str | None:
    return path.read_text().strip() if path.exists() else None


def _holding(state: Path) -> AbstractContextManager[StateLock]:
    since = utc_now().isoformat(timespec="seconds")
    return hold_lock(state, Holder(pid=os.getpid(), command="init", since=since))


def _report(state: Path, url: str | None, simulator_ca: bool, ca: CAChoice) -> None:
    config = load_config(state / CONFIG_FILE, {})
    click.echo(f"{state} was made before:")
    for name in (CONFIG_FILE, DATABASE_FILE, KEYS_FOLDER, ADMIN_KEY_FILE, SIMULATOR_CA_FOLDER):
        click.echo(f"  {name:16}  {'there' if (state / name).exists() else 'not there'}")
    click.echo(f"  public name       {config.server.url}")
    if url is not None and url.rstrip("/") != config.server.url:
        click.echo(f"the public name stays {config.server.url}: enrolled devices know the server by it", err=True)
    if simulator_ca:
        _add_simulator_ca(state, config)
    if lock_holder(state) is not None:
        click.echo("the server is running; `mdmserver ca show` says which CAs it has")
        return
    with _holding(state):
        print_ca(asyncio.run(_reported_ca(config, state, ca)))


async def _reported_ca(config: Config, state: Path, ca: CAChoice) -> OwnAuthority | None:
    async with open_services(config, state) as services:
        found = await present_ca(services.own_authorities, config.server.url, ca)
    if found is not None and ca.names_another_than(found):
        click.echo("the CA stays; `mdmserver ca import` takes another one", err=True)
    return found


def _add_simulator_ca(state: Path, config: Config) -> None:
    if any(authority.name == SIMULATOR_CA_NAME for authority in config.device_ca):
        return
    make_simulator_ca(state / SIMULATOR_CA_FOLDER, now=utc_now())
    with (state / CONFIG_FILE).open("a") as file:
        file.write(SIMULATOR_CA_SECTION)
    click.echo(f"simulator CA      {state / SIMULATOR_CA_FOLDER} made and trusted; restart the server")


def _asked_url(yes: bool) -> str:
    if yes:
        return DEFAULT_URL
    click.echo("The public name is the URL that devices reach this server at. It is written into every enrollment:")
    click.echo("it cannot change for devices that are enrolled. For a trial on this machine keep the default.")
    answer: str = click.prompt("Public name", default=DEFAULT_URL)
    return answer


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_plain = bool(parts.hostname) and not (
            parts.query or parts.fragment or parts.username or parts.path.strip("/")
        )
        parts.port  # noqa: B018  # raises ValueError for a port that is none
    except ValueError:
        is_plain = False
    if not is_plain or parts.scheme not in ("http", "https") or not url.isprintable() or " " in url:
        raise click.UsageError(f"{url!r} is no URL such as https://mdm.example.com")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        click.echo("note: Apple devices enroll only over https", err=True)
    return url.rstrip("/")
