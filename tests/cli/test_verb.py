"""Which server and which key a verb uses."""

from pathlib import Path

import pytest

from mdmserver.cli.exits import Failure
from mdmserver.cli.lock import Holder, hold_lock
from mdmserver.cli.state import INSTALLED_STATE, default_state
from mdmserver.cli.verb import DEFAULT_URL, key_from, key_of, url_of


def configured(state: Path, text: str) -> Path:
    (state / "config.toml").write_text(text)
    return state


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ('[listen]\nhttp = "127.0.0.1:1234"', "http://127.0.0.1:1234"),
        ('[listen]\nhttp = "0.0.0.0:1234"', "http://127.0.0.1:1234"),
        ('[listen]\nhttp = "[::]:1234"', "http://[::1]:1234"),
        ('[listen]\nhttp = ""\n[server]\nurl = "https://mdm.example.com"', "https://mdm.example.com"),
        ("[listen]\nhtp = 1", DEFAULT_URL),
    ],
)
def test_the_server_is_where_the_state_directory_says_it_listens(tmp_path: Path, text: str, url: str) -> None:
    assert url_of(configured(tmp_path, text), {}) == url


def test_a_running_server_is_found_on_the_port_it_really_has(tmp_path: Path) -> None:
    configured(tmp_path, '[listen]\nhttp = "127.0.0.1:0"')
    holder = Holder(pid=1, command="serve", since="2026", listening={"http": ("0.0.0.0", 4321)})

    with hold_lock(tmp_path, holder):
        assert url_of(tmp_path, {}) == "http://127.0.0.1:4321"


def test_without_a_state_directory_the_default_is_tried(tmp_path: Path) -> None:
    assert url_of(tmp_path / "missing", {}) == DEFAULT_URL
    assert key_of(tmp_path / "missing") is None


def test_a_key_file_wins_over_the_environment(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(" mdm_file\n")

    from_file = key_from(tmp_path / "key", None, {"MDMCTL_KEY": "mdm_environment"})
    from_environment = key_from(None, None, {"MDMCTL_KEY": "mdm_environment"})

    assert from_file is not None
    assert from_environment is not None
    assert (from_file.reveal(), from_environment.reveal()) == ("mdm_file", "mdm_environment")
    assert key_from(None, None, {}) is None


@pytest.mark.parametrize("content", [b"", b"\n", b"mdm_a\r\nX-Header: b", b"\xff"])
def test_a_file_without_a_key_is_refused_unquoted(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)

    with pytest.raises(Failure) as caught:
        key_from(tmp_path / "key", None, {})

    assert caught.value.exit_code == 2
    assert "X-Header" not in caught.value.message


def test_the_state_directory_is_named_by_the_environment_or_lies_in_the_checkout() -> None:
    assert default_state({"MDMSERVER_STATE": "/elsewhere"}) == Path("/elsewhere")
    assert default_state({}) in (Path("mdm-state"), INSTALLED_STATE)
