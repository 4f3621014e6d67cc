"""How a message's keys are read: what is needed must be right, what is not needed is dropped where it is wrong."""

from collections.abc import Mapping
from typing import Any

from mdmserver.protocol.errors import MessageMalformed

LONGEST_STRING = 4096


def optional_text(plist: Mapping[str, Any], key: str) -> str | None:
    """The string, or None where it is absent, of another type or over 4096 characters."""
    value = plist.get(key)
    return value if isinstance(value, str) and len(value) <= LONGEST_STRING else None


def required_text(plist: Mapping[str, Any], key: str) -> str:
    """The string of 1 to 4096 characters; MessageMalformed for anything else."""
    value = optional_text(plist, key)
    if not value:
        raise MessageMalformed(f"{key} is missing, empty, too long or not a string")
    return value


def optional_flag(plist: Mapping[str, Any], key: str) -> bool | None:
    """The boolean, or None where it is absent or of another type."""
    value = plist.get(key)
    return value if isinstance(value, bool) else None


def optional_bytes(plist: Mapping[str, Any], key: str) -> bytes | None:
    """The bytes, or None where they are absent, empty, not base64 or of another type."""
    value = plist.get(key)
    return value if type(value) is bytes and value else None


def exact_bytes(plist: Mapping[str, Any], key: str) -> bytes | None:
    """The bytes, empty ones too, or None where the key is absent; MessageMalformed for what is neither."""
    value = plist.get(key)
    if value is not None and type(value) is not bytes:
        raise MessageMalformed(f"{key} is not data, or not base64")
    return value


def without_absent(plist: Mapping[str, Any]) -> dict[str, Any]:
    """What is left of a message's keys when those whose value is None are not sent."""
    return {key: value for key, value in plist.items() if value is not None}
