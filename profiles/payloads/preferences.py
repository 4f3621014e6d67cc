"""Managed preferences of an app on macOS, in both forms that there are (managed-apps.md 3).

iOS and iPadOS apps never read one: they get their settings as managed app configuration.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from profiles.errors import KeyInvalid
from profiles.payloads.payload import Payload, PayloadType, present
from profiles.payloads.raw import RawPayload
from profiles.plist_values import plist_value

_DOMAIN = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainPreferences:
    """The settings of one preference domain: those a user cannot change, and those set but once."""

    forced: Mapping[str, Any] | None = field(default=None, repr=False)
    set_once: Mapping[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedPreferencesPayload(Payload):
    """Settings for any number of domains; forbidden in user enrollment."""

    type: str = field(default=PayloadType.MANAGED_PREFERENCES, init=False)
    domains: Mapping[str, DomainPreferences]

    def check(self) -> None:
        """Raises KeyInvalid where there is nothing to set, or what a plist cannot hold."""
        if not self.domains:
            raise KeyInvalid("PayloadContent", "no preference domain")
        copies = {}
        for domain, preferences in self.domains.items():
            if preferences.forced is None and preferences.set_once is None:
                raise KeyInvalid(f"PayloadContent.{domain}", "neither Forced nor Set-Once")
            copies[domain] = DomainPreferences(
                forced=plist_value(preferences.forced, domain) if preferences.forced is not None else None,
                set_once=plist_value(preferences.set_once, domain) if preferences.set_once is not None else None,
            )
        object.__setattr__(self, "domains", copies)

    def settings(self) -> Mapping[str, Any]:
        """PayloadContent, by domain."""
        return {
            "PayloadContent": {
                domain: present({"Forced": _items(preferences.forced), "Set-Once": _items(preferences.set_once)})
                for domain, preferences in self.domains.items()
            }
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferenceDomainPayload(RawPayload):
    """The other form: the type of the payload is the domain, and its settings stand beside the common keys."""

    def check(self) -> None:
        """Raises KeyInvalid for a type that is no domain of an app, and as RawPayload does."""
        if not _DOMAIN.fullmatch(self.type) or self.type.startswith("com.apple."):
            raise KeyInvalid("PayloadType", "not the preference domain of an app that is not Apple's")
        RawPayload.check(self)  # a slotted dataclass has no working super()


def _items(settings: Mapping[str, Any] | None) -> list[dict[str, Any]] | None:
    return None if settings is None else [{"mcx_preference_settings": settings}]
