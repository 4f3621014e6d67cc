"""`mdmserver init`: everything is made once, for its owner alone, and a second run changes nothing."""

import asyncio
import hashlib
import re
from pathlib import Path

import pytest

from certs import DeviceTrust, dump_private_key, generate_rsa, load_pem_certificates, load_private_key
from mdmserver.access.model import Scope
from mdmserver.believed import configured_authorities
from mdmserver.bootstrap import open_services
from mdmserver.cli.lock import Holder, hold_lock
from mdmserver.config import DeviceCA, load_config
from mdmserver.issuance.authorities import OwnAuthority
from tests.cli.conftest import ExistingCA, Mdmserver


def fingerprints(state: Path) -> dict[str, str]:
    files = [path for path in state.rglob("*") if path.is_file() and path.name != "lock"]
    return {str(path.relative_to(state)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_everything_is_made_for_its_owner_alone(state: Path) -> None:
    made = {str(path.relative_to(state)): path.stat().st_mode & 0o777 for path in [state, *state.rglob("*")]}

    assert {"config.toml", "mdmserver.sqlite", "keys/vault-0001.key", "admin.key", "simulator-ca/ca.key"} <= made.keys()
    assert {name: mode for name, mode in made.items() if mode & 0o077} == {}


def test_the_first_key_is_printed_once_and_may_do_everything(mdmserver: Mdmserver, tmp_path: Path) -> None:
    result = mdmserver("init", "--state", str(tmp_path / "s"), "--yes", "--name", "first")

    key = (tmp_path / "s" / "admin.key").read_text().strip()
    assert result.output.count(key) == 1
    assert key not in mdmserver("init", "--state", str(tmp_path / "s"), "--yes").output


async def test_the_first_key_opens_the_services(state: Path) -> None:
    async with open_services(load_config(state / "config.toml", {}), state) as services:
        key = await services.access.authenticate((state / "admin.key").read_text().strip())
        records = await services.audit.records(cursor=None, limit=10)

    assert key.scopes == frozenset(Scope)
    assert [(record.action, record.actor.kind) for record in records.items] == [
        ("ca.create", "cli"), ("key.create", "cli"),
    ]  # fmt: skip


def test_a_second_run_says_what_is_there_and_changes_nothing(mdmserver: Mdmserver, state: Path) -> None:
    before = fingerprints(state)

    result = mdmserver("init", "--state", str(state), "--yes", "--simulator-ca", "--url", "https://other.example")

    assert result.exit_code == 0
    assert "config.toml       there" in result.output
    assert "the public name stays http://127.0.0.1:8080" in result.output
    assert fingerprints(state) == before


def test_an_interrupted_run_is_simply_run_again(mdmserver: Mdmserver, state: Path) -> None:
    key = (state / "admin.key").read_text()
    (state / "config.toml").rename(state / "config.toml.new")

    result = mdmserver("init", "--state", str(state), "--yes", "--simulator-ca")

    assert result.exit_code == 0, result.output
    assert (state / "admin.key").read_text() == key
    assert (state / "keys" / "vault-0002.key").exists() is False


def test_a_key_file_that_opens_nothing_is_replaced(mdmserver: Mdmserver, state: Path) -> None:
    (state / "config.toml").unlink()
    (state / "admin.key").write_text("mdm_0000000000_gone\n")

    result = mdmserver("init", "--state", str(state), "--yes")

    assert result.exit_code == 0, result.output
    assert "gone" not in (state / "admin.key").read_text()


def test_the_public_name_is_asked_for_first(mdmserver: Mdmserver, tmp_path: Path) -> None:
    result = mdmserver("init", "--state", str(tmp_path / "s"), input="https://mdm.example.com\n")

    assert result.exit_code == 0, result.output
    assert result.output.index("cannot change") < result.output.index("state directory")
    assert load_config(tmp_path / "s" / "config.toml", {}).server.url == "https://mdm.example.com"


@pytest.mark.parametrize(
    "url", ["mdm.example.com", "ftp://x", "https://", "https://x/?a", "https://u:p@x", "https://x:port", "https://x y"]
)
def test_a_public_name_that_is_no_url_is_refused(mdmserver: Mdmserver, tmp_path: Path, url: str) -> None:
    result = mdmserver("init", "--state", str(tmp_path / "s"), "--yes", "--url", url)

    assert result.exit_code == 2
    assert not (tmp_path / "s").exists()


def test_a_loopback_name_is_also_where_the_server_listens(mdmserver: Mdmserver, tmp_path: Path) -> None:
    mdmserver("init", "--state", str(tmp_path / "s"), "--yes", "--url", "http://127.0.0.1:8765/")

    config = load_config(tmp_path / "s" / "config.toml", {})
    assert (config.server.url, config.listen.http) == ("http://127.0.0.1:8765", "127.0.0.1:8765")


def test_what_stands_in_the_configuration_as_a_comment_can_be_used(mdmserver: Mdmserver, tmp_path: Path) -> None:
    mdmserver("init", "--state", str(tmp_path / "s"), "--yes")
    path = tmp_path / "s" / "config.toml"

    path.write_text(re.sub(r"^# (?=\[|[a-z_]+ = )", "", path.read_text(), flags=re.MULTILINE))

    config = load_config(path, {})
    assert (config.ca.certificate_days, config.enrollment.organization) == (365, "Example Ltd")
    assert [authority.name for authority in config.device_ca] == ["company"]


def test_the_simulator_ca_is_a_device_ca_that_may_reenroll(state: Path) -> None:
    config = load_config(state / "config.toml", {})

    path = str(state / "simulator-ca" / "ca.pem")
    assert config.device_ca == (DeviceCA(name="simulator", certificates=path, reenrollment="allow"),)
    assert DeviceTrust(configured_authorities(config)).problems == ()
    assert len(load_pem_certificates(Path(path).read_bytes())) == 1
    load_private_key((state / "simulator-ca" / "ca.key").read_bytes())


def test_a_missing_simulator_ca_is_added_and_nothing_else_changed(mdmserver: Mdmserver, tmp_path: Path) -> None:
    state = tmp_path / "s"
    mdmserver("init", "--state", str(state), "--yes")
    before, text = fingerprints(state), (state / "config.toml").read_text()

    result = mdmserver("init", "--state", str(state), "--yes", "--simulator-ca")

    assert result.exit_code == 0, result.output
    after = fingerprints(state)
    assert (state / "config.toml").read_text().startswith(text)
    assert [authority.name for authority in load_config(state / "config.toml", {}).device_ca] == ["simulator"]
    assert {name for name in after if after[name] != before.get(name)} == {
        "config.toml", "simulator-ca/ca.pem", "simulator-ca/ca.key",
    }  # fmt: skip


def test_a_state_directory_in_use_is_left_alone(mdmserver: Mdmserver, tmp_path: Path) -> None:
    with hold_lock(tmp_path, Holder(pid=42, command="serve", since="2026")):
        result = mdmserver("init", "--state", str(tmp_path), "--yes")

    assert result.exit_code == 1
    assert "process 42" in result.output
    assert not (tmp_path / "config.toml").exists()


def test_a_ca_is_made_and_its_fingerprint_printed(mdmserver: Mdmserver, tmp_path: Path) -> None:
    made = mdmserver("init", "--state", str(tmp_path / "s"), "--yes", "--url", "https://mdm.example.com")

    [own] = authorities_of(tmp_path / "s")
    assert own.authority.name == "CN=MDM CA mdm.example.com"
    assert f"SHA-256 {hashlib.sha256(own.authority.certificate_der).hexdigest()}" in made.output


def test_an_existing_ca_is_taken(mdmserver: Mdmserver, tmp_path: Path, existing: ExistingCA) -> None:
    arguments = ["init", "--state", str(tmp_path / "s"), "--yes", *existing.options]

    first, again = mdmserver(*arguments), mdmserver(*arguments)

    assert (first.exit_code, again.exit_code) == (0, 0), first.output
    assert [own.authority.certificate_der for own in authorities_of(tmp_path / "s")] == [existing.der]
    assert "the CA stays" not in again.output


def test_another_ca_does_not_replace_the_one_that_is_there(
    mdmserver: Mdmserver, state: Path, existing: ExistingCA
) -> None:
    before = authorities_of(state)

    result = mdmserver("init", "--state", str(state), *existing.options)

    assert "the CA stays" in result.output
    assert [own.row for own in authorities_of(state)] == [own.row for own in before]


def test_a_missing_ca_is_added_by_a_second_run(mdmserver: Mdmserver, tmp_path: Path) -> None:
    state = str(tmp_path / "s")

    without = mdmserver("init", "--state", state, "--yes", "--no-ca")
    kept = mdmserver("init", "--state", state, "--no-ca")
    none = authorities_of(tmp_path / "s")
    added = mdmserver("init", "--state", state)

    assert none == []
    assert [result.exit_code for result in (without, kept, added)] == [0, 0, 0]
    assert len(authorities_of(tmp_path / "s")) == 1


@pytest.mark.parametrize(
    "options", [["--ca-certificate", "x"], ["--ca-key", "x"], ["--no-ca", "--ca-certificate", "x", "--ca-key", "y"]]
)
def test_ca_options_that_do_not_go_together_are_refused(
    mdmserver: Mdmserver, tmp_path: Path, options: list[str]
) -> None:
    result = mdmserver("init", "--state", str(tmp_path / "s"), "--yes", *options)

    assert result.exit_code == 2
    assert not (tmp_path / "s").exists()


def test_a_ca_key_that_does_not_fit_makes_nothing(mdmserver: Mdmserver, tmp_path: Path, existing: ExistingCA) -> None:
    existing.key.write_bytes(dump_private_key(generate_rsa()))

    result = mdmserver("init", "--state", str(tmp_path / "s"), "--yes", *existing.options)

    assert result.exit_code == 2
    assert "belongs to none" in result.output
    assert not (tmp_path / "s").exists()


def authorities_of(state: Path) -> list[OwnAuthority]:
    async def found() -> list[OwnAuthority]:
        async with open_services(load_config(state / "config.toml", {}), state) as services:
            return services.own_authorities.all

    return asyncio.run(found())
