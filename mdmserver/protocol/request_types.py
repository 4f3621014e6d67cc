"""What Apple publishes about each RequestType (schema of iOS 18.1 and macOS 15.1): where it may be queued, which
access right it needs, and which ones can cost somebody a device.

Knowledge, not a gate: a RequestType that is not in the table is sent all the same; devices are newer than servers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Flag, IntFlag, StrEnum
from typing import Any


class Platform(StrEnum):
    """A column of the table; a Shared iPad differs from an ordinary one in its channels."""

    IOS = "iOS"
    SHARED_IPAD = "Shared iPad"
    MACOS = "macOS"
    TVOS = "tvOS"
    VISIONOS = "visionOS"
    WATCHOS = "watchOS"


class Channel(Flag):
    """The queues that a command may stand in."""

    NONE = 0
    DEVICE = 1
    USER = 2


class AccessRight(IntFlag):
    """The bits of AccessRights in the MDM payload."""

    NONE = 0
    INSPECTION = 1
    INSTALLATION_REMOVAL = 2
    PASSCODE_REMOVAL_AND_LOCK = 4
    DEVICE_ERASE = 8
    QUERY_DEVICE_INFORMATION = 16
    QUERY_NETWORK_INFORMATION = 32
    PROVISIONING_INSPECTION = 64
    PROVISIONING_INSTALLATION_REMOVAL = 128
    QUERY_APPLICATIONS = 256
    QUERY_RESTRICTIONS = 512
    QUERY_SECURITY = 1024
    SETTINGS = 2048
    APP_INSTALLATION = 4096


@dataclass(frozen=True, slots=True)
class RequestTypeFacts:
    """One row: `channels` has a letter for each Platform, in its order: D(evice), U(ser), B(oth) or `-` for none.

    `access_right` is the single bit that the command needs wherever it needs one; DeviceInformation depends on
    what is asked and has none here."""

    channels: str
    access_right: AccessRight = AccessRight.NONE

    def channels_on(self, platform: Platform) -> Channel:
        """The channels on which a device of this platform takes the command."""
        return _LETTERS[self.channels[tuple(Platform).index(platform)]]


def is_known(request_type: str) -> bool:
    """Whether the table has this RequestType."""
    return request_type in REQUEST_TYPES


def is_destructive(
    request_type: str, command: Mapping[str, Any] | None = None, *, enrollment_profile_identifier: str | None = None
) -> bool:
    """Whether security.md S28 holds for a command: it erases, locks, clears a passcode or ends management.

    RemoveProfile does where `command` names the enrollment profile; without both to compare it is taken to."""
    if request_type != "RemoveProfile":
        return request_type in DESTRUCTIVE_REQUEST_TYPES
    if command is None or enrollment_profile_identifier is None:
        return True
    return command.get("Identifier") == enrollment_profile_identifier


# Erase: a device, or all that a user keeps on it. Lock: the screen, until somebody enters a code or is sent home.
DESTRUCTIVE_REQUEST_TYPES = frozenset({"ClearPasscode", "DeleteUser", "DeviceLock", "EnableLostMode", "EraseDevice"})

_LETTERS = {"D": Channel.DEVICE, "U": Channel.USER, "B": Channel.DEVICE | Channel.USER, "-": Channel.NONE}

_Facts = RequestTypeFacts
_Right = AccessRight

# Columns: iOS, Shared iPad, macOS, tvOS, visionOS, watchOS.
REQUEST_TYPES: dict[str, RequestTypeFacts] = {
    "AccountConfiguration": _Facts("--D---"),
    "ActivationLockBypassCode": _Facts("D-D-D-"),
    "ActiveNSExtensions": _Facts("--U---", _Right.QUERY_APPLICATIONS),
    "ApplyRedemptionCode": _Facts("D-----", _Right.APP_INSTALLATION),
    "AvailableOSUpdates": _Facts("DDDD--", _Right.APP_INSTALLATION),
    "CertificateList": _Facts("DDBDDD", _Right.INSPECTION),
    "ClearActivationLockBypassCode": _Facts("D-D-D-"),
    "ClearPasscode": _Facts("D---DD", _Right.PASSCODE_REMOVAL_AND_LOCK),
    "ClearRestrictionsPassword": _Facts("D-----"),
    "ContentCachingInformation": _Facts("--D---", _Right.QUERY_NETWORK_INFORMATION),
    "DeclarativeManagement": _Facts("DBBDDD"),
    "DeleteUser": _Facts("-DD---"),
    "DeviceConfigured": _Facts("DDDDD-"),
    "DeviceInformation": _Facts("DBBDDD"),
    "DeviceLocation": _Facts("DD----"),
    "DeviceLock": _Facts("DDD-DD", _Right.PASSCODE_REMOVAL_AND_LOCK),
    "DisableLostMode": _Facts("DD----"),
    "DisableRemoteDesktop": _Facts("--D---"),
    "EnableLostMode": _Facts("DD----"),
    "EnableRemoteDesktop": _Facts("--D---"),
    "EraseDevice": _Facts("DDDDDD", _Right.DEVICE_ERASE),
    "InstallApplication": _Facts("DDBDDD", _Right.APP_INSTALLATION),
    "InstallEnterpriseApplication": _Facts("--D---", _Right.APP_INSTALLATION),
    "InstallMedia": _Facts("DDU---", _Right.APP_INSTALLATION),
    "InstallProfile": _Facts("DBBDDD", _Right.INSTALLATION_REMOVAL),
    "InstallProvisioningProfile": _Facts("DDDDDD", _Right.PROVISIONING_INSTALLATION_REMOVAL),
    "InstalledApplicationList": _Facts("DDBDDD", _Right.QUERY_APPLICATIONS),
    "InviteToProgram": _Facts("DUU---", _Right.APP_INSTALLATION),
    "LOMDeviceRequest": _Facts("--D---", _Right.PASSCODE_REMOVAL_AND_LOCK),
    "LOMSetupRequest": _Facts("--D---", _Right.PASSCODE_REMOVAL_AND_LOCK),
    "LogOutUser": _Facts("-D----"),
    "ManagedApplicationAttributes": _Facts("DD-DDD", _Right.APP_INSTALLATION),
    "ManagedApplicationConfiguration": _Facts("DDDDDD", _Right.APP_INSTALLATION),
    "ManagedApplicationFeedback": _Facts("DDUDD-", _Right.APP_INSTALLATION),
    "ManagedApplicationList": _Facts("DDBDDD", _Right.APP_INSTALLATION),
    "ManagedMediaList": _Facts("DD----", _Right.APP_INSTALLATION),
    "NSExtensionMappings": _Facts("--U---", _Right.QUERY_APPLICATIONS),
    "OSUpdateStatus": _Facts("DDDD--", _Right.APP_INSTALLATION),
    "PlayLostModeSound": _Facts("DD----"),
    "ProfileList": _Facts("DBBDDD", _Right.INSPECTION),
    "ProvisioningProfileList": _Facts("DDDDDD", _Right.PROVISIONING_INSPECTION),
    "RefreshCellularPlans": _Facts("DD----"),
    "RemoveApplication": _Facts("DDDDDD", _Right.APP_INSTALLATION),
    "RemoveMedia": _Facts("DD----", _Right.APP_INSTALLATION),
    "RemoveProfile": _Facts("DBBDDD", _Right.INSTALLATION_REMOVAL),
    "RemoveProvisioningProfile": _Facts("DDDDDD", _Right.PROVISIONING_INSTALLATION_REMOVAL),
    "RequestMirroring": _Facts("DDD---"),
    "RequestUnlockToken": _Facts("D-----"),
    "RestartDevice": _Facts("DDDD--", _Right.PASSCODE_REMOVAL_AND_LOCK),
    "Restrictions": _Facts("DB-DDD", _Right.QUERY_RESTRICTIONS),
    "RotateFileVaultKey": _Facts("--D---", _Right.PASSCODE_REMOVAL_AND_LOCK),
    "ScheduleOSUpdate": _Facts("DDDD--", _Right.APP_INSTALLATION),
    "ScheduleOSUpdateScan": _Facts("--D---"),
    "SecurityInfo": _Facts("DDBDDD", _Right.QUERY_SECURITY),
    "SetAutoAdminPassword": _Facts("--D---"),
    "SetFirmwarePassword": _Facts("--D---", _Right.PASSCODE_REMOVAL_AND_LOCK),
    "SetRecoveryLock": _Facts("--D---", _Right.PASSCODE_REMOVAL_AND_LOCK),
    "Settings": _Facts("DBBDDD", _Right.SETTINGS),
    "ShutDownDevice": _Facts("DDD---", _Right.PASSCODE_REMOVAL_AND_LOCK),
    "StopMirroring": _Facts("DDD---"),
    "UnlockUserAccount": _Facts("--D---", _Right.PASSCODE_REMOVAL_AND_LOCK),
    "UserConfigured": _Facts("DU----"),
    "UserList": _Facts("-DD---"),
    "ValidateApplications": _Facts("DD-DD-", _Right.APP_INSTALLATION),
    "VerifyFirmwarePassword": _Facts("--D---"),
    "VerifyRecoveryLock": _Facts("--D---", _Right.PASSCODE_REMOVAL_AND_LOCK),
}
