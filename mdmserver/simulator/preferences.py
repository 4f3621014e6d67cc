"""What the profiles on a Mac make of its managed preferences: a map of domains, as apps read them."""

from collections.abc import Iterable, Mapping
from typing import Any

from profiles import PayloadType

_COMMON_PREFIX = "Payload"
_APPLE = "com.apple."


def managed_preferences(profiles: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """By domain, from both kinds of payload; what is forced outweighs what is set once."""
    once: dict[str, dict[str, Any]] = {}
    forced: dict[str, dict[str, Any]] = {}
    for payload in (each for profile in profiles for each in payloads_of(profile)):
        if payload.get("PayloadType") == PayloadType.MANAGED_PREFERENCES:
            for domain, settings in _dictionary(payload.get("PayloadContent")).items():
                _add(once, domain, _settings(settings, "Set-Once"))
                _add(forced, domain, _settings(settings, "Forced"))
        elif not str(payload.get("PayloadType", "")).startswith(_APPLE):
            own = {key: value for key, value in payload.items() if not key.startswith(_COMMON_PREFIX)}
            _add(forced, str(payload.get("PayloadType", "")), own)
    return {domain: once.get(domain, {}) | forced.get(domain, {}) for domain in once.keys() | forced.keys()}


def payloads_of(profile: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The payloads in a profile, those that can be read."""
    content = profile.get("PayloadContent")
    return [payload for payload in content if isinstance(payload, dict)] if isinstance(content, list) else []


def _settings(settings: Any, kind: str) -> dict[str, Any]:
    items = _dictionary(settings).get(kind)
    merged: dict[str, Any] = {}
    for item in items if isinstance(items, list) else []:
        merged |= _dictionary(_dictionary(item).get("mcx_preference_settings"))
    return merged


def _add(preferences: dict[str, dict[str, Any]], domain: str, settings: Mapping[str, Any]) -> None:
    if settings:
        preferences.setdefault(domain, {}).update(settings)


def _dictionary(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
