"""Plist values as JSON and back, without loss, and with what is secret kept out.

<data>                     {"$data": "base64"}
<date>                     {"$date": "2026-01-02T03:04:05Z"}
a <dict> of one key `$…`   {"$dict": {…}}, so that no device can write one of these three
all else                   as it is; integers keep their 64 bits
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from mdmserver.errors import Invalid

DEPTH = 64
MASK = "***"

_SECRET_NAMES = frozenset(
    {
        "bootstraptoken",
        "challenge",
        "digestresponse",
        "escrowkey",
        "fde_personalrecoverykeycms",
        "passcode",
        "passwordhash",
        "pin",
        "pushmagic",
        "redemptioncode",
        "salted-sha512-pbkdf2",
        "tokendata",
        "unusedredemptioncode",
    }
)
# Apple's keys, and those of apps' configurations that devices read back, end in what they are.
_SECRET_ENDINGS = ("token", "password", "passphrase", "secret", "recoverykey", "bypasscode", "privatekey", "keyexport")


def masked(value: Any) -> Any:
    """A copy in which every value under a key that names a secret, however deep, is `***`; booleans stay."""
    match value:
        case dict():
            return {name: MASK if _is_secret(name, inner) else masked(inner) for name, inner in value.items()}
        case list():
            return [masked(inner) for inner in value]
    return value


def holds_secret(name: str, value: Any) -> bool:
    """Whether a value under this name, or anything in it, is secret by its name."""
    return _is_secret(name, value) or bool(masked(value) != value)


def _is_secret(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return False
    plain = name.lower()
    return plain in _SECRET_NAMES or plain.endswith(_SECRET_ENDINGS)


def to_json(value: Any) -> Any:
    """The JSON form of a plist value."""
    match value:
        case bytes():
            return {"$data": b64encode(value).decode()}
        case datetime():
            return {"$date": value.astimezone(UTC).isoformat().replace("+00:00", "Z")}
        case dict():
            form = {name: to_json(inner) for name, inner in value.items()}
            return {"$dict": form} if _is_marked(form) else form
        case list():
            return [to_json(inner) for inner in value]
    return value


def from_json(value: Any, *, depth: int = DEPTH) -> Any:
    """The plist value of a JSON form. Raises Invalid for an unknown `$…`, a null and what is nested too deeply."""
    if not depth:
        raise Invalid(f"the command is nested deeper than {DEPTH}", code="invalid_command")
    match value:
        case dict() if _is_marked(value):
            return _from_marked(value, depth)
        case dict():
            return {name: from_json(inner, depth=depth - 1) for name, inner in value.items()}
        case list():
            return [from_json(inner, depth=depth - 1) for inner in value]
        case None:
            raise Invalid("a plist has no null; leave the key out", code="invalid_command")
    return value


def _is_marked(form: Mapping[str, Any]) -> bool:
    return len(form) == 1 and next(iter(form)).startswith("$")


def _from_marked(form: dict[str, Any], depth: int) -> Any:
    match form:
        case {"$data": str(text)}:
            return _data(text)
        case {"$date": str(text)}:
            return _date(text)
        case {"$dict": dict(inner)}:
            return {name: from_json(value, depth=depth - 1) for name, value in inner.items()}
    raise Invalid(
        'a key that begins with $ must be {"$data": base64}, {"$date": RFC 3339} or {"$dict": {…}}',
        code="invalid_command",
    )


def _data(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError as error:
        raise Invalid("a $data is not base64", code="invalid_command") from error


_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _date(text: str) -> datetime:
    try:
        if _RFC3339.fullmatch(text):
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise Invalid("a $date is not a time of RFC 3339", code="invalid_command")
