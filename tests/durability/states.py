"""State directories for these tests, and what can be asked of their databases without the server."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from certs import load_pem_certificates, load_private_key
from tests.durability.killable_server import ROOT
from tests.journeys.devices import DeviceFactory


def init_state(state: Path) -> None:
    """Make a state directory with a CA for devices, as `mdmserver init` does."""
    command = [sys.executable, "-m", "mdmserver", "init", "--state", str(state), "--yes", "--simulator-ca"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


def key_of(state: Path) -> str:
    """The first API key."""
    return (state / "admin.key").read_text().strip()


def factory_of(state: Path) -> DeviceFactory:
    """Issues certificates of the CA that `init` made."""
    folder = state / "simulator-ca"
    (authority,) = load_pem_certificates((folder / "ca.pem").read_bytes())
    return DeviceFactory(authority_der=authority, authority_key=load_private_key((folder / "ca.key").read_bytes()))


def database_of(state: Path) -> Path:
    return state / "mdmserver.sqlite"


def ask(state: Path, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """The rows of a query on the database as it is now."""
    connection = sqlite3.connect(f"file:{database_of(state)}?mode=ro", uri=True, timeout=10)
    try:
        return connection.execute(sql, parameters).fetchall()
    finally:
        connection.close()


def is_intact(state: Path) -> bool:
    """Whether SQLite finds nothing wrong, and no row refers to one that is not there."""
    return ask(state, "PRAGMA integrity_check") == [("ok",)] and not ask(state, "PRAGMA foreign_key_check")


def audit_chain_holds(state: Path) -> bool:
    """What `mdmserver audit verify` says."""
    command = [sys.executable, "-m", "mdmserver", "audit", "verify", "--state", str(state)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 0


def add_enrollments(state: Path, number: int) -> list[str]:
    """Put enabled enrollments into the database of a server that is not running; their ids."""
    udids = [f"{0xE0000000 + position:040x}" for position in range(number)]
    connection = sqlite3.connect(database_of(state))
    with connection:
        connection.executemany(
            "INSERT INTO enrollment (key, external_id, type, device_id, life, enabled, created_at) "
            "VALUES (?1, ?1, 'Device', ?1, 1, 1, 0)",
            [(udid,) for udid in udids],
        )
    connection.close()
    return udids


def wait_until(condition: Callable[[], bool]) -> None:
    """Look again and again until it holds; for a thread. Raises AssertionError after half a minute."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)
