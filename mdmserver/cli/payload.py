"""The command that a person types: `DeviceInformation Queries:='["UDID"]' DeviceName=…`, a JSON file or a plist."""

import base64
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

_INTEGER = re.compile(r"-?[0-9]{1,19}")
_WORDS = {"true": True, "false": False}


def payload_of(
    request_type: str | None, pairs: Sequence[str], *, plist: Path | None, json_command: Path | None
) -> dict[str, Any]:
    """The `command` or `plist` member of a request. Raises UsageError unless exactly one way of saying it is used."""
    if (request_type is not None) + (plist is not None) + (json_command is not None) != 1:
        raise click.UsageError("say what to send: REQUEST_TYPE [KEY=VALUE …], or --plist, or --json-command")
    if plist is not None:
        return {"plist": base64.b64encode(_read(plist)).decode()}
    if json_command is not None:
        return {"command": _command_in(json_command)}
    return {"command": {"RequestType": request_type, **dict(map(parse_pair, pairs))}}


def parse_pair(text: str) -> tuple[str, Any]:
    """`key=value` (true, false, an integer, else a string) or `key:=JSON`. Raises UsageError."""
    name, equals, value = text.partition("=")
    if not equals or not name.rstrip(":"):
        raise click.UsageError(f"{text!r} is not KEY=VALUE")
    if name.endswith(":"):
        return name[:-1], _json(value, f"the value of {name[:-1]}")
    if value in _WORDS:
        return name, _WORDS[value]
    return name, int(value) if _INTEGER.fullmatch(value) else value


def _command_in(path: Path) -> dict[str, Any]:
    command = _json(_read(path), str(path))
    if not isinstance(command, dict) or not isinstance(command.get("RequestType"), str):
        raise click.UsageError(f"{path} is not a JSON object with a RequestType")
    return command


def _json(text: str | bytes, what: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise click.UsageError(f"{what} is not JSON: {error}") from error


def _read(path: Path) -> bytes:
    try:
        with click.open_file(str(path), "rb") as file:
            content: bytes = file.read()
            return content
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror}") from error
