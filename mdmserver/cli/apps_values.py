"""A configuration as a person gives it: typed `KEY=VALUE` pairs, or a plist or JSON file. Errors never show a value."""

import math
import plistlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from mdmserver.apps.model import LARGEST_CONFIGURATION, PINGID_TOKEN
from mdmserver.cli.apps_token import read_secret
from mdmserver.errors import Invalid
from mdmserver.protocol import ProtocolError, loads
from mdmserver.web.api.plist_json import from_json, holds_secret, to_json

TYPES = ("string", "integer", "boolean", "real", "date", "data", "array", "dictionary")
_BOOLEANS = {"true": True, "false": False}
_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
_LARGEST_FILE = 4 * LARGEST_CONFIGURATION


def values_of_pairs(pairs: Sequence[str], types: Sequence[str], secret_keys: Sequence[str]) -> dict[str, Any]:
    """The JSON forms by key; `KEY=-` reads the value from standard input. Raises UsageError."""
    if len(types) > 1 and len(types) != len(pairs):
        raise click.UsageError("give --type once for all, or once for each --set in the same order")
    kinds = list(types) * len(pairs) if len(types) == 1 else list(types) or ["string"] * len(pairs)
    values: dict[str, Any] = {}
    for pair, kind in zip(pairs, kinds, strict=True):
        name, equals, text = pair.partition("=")
        if not (name and equals):
            raise click.UsageError("--set takes KEY=VALUE")
        if name in values:
            raise click.UsageError(f"{name} is set twice")
        if text != "-" and _is_secret(name, secret_keys, kind):
            raise click.UsageError(
                f"{name} is a secret, and a secret is never an argument: write --set {name}=- and give the value on "
                "standard input, or use --from-file"
            )
        values[name] = typed(name, read_secret(name) if text == "-" else text, kind)
    return values


def typed(name: str, text: str, kind: str) -> Any:
    """The JSON form of a value of one of TYPES. Raises UsageError, which names the key and not the value."""
    try:
        return _checked(_parsed(text, kind), kind)
    except (Invalid, TypeError) as error:
        raise click.UsageError(f"the value of {name} is no {kind}: {_EXAMPLES[kind]}") from error


def values_in_file(path: Path) -> dict[str, Any]:
    """The JSON forms by key of a plist or JSON file, `-` for standard input. Raises UsageError."""
    content = _read(path)
    if content.lstrip().startswith(b"{"):
        return _from_json_file(path, content)
    try:
        values = loads(_xml(content))
    except (ProtocolError, ValueError, plistlib.InvalidFileException, OverflowError) as error:
        reason = str(error) if isinstance(error, ProtocolError) else "it is broken"
        raise click.UsageError(f"{path} is neither a plist nor JSON: {reason}") from None
    return {name: to_json(value) for name, value in values.items()}


_EXAMPLES = {
    "string": "any text",
    "integer": "such as 42",
    "boolean": "true or false",
    "real": "such as 2.5",
    "date": "such as 2030-01-31T08:00:00Z",
    "data": "base64",
    "array": 'JSON such as ["a", 1]',
    "dictionary": 'JSON such as {"a": 1}',
}


def _parsed(text: str, kind: str) -> Any:
    match kind:
        case "integer":
            return int(text) if _INTEGER.fullmatch(text) else ...
        case "boolean":
            return _BOOLEANS.get(text.lower(), ...)
        case "real":
            return _real(text)
        case "date":
            return {"$date": text}
        case "data":
            return {"$data": text}
        case "array" | "dictionary":
            return _json(text)
    return text


def _checked(value: Any, kind: str) -> Any:
    if value is ...:
        raise TypeError(kind)
    plain = from_json(value)
    if (kind == "array") != isinstance(plain, list) or (kind == "dictionary") != isinstance(plain, dict):
        raise TypeError(kind)
    return value


def _real(text: str) -> Any:
    try:
        value = float(text)
    except ValueError:
        return ...
    return value if math.isfinite(value) else ...


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return ...


def _is_secret(name: str, secret_keys: Sequence[str], kind: str) -> bool:
    return name == PINGID_TOKEN or name in secret_keys or holds_secret(name, kind == "boolean" or "")


def _from_json_file(path: Path, content: bytes) -> dict[str, Any]:
    try:
        form = msgspec.json.decode(content, type=dict[str, Any])
        for value in form.values():
            from_json(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{path} is not JSON: {error}") from None
    except Invalid as error:
        raise click.UsageError(f"{path}: {error}") from None
    return form


def _xml(content: bytes) -> bytes:
    """The plist as XML: also of a binary one, and of the bare <dict> that other servers show."""
    if content.startswith(b"bplist"):
        return plistlib.dumps(plistlib.loads(content, fmt=plistlib.FMT_BINARY))
    if content.lstrip().startswith(b"<dict"):
        return b'<plist version="1.0">' + content + b"</plist>"
    return content


def _read(path: Path) -> bytes:
    try:
        with click.open_file(str(path), "rb") as file:
            content: bytes = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > _LARGEST_FILE:
        raise click.UsageError(f"{path} is too large for a configuration")
    return content
