"""A configuration profile: payloads under one name (protocol.md 4.1), and its bytes.

Equal profiles have equal bytes: keys are sorted and nothing is taken from the clock.
"""

import plistlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any

from profiles.errors import KeyInvalid
from profiles.identifiers import check_identifier, check_uuid
from profiles.payloads.payload import Payload, PayloadType, payload_plist, present
from profiles.plist_values import plist_value

CONTENT_TYPE = "application/x-apple-aspen-config"


class PayloadScope(StrEnum):
    """Where a Mac installs a profile; absent, it is the user's."""

    SYSTEM = "System"
    USER = "User"


class TargetDeviceType(IntEnum):
    """The kind of device that a profile is meant for."""

    ANY = 0
    IPHONE_OR_IPAD = 1
    WATCH = 2
    HOMEPOD = 3
    APPLE_TV = 4
    MAC = 5
    VISION_PRO = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What is installed and removed as one; making one checks it and raises KeyInvalid.

    `consent_text` is by language (BCP 47) or `default`. Of an optional field, None says that the key is absent.
    """

    identifier: str
    uuid: str
    payloads: tuple[Payload, ...]
    display_name: str | None = None
    description: str | None = None
    organization: str | None = None
    scope: PayloadScope | None = None
    removal_disallowed: bool | None = None
    has_removal_passcode: bool | None = None
    removal_date: datetime | None = None
    duration_until_removal_seconds: float | None = None
    expires_at: datetime | None = None
    target_device_type: TargetDeviceType | None = None
    consent_text: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_identifier(self.identifier, "PayloadIdentifier")
        check_uuid(self.uuid, "PayloadUUID")
        if not self.payloads:
            raise KeyInvalid("PayloadContent", "a profile without payloads")
        _check_unique("PayloadIdentifier", (payload.identifier for payload in self.payloads))
        _check_unique("PayloadUUID", (self.uuid.upper(), *(payload.uuid.upper() for payload in self.payloads)))
        if sum(payload.type == PayloadType.MDM for payload in self.payloads) > 1:
            raise KeyInvalid("PayloadContent", f"two payloads of the type {PayloadType.MDM}")
        _check_references(self.payloads)


def profile_plist(profile: Profile) -> dict[str, Any]:
    """The whole profile in plain values, as a plist holds it; raises KeyInvalid."""
    seconds = profile.duration_until_removal_seconds
    top = present(
        {
            "PayloadType": "Configuration",
            "PayloadIdentifier": profile.identifier,
            "PayloadUUID": profile.uuid,
            "PayloadVersion": 1,
            "PayloadDisplayName": profile.display_name,
            "PayloadDescription": profile.description,
            "PayloadOrganization": profile.organization,
            "PayloadScope": profile.scope,
            "PayloadRemovalDisallowed": profile.removal_disallowed,
            "HasRemovalPasscode": profile.has_removal_passcode,
            "RemovalDate": profile.removal_date,
            "DurationUntilRemoval": None if seconds is None else float(seconds),
            "PayloadExpirationDate": profile.expires_at,
            "TargetDeviceType": profile.target_device_type,
            "ConsentText": profile.consent_text or None,
        }
    )
    plain: dict[str, Any] = plist_value(top, "Configuration")
    return {**plain, "PayloadContent": [payload_plist(payload) for payload in profile.payloads]}


def render(profile: Profile) -> bytes:
    """The profile as an XML plist, not signed; the same bytes for the same profile. Raises KeyInvalid."""
    return plistlib.dumps(profile_plist(profile), fmt=plistlib.FMT_XML, sort_keys=True)


def _check_unique(key: str, names: Iterable[str]) -> None:
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise KeyInvalid(key, f"{twice[0]} comes twice in the profile")


def _check_references(payloads: tuple[Payload, ...]) -> None:
    types = {payload.uuid: payload.type for payload in payloads}
    for payload in payloads:
        for reference in payload.references():
            if types.get(reference.uuid) not in reference.types:
                raise KeyInvalid(reference.key, "names no payload of this profile that could be meant")
