"""S29: tampering with the audit trail is found by `mdmserver audit verify`."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Mdmserver


def tamper(state: Path, sql: str) -> None:
    with closing(sqlite3.connect(state / "mdmserver.sqlite")) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(sql)
        connection.commit()


def test_an_untouched_chain_is_intact(mdmserver: Mdmserver, state: Path) -> None:
    result = mdmserver("audit", "verify", "--state", str(state))

    assert result.exit_code == 0
    assert "2 records, the chain is intact" in result.output


def test_a_changed_record_is_found(mdmserver: Mdmserver, state: Path) -> None:
    tamper(state, "UPDATE audit_record SET subject = 'another key'")

    result = mdmserver("audit", "verify", "--state", str(state), "--json")

    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"records": 0, "broken_at": 1}


@pytest.mark.parametrize("name", ["state", "state/deeper"])
def test_a_missing_database_is_no_intact_chain(mdmserver: Mdmserver, tmp_path: Path, name: str) -> None:
    result = mdmserver("audit", "verify", "--state", str(tmp_path / name))

    assert result.exit_code == 1
    assert not (tmp_path / name).exists()
