"""What is configured, and where each value comes from."""

import json
from pathlib import Path

import pytest

from mdmserver.cli.exits import Failure
from mdmserver.cli.in_force import Source, read_in_force
from tests.cli.conftest import Mdmserver


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    text = '[listen]\nhttp = "127.0.0.1:1"\noperations = ""\n[log]\nlevel = "ERROR"\nformat = "text"\n'
    (tmp_path / "config.toml").write_text(text)
    return tmp_path


def test_flags_win_over_the_environment_and_that_over_the_file(configured: Path) -> None:
    environment = {
        "MDMSERVER_LOG_LEVEL": "DEBUG",
        "MDMSERVER_LISTEN_HTTP": "127.0.0.1:2",
        "MDMSERVER_STATE": "elsewhere",
    }

    in_force = read_in_force(configured, None, ["listen.http=127.0.0.1:3"], environment)

    assert (in_force.config.listen.http, in_force.sources["listen.http"]) == ("127.0.0.1:3", Source.FLAG)
    assert (in_force.config.log.level, in_force.sources["log.level"]) == ("DEBUG", Source.ENVIRONMENT)
    assert (in_force.config.log.format, in_force.sources["log.format"]) == ("text", Source.FILE)
    assert (in_force.config.server.url, in_force.sources["server.url"]) == ("http://127.0.0.1:8080", Source.DEFAULT)


def test_every_key_has_a_source(configured: Path) -> None:
    in_force = read_in_force(configured, None, [], {})

    assert in_force.values().keys() == in_force.sources.keys()


def test_a_password_in_a_url_is_masked(configured: Path) -> None:
    in_force = read_in_force(configured, None, ["database.url=postgresql://mdm:canary@host/db"], {})

    assert in_force.values()["database.url"] == "postgresql://mdm:***@host/db"


def test_a_state_directory_that_was_never_made_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=f"mdmserver init --state {tmp_path}"):
        read_in_force(tmp_path, None, [], {})


def test_a_wrong_key_is_named(configured: Path) -> None:
    with pytest.raises(Failure, match=r"listen\.htp"):
        read_in_force(configured, None, ["listen.htp=x"], {})


def test_config_show_prints_values_and_sources(mdmserver: Mdmserver, state: Path) -> None:
    plain = mdmserver("config", "show", "--state", str(state), "--set", "log.level=ERROR")
    as_json = mdmserver("config", "show", "--state", str(state), "--json")

    assert "log.level\tERROR\tflag\n" in plain.output
    assert "device_ca simulator\t" in plain.output
    shown = json.loads(as_json.stdout)
    assert shown["server.url"] == {"value": "http://127.0.0.1:8080", "source": "file"}
    assert shown["device_ca"]["value"][0]["name"] == "simulator"
