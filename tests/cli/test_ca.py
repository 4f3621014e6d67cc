"""`mdmserver ca …`: the same over a running server and on the state directory alone."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from mdmserver.cli.lock import Holder, hold_lock
from mdmserver.cli.own_ca import ca_name
from tests.cli.conftest import ExistingCA, Mdmserver
from tests.cli.serving import serving


@pytest.fixture(params=["stopped", "running"])
def anyhow(request: pytest.FixtureRequest, state: Path) -> Iterator[Path]:
    """The state directory, without and with a server that runs on it."""
    with ExitStack() as stack:
        if request.param == "running":
            stack.enter_context(serving(state))
        yield state


def shown(mdmserver: Mdmserver, state: Path) -> list[dict[str, Any]]:
    result = mdmserver("ca", "show", "--state", str(state), "--json")
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)["authorities"]
    return found


def test_the_new_ca_issues_and_the_old_one_stays_trusted(mdmserver: Mdmserver, anyhow: Path) -> None:
    [first] = shown(mdmserver, anyhow)

    rolled = mdmserver("ca", "rollover", "--state", str(anyhow), "--name", "Second CA", "--yes", "--json")

    assert rolled.exit_code == 0, rolled.output
    [new, old] = shown(mdmserver, anyhow)
    assert (new["role"], new["name"]) == ("issuing", "CN=Second CA")
    assert (old["role"], old["sha256"]) == ("trusted", first["sha256"])
    assert json.loads(rolled.stdout)["sha256"] == new["sha256"]
    assert "stays trusted" in rolled.stderr


def test_an_existing_ca_is_taken(mdmserver: Mdmserver, anyhow: Path, existing: ExistingCA) -> None:
    arguments = ["--certificate", str(existing.certificate), "--key", str(existing.key), "--state", str(anyhow)]

    taken = mdmserver("ca", "import", *arguments, "--yes")
    again = mdmserver("ca", "import", *arguments, "--yes")

    assert taken.exit_code == 0, taken.output
    assert shown(mdmserver, anyhow)[0]["name"] == "CN=Company CA"
    assert again.exit_code == 1
    assert "there already" in again.output


def test_the_revocation_list_is_one_that_openssl_reads(mdmserver: Mdmserver, anyhow: Path, tmp_path: Path) -> None:
    result = mdmserver("ca", "crl", "--state", str(anyhow), "--out", str(tmp_path / "crl.der"))

    assert result.exit_code == 0, result.output
    text = subprocess.run(
        ["openssl", "crl", "-inform", "DER", "-in", tmp_path / "crl.der", "-noout", "-text"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert "MDM CA 127.0.0.1" in text
    assert mdmserver("ca", "crl", "--state", str(anyhow)).stdout_bytes[:1] == b"\x30"


@pytest.mark.parametrize("verb", [["rollover"], ["import", "--certificate", "{pem}", "--key", "{key}"]])
def test_without_yes_it_says_what_happens_and_does_nothing(
    mdmserver: Mdmserver, state: Path, existing: ExistingCA, verb: list[str]
) -> None:
    named = [part.format(pem=existing.certificate, key=existing.key) for part in verb]

    result = mdmserver("ca", *named, "--state", str(state))

    assert result.exit_code == 2
    assert "stays trusted" in result.output
    assert len(shown(mdmserver, state)) == 1


def test_a_state_directory_in_other_hands_is_left_alone(mdmserver: Mdmserver, state: Path) -> None:
    with hold_lock(state, Holder(pid=42, command="restore", since="2026")):
        result = mdmserver("ca", "show", "--state", str(state))

    assert result.exit_code == 1
    assert "process 42" in result.output


def test_a_key_that_may_not_is_one_line(mdmserver: Mdmserver, state: Path) -> None:
    with serving(state):
        (state / "admin.key").write_text("mdm_0000000000_wrong\n")
        result = mdmserver("ca", "show", "--state", str(state))

    assert result.exit_code == 1
    assert result.output.count("\n") == 1


def test_files_that_are_no_ca_are_refused_before_anything_is_asked(
    mdmserver: Mdmserver, state: Path, existing: ExistingCA
) -> None:
    existing.key.write_text("no key")

    result = mdmserver(
        "ca", "import", "--state", str(state), "--certificate", str(existing.certificate), "--key", str(existing.key)
    )

    assert result.exit_code == 2
    assert "no CA that can be used" in result.output


def test_the_name_of_a_ca_fits_into_a_certificate() -> None:
    assert ca_name("https://mdm.example.com:8443") == "MDM CA mdm.example.com"
    assert len(ca_name(f"https://{'long.' * 30}example.com")) == 64
