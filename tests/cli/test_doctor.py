"""`mdmserver doctor`: every fault has its verdict, and looking changes nothing."""

import json
import shutil
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mdmserver.cli.check_machine import check_clock, check_ports
from mdmserver.cli.lock import Holder, hold_lock
from mdmserver.config import Config, Listen
from tests.cli.conftest import Mdmserver


@pytest.fixture
def free_ports(state: Path) -> None:
    """Listeners on ports of the system's choosing: others may hold the usual ones."""
    config = state / "config.toml"
    text = config.read_text().replace('"127.0.0.1:8080"\n#', '"127.0.0.1:0"\n#').replace("9090", "0")
    config.write_text(text.replace('http = "127.0.0.1:8080"', 'http = "127.0.0.1:0"'))


@pytest.fixture
def busy_port() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def verdicts(mdmserver: Mdmserver, state: Path) -> dict[str, tuple[str, str]]:
    found = json.loads(mdmserver("doctor", "--state", str(state), "--json").stdout)
    return {finding["check"]: (finding["verdict"], finding["text"]) for finding in found}


@pytest.mark.usefixtures("free_ports")
def test_a_fresh_state_directory_has_no_fault(mdmserver: Mdmserver, state: Path) -> None:
    result = mdmserver("doctor", "--state", str(state))

    assert result.exit_code == 0, result.output
    assert "failure" not in result.output
    assert "ok\tvault\t" in result.output


def test_a_missing_state_directory_fails_and_is_not_made(mdmserver: Mdmserver, tmp_path: Path) -> None:
    result = mdmserver("doctor", "--state", str(tmp_path / "missing"))

    assert result.exit_code == 1
    assert "mdmserver init" in result.output
    assert not (tmp_path / "missing").exists()


def test_a_file_that_others_may_read_fails(mdmserver: Mdmserver, state: Path) -> None:
    (state / "admin.key").chmod(0o640)

    verdict, text = verdicts(mdmserver, state)["state directory"]

    assert verdict == "failure"
    assert "admin.key" in text


def test_a_missing_vault_key_fails(mdmserver: Mdmserver, state: Path) -> None:
    shutil.rmtree(state / "keys")

    verdict, text = verdicts(mdmserver, state)["vault"]

    assert verdict == "failure"
    assert "vault-0001" in text


def test_a_file_that_is_no_database_fails(mdmserver: Mdmserver, state: Path) -> None:
    (state / "mdmserver.sqlite").write_bytes(b"this is not a database, whatever its name says" * 100)

    assert verdicts(mdmserver, state)["database"][0] == "failure"


def test_a_configuration_that_does_not_load_fails(mdmserver: Mdmserver, state: Path) -> None:
    (state / "config.toml").write_text("[listen]\nhtp = 1\n")

    verdict, text = verdicts(mdmserver, state)["configuration"]

    assert verdict == "failure"
    assert "htp" in text


def test_the_built_in_ca_is_looked_at(mdmserver: Mdmserver, state: Path, tmp_path: Path) -> None:
    mdmserver("init", "--state", str(tmp_path / "without"), "--yes", "--no-ca")

    assert verdicts(mdmserver, state)["CA"][0] == "ok"
    assert verdicts(mdmserver, tmp_path / "without")["CA"][0] == "warning"


def test_a_device_ca_that_cannot_be_read_fails(mdmserver: Mdmserver, state: Path) -> None:
    (state / "simulator-ca" / "ca.pem").write_text("no PEM")

    assert verdicts(mdmserver, state)["device CA"][0] == "failure"


def test_the_simulator_ca_under_a_public_name_is_a_warning(mdmserver: Mdmserver, tmp_path: Path) -> None:
    mdmserver("init", "--state", str(tmp_path / "s"), "--yes", "--simulator-ca", "--url", "https://mdm.example.com")

    assert verdicts(mdmserver, tmp_path / "s")["simulator CA"][0] == "warning"


def test_tls_files_that_cannot_be_used_fail(mdmserver: Mdmserver, state: Path) -> None:
    with (state / "config.toml").open("a") as file:
        file.write('[tls]\ncertificate = "simulator-ca/ca.pem"\nkey = "missing.pem"\n')

    assert verdicts(mdmserver, state)["tls"][0] == "failure"


def test_a_clock_before_the_last_write_fails(state: Path) -> None:
    now = datetime.now(UTC)

    assert [finding.verdict for finding in check_clock(state, now=now)] == ["ok"]
    assert [finding.verdict for finding in check_clock(state, now=now - timedelta(days=1))] == ["failure"]


def test_a_port_in_use_fails_unless_it_is_ours(tmp_path: Path, busy_port: int) -> None:
    config = Config(listen=Listen(http=f"127.0.0.1:{busy_port}", operations=""))
    ours = Holder(pid=42, command="serve", since="2026", listening={"http": ("127.0.0.1", busy_port)})

    alone = [finding.verdict for finding in check_ports(config, tmp_path)]
    with hold_lock(tmp_path, ours):
        beside = [finding.verdict for finding in check_ports(config, tmp_path)]

    assert (alone, beside) == (["failure"], ["ok"])


def test_an_address_that_is_none_fails(tmp_path: Path) -> None:
    config = Config(listen=Listen(http="127.0.0.1:web", operations="127.0.0.1:99999"))

    assert [finding.verdict for finding in check_ports(config, tmp_path)] == ["failure", "failure"]
