"""`mdmserver vault rewrap`: another key, everything opens as before, and a running server does not notice."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from mdmserver.cli.mdmctl import main as mdmctl_main
from tests.cli.conftest import Mdmserver
from tests.cli.serving import serving


def key_names(state: Path) -> list[str]:
    return sorted(path.name for path in (state / "keys").iterdir())


def rewrapped(mdmserver: Mdmserver, state: Path) -> dict[str, object]:
    result = mdmserver("vault", "rewrap", "--state", str(state), "--yes", "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, object] = json.loads(result.stdout)
    return found


def test_the_key_is_another_and_the_ca_still_opens(mdmserver: Mdmserver, state: Path) -> None:
    before = mdmserver("ca", "show", "--state", str(state), "--json").stdout
    [old] = [path.read_bytes() for path in (state / "keys").iterdir()]

    outcome = rewrapped(mdmserver, state)

    assert outcome == {"key": "vault-0002", "data_keys": 2, "removed": ["vault-0001"]}
    assert key_names(state) == ["vault-0002.key"]
    assert (state / "keys" / "vault-0002.key").read_bytes() != old
    assert (state / "keys" / "vault-0002.key").stat().st_mode & 0o077 == 0
    assert mdmserver("ca", "show", "--state", str(state), "--json").stdout == before


def test_a_running_server_goes_on_and_starts_again_with_the_new_key(mdmserver: Mdmserver, state: Path) -> None:
    with serving(state):
        rewrapped(mdmserver, state)
        rewrapped(mdmserver, state)
        beside = CliRunner().invoke(mdmctl_main, ["--state", str(state), "invitations", "create"])
        rolled = mdmserver("ca", "rollover", "--state", str(state), "--yes")
    with serving(state):
        shown = json.loads(mdmserver("ca", "show", "--state", str(state), "--json").stdout)

    assert beside.exit_code == 0, beside.output
    assert rolled.exit_code == 0, rolled.output
    assert key_names(state) == ["vault-0003.key"]
    assert [each["role"] for each in shown["authorities"]] == ["issuing", "trusted"]


def test_it_stands_in_the_audit_trail_and_the_chain_holds(mdmserver: Mdmserver, state: Path) -> None:
    with serving(state):
        rewrapped(mdmserver, state)
        records = CliRunner().invoke(mdmctl_main, ["--state", str(state), "audit", "list", "--json"])
    verified = mdmserver("audit", "verify", "--state", str(state))

    last = json.loads(records.stdout)["items"][-1]
    assert (last["action"], last["subject"], last["actor"]["kind"]) == ("vault.rewrap", "vault-0002", "cli")
    assert "the chain is intact" in verified.output


def test_it_says_what_it_does_and_asks(mdmserver: Mdmserver, state: Path) -> None:
    result = mdmserver("vault", "rewrap", "--state", str(state))

    assert result.exit_code == 2
    assert "vault-0001" in result.output
    assert "Sealed values are not touched" in result.output
    assert key_names(state) == ["vault-0001.key"]


@pytest.mark.parametrize("is_served", [False, True])
def test_a_vault_that_does_not_open_loses_no_key(mdmserver: Mdmserver, state: Path, is_served: bool) -> None:
    def spoiled() -> None:
        (state / "keys" / "vault-0001.key").write_bytes(bytes(32))
        result = mdmserver("vault", "rewrap", "--state", str(state), "--yes")
        assert result.exit_code == 1
        assert "no key was removed" in result.output
        assert key_names(state) == ["vault-0001.key"]

    if not is_served:
        spoiled()
        return
    with serving(state):
        spoiled()
