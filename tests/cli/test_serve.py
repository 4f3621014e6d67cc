"""`mdmserver serve` as a process: its lock, its signals, and that mdmctl finds it."""

import json
import signal
from pathlib import Path

import pytest
from click.testing import CliRunner

from mdmserver.cli.lock import lock_holder
from mdmserver.cli.mdmctl import main as mdmctl_main
from tests.cli.conftest import Mdmserver
from tests.cli.serving import FREE_PORTS, serving


def test_mdmctl_finds_the_running_server_and_its_key_by_the_state_directory(state: Path) -> None:
    with serving(state):
        result = CliRunner().invoke(mdmctl_main, ["--state", str(state), "status", "--json"], env={"MDMCTL_KEY": None})

    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["url"] == "http://127.0.0.1:8080"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(state: Path, number: signal.Signals) -> None:
    with serving(state) as process:
        process.send_signal(number)
        _, log = process.communicate(timeout=20)

    lines = [json.loads(line) for line in log.splitlines()]
    assert process.returncode == 0, log
    assert [line["message"] for line in lines if line["logger"] == "mdmserver.cli.serve"] == [
        "serving", "stopping", "stopped",
    ]  # fmt: skip
    assert lock_holder(state) is None


def test_a_hangup_does_not_end_it(state: Path) -> None:
    with serving(state) as process:
        process.send_signal(signal.SIGHUP)
        result = CliRunner().invoke(mdmctl_main, ["--state", str(state), "status"])

        assert process.poll() is None
        assert result.exit_code == 0, result.output


def test_a_second_server_says_who_is_there(mdmserver: Mdmserver, state: Path) -> None:
    with serving(state) as process:
        result = mdmserver("serve", "--state", str(state), *FREE_PORTS)

    assert result.exit_code == 1
    assert f"process {process.pid}" in result.output


def test_the_audit_trail_is_verified_beside_a_running_server(mdmserver: Mdmserver, state: Path) -> None:
    with serving(state):
        CliRunner().invoke(mdmctl_main, ["--state", str(state), "keys", "create", "bob", "--scope", "status:read"])
        result = mdmserver("audit", "verify", "--state", str(state))

    assert "3 records, the chain is intact" in result.output


def test_an_uninitialised_state_directory_says_what_to_do(mdmserver: Mdmserver, tmp_path: Path) -> None:
    result = mdmserver("serve", "--state", str(tmp_path / "nothing"))

    assert result.exit_code == 1
    assert f"mdmserver init --state {tmp_path / 'nothing'}" in result.output
    assert not (tmp_path / "nothing").exists()


def test_an_address_in_use_is_one_line(mdmserver: Mdmserver, state: Path) -> None:
    with serving(state):
        holder = lock_holder(state)
        assert holder is not None
        other = state.parent / "other"
        mdmserver("init", "--state", str(other), "--yes")
        port = holder.listening["http"][1]
        result = mdmserver("serve", "--state", str(other), "--listen-http", f"127.0.0.1:{port}")

    assert result.exit_code == 1
    assert "cannot serve" in result.output
    assert "Traceback" not in result.output


def test_a_file_that_is_no_database_is_one_line(mdmserver: Mdmserver, state: Path) -> None:
    (state / "mdmserver.sqlite").write_bytes(b"this is not a database, whatever its name says" * 100)

    result = mdmserver("serve", "--state", str(state), *FREE_PORTS)

    assert result.exit_code == 1
    assert "mdmserver.sqlite does not open as a database" in result.output
    assert "Traceback" not in result.output
