"""Apps and their configurations. A configuration has a scope and immutable revisions; PingID is built in.

The phone app of PingID takes its token as managed app configuration; a Mac gets it in a preference domain by a profile.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NewType

from mdmserver.assignments.model import AppRow, Platform, RevisionRow, Scope
from mdmserver.errors import Invalid

ConfigurationRow = NewType("ConfigurationRow", int)
Fingerprint = Callable[[bytes], str]

PINGID_KEY = "pingid"
PINGID_TOKEN = "PINGID_MDM_TOKEN"
TEXT_MARK, DATA_MARK = "fingerprint:", "fingerprint-of-data:"
READ_BACK_KEY = "ApplicationConfigurations"
MOST_VALUES = 1_000
LARGEST_CONFIGURATION = 1024 * 1024
_KEY = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_BUNDLE_ID = re.compile(r"[A-Za-z0-9.-]{1,255}")
_DOMAIN = re.compile(r"(?!com\.apple\.)(?=.{1,255}\Z)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+")


class PreferenceForm(StrEnum):
    """How a Mac's profile carries preferences: com.apple.ManagedClient.preferences, the domain itself, or both."""

    MANAGED = "managed"
    DIRECT = "direct"
    BOTH = "both"


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """An app in the catalogue: from the App Store, or an enterprise app by its manifest.

    A device that calls it otherwise than `bundle_id` is believed for itself alone. On a Mac an app with a
    `preference_domain` is configured by a profile.
    """

    row: AppRow
    key: str
    name: str
    app_store_id: int | None
    bundle_id: str
    manifest_url: str | None = None
    platforms: frozenset[Platform]
    preference_domain: str | None = None
    preference_form: PreferenceForm = PreferenceForm.MANAGED


class Effect(StrEnum):
    """What an assignment does."""

    INSTALL = "install"
    REMOVE = "remove"
    """Take the app away where this server had it installed; also an exception from a wider scope."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """An app for a scope; of several that take in a device the most particular counts."""

    app: AppRow
    scope: Scope
    effect: Effect


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One revision of a configuration. `values` are plist values by key; those under `secret_keys` are never shown."""

    row: RevisionRow
    configuration: ConfigurationRow
    app: AppRow
    number: int
    values: Mapping[str, Any] = field(repr=False)
    secret_keys: frozenset[str]
    fingerprint: str
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """An app's configuration for a scope; without a revision in force it was taken back."""

    row: ConfigurationRow
    app: AppRow
    scope: Scope
    revision: RevisionRow | None
    number: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewApp:
    """An app to be added, checked: raises Invalid."""

    key: str
    name: str
    app_store_id: int | None = None
    bundle_id: str
    manifest_url: str | None = None
    platforms: frozenset[Platform] = frozenset({Platform.IOS})
    preference_domain: str | None = None
    preference_form: PreferenceForm = PreferenceForm.MANAGED

    def __post_init__(self) -> None:
        if not _KEY.fullmatch(self.key):
            raise Invalid("an app's key has 1 to 63 small letters, digits and hyphens", code="invalid_app")
        if not (0 < len(self.name) <= 200 and self.name.isprintable()):
            raise Invalid("an app's name has 1 to 200 printable characters", code="invalid_app")
        if not _BUNDLE_ID.fullmatch(self.bundle_id):
            raise Invalid("a bundle id has 1 to 255 letters, digits, hyphens and dots", code="invalid_app")
        if self.preference_domain is not None and not _DOMAIN.fullmatch(self.preference_domain):
            raise Invalid("a preference domain is like com.example.app, and none of Apple's", code="invalid_app")
        if self.app_store_id is not None and not 0 < self.app_store_id < 2**63:
            raise Invalid("an App Store id is a positive number", code="invalid_app")
        if self.manifest_url is not None and not self.manifest_url.startswith("https://"):
            raise Invalid("a manifest URL begins with https://", code="invalid_app")
        if not self.platforms:
            raise Invalid("an app is for at least one platform", code="invalid_app")


def pingid() -> NewApp:
    """PingID as it is known (managed-apps.md 4); the domain is for Macs."""
    return NewApp(
        key=PINGID_KEY,
        name="PingID",
        app_store_id=891247102,
        bundle_id="com.pingidentity.pingid.prod",
        platforms=frozenset({Platform.IOS}),
        preference_domain="com.pingidentity.pingid",
    )


def with_fingerprints(value: Any, fingerprint: Fingerprint) -> Any:
    """The value with every string and every data replaced by its fingerprint: equal exactly when the values are."""
    match value:
        case str():
            return TEXT_MARK + fingerprint(value.encode("utf-8", "surrogatepass"))
        case bytes():
            return DATA_MARK + fingerprint(value)
        case dict():
            return {key: with_fingerprints(inner, fingerprint) for key, inner in value.items()}
        case list() | tuple():
            return [with_fingerprints(inner, fingerprint) for inner in value]
        case datetime():
            # A plist holds whole seconds of UTC.
            return value.astimezone(UTC).replace(microsecond=0)
    return value


def answer_with_fingerprints(plist: Mapping[str, Any], fingerprint: Fingerprint) -> dict[str, Any]:
    """A read-back as it may be stored: with fingerprints for every text and data in the configurations (S24)."""
    answered = plist.get(READ_BACK_KEY)
    entries = answered if isinstance(answered, list) else [answered]
    safe = [
        {key: value if key == "Identifier" else with_fingerprints(value, fingerprint) for key, value in entry.items()}
        if isinstance(entry, dict)
        else with_fingerprints(entry, fingerprint)
        for entry in entries
    ]
    return {**plist, READ_BACK_KEY: safe}


def is_same(intended: Any, answered: Any) -> bool:
    """Whether a device answered what was intended; a boolean is no number, and a real is a real."""
    match intended:
        case bool():
            return answered is intended
        case dict():
            return (
                isinstance(answered, dict)
                and intended.keys() == answered.keys()
                and all(is_same(value, answered[key]) for key, value in intended.items())
            )
        case list():
            return (
                isinstance(answered, list)
                and len(intended) == len(answered)
                and all(is_same(one, other) for one, other in zip(intended, answered, strict=True))
            )
        case int() | float():
            # A device may write the real 2.0 as the integer 2; the app reads the same number.
            return isinstance(answered, int | float) and not isinstance(answered, bool) and answered == intended
    return type(answered) is type(intended) and bool(answered == intended)
