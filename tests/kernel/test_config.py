"""The configuration: file, environment, flags, and what is refused."""

from pathlib import Path

import pytest

from mdmserver.config import Config, load_config
from mdmserver.errors import Invalid

FILE = """
[server]
url = "https://mdm.example.com"

[listen]
http = "127.0.0.1:1"

[[device_ca]]
name = "old"
certificates = "old.pem"
reenrollment = "allow"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A configuration file."""
    path = tmp_path / "config.toml"
    path.write_text(FILE)
    return path


def test_without_anything_the_defaults_hold() -> None:
    assert load_config(None, {}) == Config()


def test_a_file_is_read_with_paths_from_its_folder(path: Path) -> None:
    config = load_config(path, {})

    [authority] = config.device_ca
    assert (config.server.url, config.listen.http) == ("https://mdm.example.com", "127.0.0.1:1")
    assert (authority.name, authority.certificates, authority.reenrollment) == (
        "old", str(path.parent / "old.pem"), "allow",
    )  # fmt: skip


def test_the_environment_wins_over_the_file_and_flags_over_both(path: Path) -> None:
    environment = {"MDMSERVER_LISTEN_HTTP": "127.0.0.1:2", "MDMSERVER_LISTEN_OPERATIONS": "127.0.0.1:3"}

    config = load_config(path, environment, {"listen.http": "127.0.0.1:4"})

    assert (config.listen.http, config.listen.operations) == ("127.0.0.1:4", "127.0.0.1:3")


def test_values_from_the_environment_get_their_types() -> None:
    environment = {"MDMSERVER_LIMITS_CONNECTIONS": "7", "MDMSERVER_IDENTITY_TRUSTED_PROXIES": "10.0.0.1, 10.0.0.2"}

    config = load_config(None, environment)

    assert config.limits.connections == 7
    assert config.identity.trusted_proxies == ("10.0.0.1", "10.0.0.2")


def test_variables_that_name_no_key_are_not_ours() -> None:
    assert load_config(None, {"MDMSERVER_STATE": "x", "MDMSERVER_LISTEN_NOTHING": "x", "PATH": "x"}) == Config()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[listen]\nhtpp = 'x'", "htpp"),
        ("[lsiten]\nhttp = 'x'", "lsiten"),
        ("[limits]\nconnections = 'many'", "connections"),
        ("[identity]\nexpired_identity = 'maybe'", "expired_identity"),
        ("[listen]\nhttps = '127.0.0.1:1'", "tls"),
        ("[device]\ncommand_path = 'mdm'", "'mdm'"),
        ("[[device_ca]]\nname = 'a'\ncertificates = 'a'\n[[device_ca]]\nname = 'a'\ncertificates = 'b'", "device_ca"),
        ("[[device_ca]]\nname = 'a'", "certificates"),
        ("not toml", "config.toml"),
    ],
)
def test_a_mistake_is_refused_by_name(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)

    with pytest.raises(Invalid) as refusal:
        load_config(path, {})

    assert named in str(refusal.value)


def test_a_flag_that_names_no_key_is_refused() -> None:
    with pytest.raises(Invalid, match=r"listen\.nothing"):
        load_config(None, {}, {"listen.nothing": "x"})


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="mdmserver init"):
        load_config(tmp_path / "config.toml", {})
