"""Checks of the state directory: who may read it, whether the database and its vault open. Nothing is migrated."""

import asyncio
import stat
from collections.abc import Iterator
from pathlib import Path

from certs import load_device_certificate
from mdmserver.cli.check_certificates import by_expiry
from mdmserver.cli.check_push import check_push_certificates
from mdmserver.cli.findings import Finding, failure, ok, warning
from mdmserver.cli.state import ADMIN_KEY_FILE, CONFIG_FILE, DATABASE_FILE, KEYS_FOLDER, SIMULATOR_CA_FOLDER
from mdmserver.clock import utc_now
from mdmserver.errors import MDMError
from mdmserver.storage.issuance import SQLIssuanceStore
from mdmserver.storage.migration import migrations
from mdmserver.storage.push import SQLPushStore
from mdmserver.storage.sqlite import SQLiteStorage
from mdmserver.storage.vault_keys import open_vault, read_wrapping_keys
from mdmserver.transaction import Transaction

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_ENGINE = "sqlite"


def check_modes(state: Path) -> Iterator[Finding]:
    """Nobody but the owner may read what is secret."""
    if not state.is_dir():
        yield failure("state directory", f"there is no {state}; make it: mdmserver init --state {state}")
        return
    private = [state, *(state / name for name in (CONFIG_FILE, DATABASE_FILE, ADMIN_KEY_FILE, KEYS_FOLDER)),
               *state.glob(f"{KEYS_FOLDER}/*"), *state.glob(f"{SIMULATOR_CA_FOLDER}/*.key")]  # fmt: skip
    opened = [path for path in private if path.exists() and path.stat().st_mode & _OTHERS]
    for path in opened:
        yield failure("state directory", f"others may use {path}; chmod go= {path}")
    if not opened:
        yield ok("state directory", f"{state}, for its owner alone")


def check_database(state: Path) -> Iterator[Finding]:
    """The database opens, its schema is ours, and the vault's keys are there."""
    path = state / DATABASE_FILE
    if not path.exists():
        if state.is_dir():
            yield failure("database", f"there is no {path}; make it: mdmserver init --state {state}")
        return
    try:
        yield from asyncio.run(_opened(path, state / KEYS_FOLDER))
    except Exception as error:  # whatever opening it raises is what was looked for
        yield failure("database", f"{path} does not open: {error}")


async def _opened(path: Path, keys: Path) -> list[Finding]:
    storage = SQLiteStorage(path)
    try:
        schema = _schema(await storage.read(_applied))
        if schema.verdict != "ok":
            return [schema]
        return [schema, *await _vault_and_ca(storage, keys)]
    finally:
        await storage.close()


async def _applied(tx: Transaction) -> dict[int, str]:
    rows = await tx.fetch_all("SELECT number, hash FROM schema_migration ORDER BY number")
    return {row[0]: row[1] for row in rows}


def _schema(applied: dict[int, str]) -> Finding:
    known = {migration.number: migration.hash for migration in migrations(_ENGINE)}
    if strange := [number for number in applied if applied[number] != known.get(number)]:
        return failure("database", f"its schema (migration {strange[0]}) is not one that this version knows")
    if missing := known.keys() - applied.keys():
        return warning("database", f"opens; {len(missing)} migrations are applied at the next start")
    return ok("database", f"opens; schema {max(applied)}")


async def _vault_and_ca(storage: SQLiteStorage, keys: Path) -> list[Finding]:
    try:
        vault = await open_vault(storage, read_wrapping_keys(keys), clock=utc_now)
        own = await storage.read(SQLIssuanceStore(vault).authorities)
        push = await storage.read(SQLPushStore(vault).certificates)
    except (MDMError, OSError) as error:
        return [failure("vault", str(error))]
    opened = ok("vault", "its key is there and opens it")
    pushed = check_push_certificates(push, now=utc_now())
    if not own:
        return [opened, warning("CA", "there is none: devices need certificates of the CAs in device_ca"), *pushed]
    # An expired CA signs nothing that devices believe.
    ca = by_expiry("CA", load_device_certificate(own[0].certificate), now=utc_now(), expired=failure)
    return [opened, ca, *pushed]
