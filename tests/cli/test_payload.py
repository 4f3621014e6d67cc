"""The command that a person types."""

import base64
from pathlib import Path
from typing import Any

import click
import pytest

from mdmserver.cli.payload import parse_pair, payload_of


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("Flag=true", ("Flag", True)),
        ("Flag=false", ("Flag", False)),
        ("Number=-12", ("Number", -12)),
        ("Text=True", ("Text", "True")),
        ("Text=", ("Text", "")),
        ("Text=a=b", ("Text", "a=b")),
        ("Text=12.5", ("Text", "12.5")),
        ("Big=99999999999999999999", ("Big", "99999999999999999999")),
        ('List:=["a",1]', ("List", ["a", 1])),
        ('Text:="12"', ("Text", "12")),
        ('Data:={"$data":"AA=="}', ("Data", {"$data": "AA=="})),
    ],
)
def test_a_value_is_what_it_looks_like_or_json(text: str, pair: tuple[str, Any]) -> None:
    assert parse_pair(text) == pair


@pytest.mark.parametrize("text", ["", "Flag", "=true", ":=1", "List:=[", "List:="])
def test_a_pair_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(click.UsageError):
        parse_pair(text)


def test_a_command_is_a_request_type_and_its_pairs() -> None:
    assert payload_of("RestartDevice", ["NotifyUser=true"], plist=None, json_command=None) == {
        "command": {"RequestType": "RestartDevice", "NotifyUser": True}
    }


def test_a_plist_keeps_its_bytes(tmp_path: Path) -> None:
    file = tmp_path / "command.plist"
    file.write_bytes(b"<plist>\r\n\xff")

    payload = payload_of(None, [], plist=file, json_command=None)

    assert base64.b64decode(payload["plist"]) == b"<plist>\r\n\xff"


@pytest.mark.parametrize("text", ["[]", "{}", '{"RequestType": 1}', "{", "\ufeff"])
def test_a_json_file_that_is_no_command_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "command.json"
    file.write_text(text)

    with pytest.raises(click.UsageError):
        payload_of(None, [], plist=None, json_command=file)


def test_there_is_exactly_one_way_of_saying_what_to_send(tmp_path: Path) -> None:
    with pytest.raises(click.UsageError):
        payload_of(None, [], plist=None, json_command=None)
    with pytest.raises(click.UsageError):
        payload_of("DeviceLock", [], plist=tmp_path, json_command=None)


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(click.UsageError, match="cannot be read"):
        payload_of(None, [], plist=tmp_path / "missing", json_command=None)
