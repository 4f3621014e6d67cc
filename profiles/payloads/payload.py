"""What every payload has, and how one refers to another of the same profile."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from profiles.errors import KeyInvalid
from profiles.identifiers import check_identifier, check_uuid
from profiles.plist_values import plist_value

COMMON_KEYS = frozenset(
    {
        "PayloadType",
        "PayloadIdentifier",
        "PayloadUUID",
        "PayloadVersion",
        "PayloadDisplayName",
        "PayloadDescription",
        "PayloadOrganization",
    }
)
"""The keys that stand in a payload of any type; what a type adds may have none of them."""


class PayloadType(StrEnum):
    """The types that have a record or a rule here; there are many more."""

    MDM = "com.apple.mdm"
    SCEP = "com.apple.security.scep"
    ACME = "com.apple.security.acme"
    ROOT = "com.apple.security.root"
    PKCS1 = "com.apple.security.pkcs1"
    PEM = "com.apple.security.pem"
    PKCS12 = "com.apple.security.pkcs12"
    MANAGED_PREFERENCES = "com.apple.ManagedClient.preferences"


IDENTITY_TYPES = frozenset({PayloadType.SCEP, PayloadType.ACME, PayloadType.PKCS12})
CERTIFICATE_TYPES = frozenset({PayloadType.ROOT, PayloadType.PKCS1, PayloadType.PEM})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A key that names another payload by its UUID, and the types that payload may have."""

    key: str
    uuid: str
    types: frozenset[PayloadType]


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """A part of a profile; making one checks it and raises KeyInvalid.

    Of an optional field, None says that the key is absent, so that the device's own default holds.
    """

    type: str
    identifier: str
    uuid: str
    display_name: str | None = None
    description: str | None = None
    organization: str | None = None

    def __post_init__(self) -> None:
        check_identifier(self.type, "PayloadType")
        check_identifier(self.identifier, "PayloadIdentifier")
        check_uuid(self.uuid, "PayloadUUID")
        self.check()

    def check(self) -> None:
        """Raises KeyInvalid for what this type of payload does not allow."""

    def settings(self) -> Mapping[str, Any]:
        """The keys of this type as Apple spells them; those whose value is None are left out of the profile."""
        raise NotImplementedError

    def references(self) -> tuple[Reference, ...]:
        """The payloads that must be in the same profile."""
        return ()


def payload_plist(payload: Payload) -> dict[str, Any]:
    """The payload as it stands in PayloadContent, in plain values; raises KeyInvalid."""
    settings = present(payload.settings())
    if taken := COMMON_KEYS & settings.keys():
        raise KeyInvalid(min(taken), "every payload has this key, so no type can set it")
    common = present(
        {
            "PayloadType": payload.type,
            "PayloadIdentifier": payload.identifier,
            "PayloadUUID": payload.uuid,
            "PayloadVersion": 1,
            "PayloadDisplayName": payload.display_name,
            "PayloadDescription": payload.description,
            "PayloadOrganization": payload.organization,
        }
    )
    plain: dict[str, Any] = plist_value({**common, **settings}, payload.type)
    return plain


def present(keys: Mapping[str, Any]) -> dict[str, Any]:
    """The keys that have a value."""
    return {key: value for key, value in keys.items() if value is not None}
