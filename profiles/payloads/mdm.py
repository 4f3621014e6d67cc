"""`com.apple.mdm`: who manages the device, over which URLs and with which rights (protocol.md 4.2).

A device that is enrolled takes a new version of this payload only if nothing changed that may not; which keys those
are is `refused_changes`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntFlag, StrEnum
from typing import Any, Self, TypeVar

from profiles.errors import KeyInvalid, ProfileMalformed
from profiles.identifiers import check_uuid
from profiles.payloads.payload import CERTIFICATE_TYPES, IDENTITY_TYPES, Payload, PayloadType, Reference
from profiles.plist_keys import PlistKeys
from profiles.urls import check_https_url

TOPIC_PREFIX = "com.apple.mgmt."

_Constant = TypeVar("_Constant", bound=StrEnum)


class AccessRights(IntFlag):
    """What the server may do on a device; absent in user enrollment, where Apple fixes it."""

    INSPECT_PROFILES = 1
    INSTALL_PROFILES = 2
    LOCK_AND_CLEAR_PASSCODE = 4
    ERASE = 8
    QUERY_DEVICE = 16
    QUERY_NETWORK = 32
    INSPECT_PROVISIONING_PROFILES = 64
    INSTALL_PROVISIONING_PROFILES = 128
    QUERY_APPLICATIONS = 256
    QUERY_RESTRICTIONS = 512
    QUERY_SECURITY = 1024
    SETTINGS = 2048
    MANAGE_APPS = 4096
    ALL = 8191


class ServerCapability(StrEnum):
    """What the server can do beyond the device channel."""

    PER_USER_CONNECTIONS = "com.apple.mdm.per-user-connections"
    BOOTSTRAP_TOKEN = "com.apple.mdm.bootstraptoken"
    GET_TOKEN = "com.apple.mdm.token"


class EnrollmentMode(StrEnum):
    """The kind of an account-driven enrollment."""

    USER = "BYOD"
    DEVICE = "ADDE"


@dataclass(frozen=True, slots=True, kw_only=True)
class MDMPayload(Payload):
    """All keys of the payload. `topic_is_placeholder` is not one of them: it allows a topic that is not Apple's,
    where there is no push certificate yet."""

    type: str = field(default=PayloadType.MDM, init=False)
    identity_certificate_uuid: str
    topic: str
    server_url: str
    check_in_url: str | None = None
    sign_message: bool | None = None
    access_rights: AccessRights | None = None
    use_development_apns: bool | None = None
    assigned_managed_apple_id: str | None = None
    enrollment_mode: EnrollmentMode | None = None
    managed_apple_id: str | None = None
    server_url_pinning_certificate_uuids: tuple[str, ...] = ()
    check_in_url_pinning_certificate_uuids: tuple[str, ...] = ()
    pinning_revocation_check_required: bool | None = None
    server_capabilities: tuple[ServerCapability, ...] = ()
    check_out_when_removed: bool | None = None
    required_app_id_for_mdm: int | None = None
    prompt_user_to_allow_bootstrap_token_for_authentication: bool | None = None
    topic_is_placeholder: bool = field(default=False, compare=False)

    def check(self) -> None:
        """Raises KeyInvalid for a value or a combination that devices refuse."""
        check_uuid(self.identity_certificate_uuid, "IdentityCertificateUUID")
        if not self.topic or not (self.topic_is_placeholder or self.topic.startswith(TOPIC_PREFIX)):
            raise KeyInvalid("Topic", f"does not begin with {TOPIC_PREFIX}")
        check_https_url(self.server_url, "ServerURL")
        if self.check_in_url is not None:
            check_https_url(self.check_in_url, "CheckInURL")
        if len(set(self.server_capabilities)) != len(self.server_capabilities):
            raise KeyInvalid("ServerCapabilities", "a capability comes twice")
        _check_access_rights(self.access_rights)
        _check_enrollment_mode(self)

    def settings(self) -> Mapping[str, Any]:
        """The keys as Apple spells them."""
        return {
            "IdentityCertificateUUID": self.identity_certificate_uuid,
            "Topic": self.topic,
            "ServerURL": self.server_url,
            "CheckInURL": self.check_in_url,
            "SignMessage": self.sign_message,
            "AccessRights": self.access_rights,
            "UseDevelopmentAPNS": self.use_development_apns,
            "AssignedManagedAppleID": self.assigned_managed_apple_id,
            "EnrollmentMode": self.enrollment_mode,
            "ManagedAppleID": self.managed_apple_id,
            "ServerURLPinningCertificateUUIDs": self.server_url_pinning_certificate_uuids or None,
            "CheckInURLPinningCertificateUUIDs": self.check_in_url_pinning_certificate_uuids or None,
            "PinningRevocationCheckRequired": self.pinning_revocation_check_required,
            "ServerCapabilities": self.server_capabilities or None,
            "CheckOutWhenRemoved": self.check_out_when_removed,
            "RequiredAppIDForMDM": self.required_app_id_for_mdm,
            "PromptUserToAllowBootstrapTokenForAuthentication": (
                self.prompt_user_to_allow_bootstrap_token_for_authentication
            ),
        }

    def references(self) -> tuple[Reference, ...]:
        """The identity, and the certificates that the URLs are pinned to."""
        pins = (
            ("ServerURLPinningCertificateUUIDs", self.server_url_pinning_certificate_uuids),
            ("CheckInURLPinningCertificateUUIDs", self.check_in_url_pinning_certificate_uuids),
        )
        return (
            Reference(key="IdentityCertificateUUID", uuid=self.identity_certificate_uuid, types=IDENTITY_TYPES),
            *(Reference(key=key, uuid=uuid, types=CERTIFICATE_TYPES) for key, uuids in pins for uuid in uuids),
        )

    @classmethod
    def read(cls, plist: Mapping[str, Any]) -> Self:
        """The payload from its dictionary, of any topic; raises ProfileMalformed, and KeyInvalid as `check` does."""
        keys = PlistKeys(plist, PayloadType.MDM)
        rights = keys.optional_integer("AccessRights")
        mode = keys.optional_text("EnrollmentMode")
        return cls(
            identifier=keys.text("PayloadIdentifier"),
            uuid=keys.text("PayloadUUID"),
            display_name=keys.optional_text("PayloadDisplayName"),
            description=keys.optional_text("PayloadDescription"),
            organization=keys.optional_text("PayloadOrganization"),
            identity_certificate_uuid=keys.text("IdentityCertificateUUID"),
            topic=keys.text("Topic"),
            server_url=keys.text("ServerURL"),
            check_in_url=keys.optional_text("CheckInURL"),
            sign_message=keys.optional_boolean("SignMessage"),
            access_rights=None if rights is None else AccessRights(rights),
            use_development_apns=keys.optional_boolean("UseDevelopmentAPNS"),
            assigned_managed_apple_id=keys.optional_text("AssignedManagedAppleID"),
            enrollment_mode=None if mode is None else _constant(EnrollmentMode, mode, "EnrollmentMode"),
            managed_apple_id=keys.optional_text("ManagedAppleID"),
            server_url_pinning_certificate_uuids=keys.texts("ServerURLPinningCertificateUUIDs"),
            check_in_url_pinning_certificate_uuids=keys.texts("CheckInURLPinningCertificateUUIDs"),
            pinning_revocation_check_required=keys.optional_boolean("PinningRevocationCheckRequired"),
            server_capabilities=tuple(
                _constant(ServerCapability, name, "ServerCapabilities") for name in keys.texts("ServerCapabilities")
            ),
            check_out_when_removed=keys.optional_boolean("CheckOutWhenRemoved"),
            required_app_id_for_mdm=keys.optional_integer("RequiredAppIDForMDM"),
            prompt_user_to_allow_bootstrap_token_for_authentication=keys.optional_boolean(
                "PromptUserToAllowBootstrapTokenForAuthentication"
            ),
            topic_is_placeholder=True,
        )


def refused_changes(installed: MDMPayload, update: MDMPayload) -> tuple[str, ...]:
    """The keys for whose change a device would refuse the update; empty if it would take it.

    An absent CheckInURL is the ServerURL, and absent AccessRights are none.
    """
    compared = {
        "Topic": (installed.topic, update.topic),
        "ServerURL": (installed.server_url, update.server_url),
        "CheckInURL": (installed.check_in_url or installed.server_url, update.check_in_url or update.server_url),
        "AssignedManagedAppleID": (installed.assigned_managed_apple_id, update.assigned_managed_apple_id),
        "EnrollmentMode": (installed.enrollment_mode, update.enrollment_mode),
        "RequiredAppIDForMDM": (installed.required_app_id_for_mdm, update.required_app_id_for_mdm),
        "ServerCapabilities": (_has_user_channels(installed), _has_user_channels(update)),
    }
    changed = [key for key, (before, after) in compared.items() if before != after]
    if int(update.access_rights or 0) & ~int(installed.access_rights or 0):
        changed.append("AccessRights")
    return tuple(changed)


def _has_user_channels(payload: MDMPayload) -> bool:
    return ServerCapability.PER_USER_CONNECTIONS in payload.server_capabilities


def _check_access_rights(rights: AccessRights | None) -> None:
    if rights is None:
        return
    if not 0 < int(rights) <= int(AccessRights.ALL):
        raise KeyInvalid("AccessRights", "not between 1 and 8191")
    for right, needed in (
        (AccessRights.INSTALL_PROFILES, AccessRights.INSPECT_PROFILES),
        (AccessRights.INSTALL_PROVISIONING_PROFILES, AccessRights.INSPECT_PROVISIONING_PROFILES),
    ):
        if right in rights and needed not in rights:
            raise KeyInvalid("AccessRights", f"{int(right)} needs {int(needed)}")


def _check_enrollment_mode(payload: MDMPayload) -> None:
    is_account_driven = payload.enrollment_mode is not None
    if payload.enrollment_mode is EnrollmentMode.USER and payload.access_rights is not None:
        raise KeyInvalid("AccessRights", "must be absent where EnrollmentMode is BYOD")
    if is_account_driven != (payload.assigned_managed_apple_id is not None):
        raise KeyInvalid("AssignedManagedAppleID", "goes with EnrollmentMode: both or neither")
    if is_account_driven and payload.managed_apple_id is not None:
        raise KeyInvalid("ManagedAppleID", "belongs to the older user enrollment, without EnrollmentMode")
    if payload.required_app_id_for_mdm is not None and not (is_account_driven and payload.required_app_id_for_mdm > 0):
        raise KeyInvalid("RequiredAppIDForMDM", "a positive number, in account-driven enrollment alone")


def _constant(kind: type[_Constant], value: str, key: str) -> _Constant:
    try:
        return kind(value)
    except ValueError:
        raise ProfileMalformed(f"{PayloadType.MDM}.{key}", "a value that Apple's schema does not have") from None
