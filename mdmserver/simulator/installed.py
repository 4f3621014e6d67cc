"""What is installed on a channel of a simulated device: profiles, and apps. Commands change it through `answers`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from certs import CertificateError
from mdmserver.protocol import ProtocolError, loads
from mdmserver.simulator.apps import Apps
from mdmserver.simulator.preferences import managed_preferences
from profiles import read_signed_profile

_DER_SEQUENCE = b"\x30"
_LARGE_LIST_APPLICATIONS = 300  # about 130 kB of plist
_APPLICATIONS = ("Calendar", "Camera", "Clock", "Mail", "Maps", "Notes", "Photos", "Reminders", "Safari", "Weather")


class ProfileUnreadable(Exception):
    """What came as a profile is none."""


@dataclass(slots=True, kw_only=True)
class Installed:
    """Profiles by identifier, and apps."""

    apps: Apps = field(default_factory=Apps)
    profiles: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    provisioning_profiles: list[bytes] = field(default_factory=list)

    def install_profile(self, profile: Mapping[str, Any]) -> None:
        """Install or replace, by PayloadIdentifier."""
        self.profiles[profile["PayloadIdentifier"]] = profile

    def preferences(self) -> dict[str, dict[str, Any]]:
        """What the profiles set in the preference domains of a Mac, by domain."""
        return managed_preferences(self.profiles.values())

    def end_management(self) -> None:
        """What came by management goes."""
        self.profiles.clear()
        self.provisioning_profiles.clear()
        self.apps.end_management()

    def erase(self) -> None:
        """Everything goes."""
        self.end_management()
        self.apps.of_person.clear()

    def profile_list(self) -> list[dict[str, Any]]:
        """The items of a ProfileList answer."""
        return [_profile_item(identifier, profile) for identifier, profile in self.profiles.items()]


def read_profile(payload: bytes) -> Mapping[str, Any]:
    """The plist of a profile, plain or signed, that has an identifier. Raises ProfileUnreadable."""
    try:
        content = read_signed_profile(payload)[0] if payload.startswith(_DER_SEQUENCE) else payload
        profile = loads(content)
    except (CertificateError, ProtocolError) as error:
        raise ProfileUnreadable(str(error)) from error
    identifier = profile.get("PayloadIdentifier")
    if not isinstance(identifier, str) or not identifier:
        raise ProfileUnreadable("no PayloadIdentifier")
    return profile


def application_list(random: Random, *, large: bool) -> list[dict[str, Any]]:
    """The items of an InstalledApplicationList answer: a few, or as many as a Mac full of apps has."""
    if not large:
        return [_application(name, f"com.apple.{name.lower()}", random) for name in _APPLICATIONS]
    return [
        _application(f"{_APPLICATIONS[number % len(_APPLICATIONS)]} {number}", f"com.example.app{number}", random)
        for number in range(_LARGE_LIST_APPLICATIONS)
    ]


def _profile_item(identifier: str, profile: Mapping[str, Any]) -> dict[str, Any]:
    content = profile.get("PayloadContent")
    payloads = content if isinstance(content, list) else []
    return {
        **_payload_keys(profile),
        "PayloadIdentifier": identifier,
        "PayloadRemovalDisallowed": profile.get("PayloadRemovalDisallowed") is True,
        "HasRemovalPasscode": False,
        "IsEncrypted": False,
        "IsManaged": True,
        "PayloadContent": [
            {"PayloadType": str(payload.get("PayloadType", "")), **_payload_keys(payload)}
            for payload in payloads
            if isinstance(payload, Mapping)
        ],
    }


def _payload_keys(payload: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("PayloadUUID", "PayloadIdentifier", "PayloadVersion", "PayloadDisplayName", "PayloadOrganization")
    return {key: payload[key] for key in keys if isinstance(payload.get(key), str | int)}


def _application(name: str, identifier: str, random: Random) -> dict[str, Any]:
    version = f"{random.randrange(1, 20)}.{random.randrange(10)}"
    return {
        "Identifier": identifier,
        "Name": name,
        "ShortVersion": version,
        "Version": f"{version}.{random.randrange(1000)}",
        "BundleSize": random.randrange(10**5, 10**9),
        "DynamicSize": random.randrange(10**5),
        "AppStoreVendable": True,
        "BetaApp": False,
        "IsValidated": True,
        "Installing": False,
    }
