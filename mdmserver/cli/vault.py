"""`mdmserver vault rewrap`: another key-encryption key, while the server runs or not. Sealed values stay the same."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from os import getpid
from pathlib import Path

import click

from mdmserver.audit.model import Actor
from mdmserver.cli.actor import cli_actor
from mdmserver.cli.asking import ask
from mdmserver.cli.exits import Failure
from mdmserver.cli.lock import Holder, hold_lock, lock_holder
from mdmserver.cli.output import Output
from mdmserver.cli.state import DATABASE_FILE, KEYS_FOLDER, state_option
from mdmserver.clock import Clock, utc_now
from mdmserver.errors import MDMError
from mdmserver.storage.audit import SQLAuditStore
from mdmserver.storage.issuance import SQLIssuanceStore
from mdmserver.storage.sqlite import SQLiteStorage
from mdmserver.storage.vault import Place, Vault, VaultBroken
from mdmserver.storage.vault_keys import (
    add_wrapping_key,
    open_vault,
    read_wrapping_keys,
    remove_wrapping_keys,
    rewrap,
)
from mdmserver.transaction import Storage, Transaction

_WHAT = """\
A new key-encryption key is written into {keys}, the vault's data keys are wrapped with it, and when they have been
seen to open, the files of the older keys ({old}) are removed. Sealed values are not touched, and a running server goes
on undisturbed. Backups of the database from before open only with the old files: back both up again afterwards, and
keep the old copies of {keys} as long as the old backups."""
_SAMPLE = b"opens as before"
_SAMPLE_PLACE = Place(table="vault_key", row="rewrap", column="sample")


@click.group()
def vault() -> None:
    """Look after the key that secrets are sealed with."""


@vault.command("rewrap")
@state_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON, for programs.")
def rewrap_vault(state: Path, yes: bool, as_json: bool) -> None:
    """Change the key-encryption key, without stopping the server."""
    out, database, keys = Output(as_json=as_json), state / DATABASE_FILE, state / KEYS_FOLDER
    if not database.exists():
        raise Failure(f"there is no database {database}")
    try:
        old = sorted(read_wrapping_keys(keys))
        ask(_WHAT.format(keys=keys, old=", ".join(old)), yes=yes, out=out)
        with _nobody_else(state) as is_served:
            new, data_keys = asyncio.run(_rewrapped(database, keys, beside_a_server=is_served, clock=utc_now))
    except (MDMError, OSError) as error:
        raise Failure(f"{error}; no key was removed") from error
    if as_json:
        out.json({"key": new, "data_keys": data_keys, "removed": old})
        return
    out.say(f"{data_keys} data keys are wrapped with {new}; removed: {', '.join(old)}")
    out.say(f"back up {keys} now, apart from the database")


@contextmanager
def _nobody_else(state: Path) -> Iterator[bool]:
    """Whether a server runs; if not, none starts meanwhile and reads keys that are about to go."""
    holder = lock_holder(state)
    if holder is not None and holder.listening:
        yield True
        return
    since = utc_now().isoformat(timespec="seconds")
    with hold_lock(state, Holder(pid=getpid(), command="vault rewrap", since=since)):
        yield False


async def _rewrapped(database: Path, keys: Path, *, beside_a_server: bool, clock: Clock) -> tuple[str, int]:
    """The new key's name, and how many data keys it wraps."""
    storage = SQLiteStorage(database, beside_a_server=beside_a_server)
    try:
        before = await open_vault(storage, read_wrapping_keys(keys), clock=clock)
        new, actor = add_wrapping_key(keys), cli_actor()

        async def noted(tx: Transaction) -> None:
            await _audited(tx, new, actor, clock)

        wrapping_keys = read_wrapping_keys(keys)
        data_keys = await rewrap(storage, wrapping_keys, noted=noted)
        await _check_opens(storage, {new: wrapping_keys[new]}, before, clock)
        remove_wrapping_keys(keys, [name for name in wrapping_keys if name < new])
        return new, data_keys
    finally:
        await storage.close()


async def _check_opens(storage: Storage, new: dict[str, bytes], before: Vault, clock: Clock) -> None:
    """Raises VaultBroken unless the new key alone opens the vault, and it is the same vault."""
    after = await open_vault(storage, new, clock=clock)
    if after.open(before.seal(_SAMPLE, _SAMPLE_PLACE), _SAMPLE_PLACE) != _SAMPLE:
        raise VaultBroken("what the vault sealed before does not open")
    if after.fingerprint(_SAMPLE) != before.fingerprint(_SAMPLE):
        raise VaultBroken("the vault gives other fingerprints than before")
    await storage.read(SQLIssuanceStore(after).authorities)  # the CA's keys, the dearest of all


async def _audited(tx: Transaction, new: str, actor: Actor, clock: Clock) -> None:
    await SQLAuditStore().append(tx, at=clock(), actor=actor, action="vault.rewrap", subject=new, detail={})
