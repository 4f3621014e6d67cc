"""What simulated devices answer to questions about themselves, as their platform does."""

from collections.abc import Mapping, Sequence
from typing import Any

from mdmserver.simulator.facts import DeviceFacts, Platform

_NUMBERS = frozenset({"UDID", "SerialNumber", "IMEI", "WiFiMAC", "BluetoothMAC"})
_GIGABYTES = {Platform.IPHONE: 128.0, Platform.IPAD: 256.0, Platform.MAC: 494.38, Platform.APPLE_TV: 64.0}


def device_information(facts: DeviceFacts, queries: Sequence[Any] | None) -> dict[str, Any]:
    """The QueryResponses for the keys asked for (None: all); a key that the platform does not know is left out."""
    known = _device_keys(facts)
    if facts.anonymous_id is not None:
        known = {key: value for key, value in known.items() if key not in _NUMBERS} | {
            "EnrollmentID": facts.anonymous_id
        }
    return known if queries is None else {key: known[key] for key in queries if isinstance(key, str) and key in known}


def security_info(facts: DeviceFacts) -> dict[str, Any]:
    """The SecurityInfo dictionary."""
    management = {
        "EnrolledViaDEP": False,
        "UserApprovedEnrollment": True,
        "IsUserEnrollment": facts.anonymous_id is not None,
        "IsActivationLockManageable": False,
    }
    match facts.platform:
        case Platform.MAC:
            return {
                "FDE_Enabled": True,
                "FDE_HasPersonalRecoveryKey": True,
                "FDE_HasInstitutionalRecoveryKey": False,
                "SystemIntegrityProtectionEnabled": True,
                "FirewallSettings": {"FirewallEnabled": True, "BlockAllIncoming": False, "StealthMode": False},
                "SecureBoot": {"SecureBootLevel": "full", "ExternalBootLevel": "not supported"},
                "RemoteDesktopEnabled": False,
                "ManagementStatus": management,
            }
        case Platform.IPHONE | Platform.IPAD:
            return {
                "HardwareEncryptionCaps": 3,
                "PasscodePresent": True,
                "PasscodeCompliant": True,
                "PasscodeCompliantWithProfiles": True,
                "PasscodeLockGracePeriod": 0,
                "PasscodeLockGracePeriodEnforced": 0,
                "AutoLockTime": 120,
                "ManagementStatus": management,
            }
        case Platform.APPLE_TV:
            return {"PasscodePresent": False, "PasscodeCompliant": True, "ManagementStatus": management}


def user_list(facts: DeviceFacts) -> list[Mapping[str, Any]]:
    """The Users of a UserList answer."""
    user = facts.user
    if user is None:
        return []
    return [
        {
            "UserName": user.short_name,
            "FullName": user.long_name,
            "UserGUID": user.user_id,
            "UID": 501,
            "MobileAccount": False,
            "IsLoggedIn": True,
            "HasSecureToken": True,
        }
    ]


def _device_keys(facts: DeviceFacts) -> dict[str, Any]:
    capacity = _GIGABYTES[facts.platform]
    return {
        "UDID": facts.udid,
        "SerialNumber": facts.serial_number,
        "DeviceName": facts.device_name,
        "ProductName": facts.product_name,
        "Model": facts.model,
        "ModelName": facts.model_name,
        "OSVersion": facts.os_version,
        "BuildVersion": facts.build_version,
        "DeviceCapacity": capacity,
        "AvailableDeviceCapacity": capacity * 0.6,
        "WiFiMAC": facts.wifi_mac,
        "BluetoothMAC": facts.wifi_mac[:-2] + "ff",
        "IsSupervised": False,
        "AwaitingConfiguration": False,
        **(_mac_keys(facts) if facts.platform is Platform.MAC else _mobile_keys(facts)),
    }


def _mac_keys(facts: DeviceFacts) -> dict[str, Any]:
    host = facts.device_name.replace(" ", "-")
    return {
        "HostName": f"{host}.local",
        "LocalHostName": host,
        "Languages": ["en"],
        "IsAppleSilicon": True,
        "SystemIntegrityProtectionEnabled": True,
        "ActiveManagedUsers": [facts.user.user_id] if facts.user else [],
        "AutoSetupAdminAccounts": [],
        "OSUpdateSettings": {
            "AutoCheckEnabled": True,
            "AutomaticAppInstallationEnabled": True,
            "AutomaticOSInstallationEnabled": False,
            "AutomaticSecurityUpdatesEnabled": True,
            "BackgroundDownloadEnabled": True,
            "IsDefaultCatalog": True,
            "PreviousScanResult": 0,
        },
    }


def _mobile_keys(facts: DeviceFacts) -> dict[str, Any]:
    keys: dict[str, Any] = {
        "IsMDMLostModeEnabled": False,
        "IsCloudBackupEnabled": False,
        "IsActivationLockEnabled": False,
        "IsDeviceLocatorServiceEnabled": True,
    }
    if facts.platform is not Platform.APPLE_TV:
        keys["BatteryLevel"] = 0.8
    if facts.imei is not None:
        keys |= {
            "IMEI": facts.imei,
            "CellularTechnology": 1,
            "IsRoaming": False,
            "DataRoamingEnabled": False,
            "VoiceRoamingEnabled": False,
            "SubscriberMCC": "262",
            "SubscriberMNC": "01",
        }
    return keys
