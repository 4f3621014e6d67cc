"""`mdmserver audit verify`: whether the audit trail is what was written. Beside a running server it only reads."""

import asyncio
from pathlib import Path

import click

from mdmserver.audit.service import AuditService, Verification
from mdmserver.cli.exits import Failure
from mdmserver.cli.output import Output
from mdmserver.cli.state import DATABASE_FILE, state_option
from mdmserver.errors import MDMError
from mdmserver.storage.audit import SQLAuditStore
from mdmserver.storage.sqlite import SQLiteStorage


@click.group()
def audit_chain() -> None:
    """Check the audit trail."""


@audit_chain.command()
@state_option
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON, for programs.")
def verify(state: Path, as_json: bool) -> None:
    """Recompute the hash chain: finds a record that was changed, removed or put in. Exit code 1 if one was."""
    path, out = state / DATABASE_FILE, Output(as_json=as_json)
    if not path.exists():
        raise Failure(f"there is no database {path}")
    try:
        outcome = asyncio.run(_verified(path))
    except MDMError as error:
        raise Failure(str(error)) from error
    if as_json:
        out.json({"records": outcome.records, "broken_at": outcome.broken_at})
    if outcome.broken_at is not None:
        raise Failure(f"the chain is broken at record {outcome.broken_at}; the {outcome.records} before it are intact")
    out.say(f"{outcome.records} records, the chain is intact")


async def _verified(path: Path) -> Verification:
    storage = SQLiteStorage(path, beside_a_server=True)
    try:
        return await AuditService(storage=storage, audit=SQLAuditStore()).verify()
    finally:
        await storage.close()
