"""The state in which a simulated device is woken, and which commands it then puts off with NotNow.

A locked iPhone or iPad cannot change what its passcode protects; a Mac in Power Nap does little but lock and erase;
a Mac whose keychain is locked cannot take profiles for its user. Apple TVs have no passcode.
"""

from dataclasses import dataclass
from random import Random

from mdmserver.simulator.facts import Platform

_LOCKED = frozenset({"InstallProfile", "InstallProvisioningProfile", "SecurityInfo"})
_LOCKED_SOMETIMES = frozenset({"CertificateList", "InstallApplication", "ManagedMediaList"})
_LOCKED_KEYCHAIN = frozenset({"InstallProfile", "RemoveProfile"})
_IN_POWER_NAP = frozenset(
    {
        "ActivationLockBypassCode",
        "ClearActivationLockBypassCode",
        "DeleteUser",
        "DeviceLock",
        "EraseDevice",
        "RestartDevice",
        "ShutDownDevice",
        "UnlockUserAccount",
        "UserList",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """`is_locked` on a Mac means the user's keychain; Power Nap is for Macs alone."""

    is_reachable: bool = True
    is_locked: bool = False
    is_in_power_nap: bool = False

    def puts_off(self, request_type: str, *, platform: Platform, is_user_channel: bool, random: Random) -> bool:
        """Whether the device answers NotNow to this command."""
        match platform:
            case Platform.MAC if self.is_in_power_nap:
                return request_type not in _IN_POWER_NAP
            case Platform.MAC:
                return self.is_locked and is_user_channel and request_type in _LOCKED_KEYCHAIN
            case Platform.IPHONE | Platform.IPAD if self.is_locked:
                return request_type in _LOCKED or (request_type in _LOCKED_SOMETIMES and random.random() < 0.5)
            case _:
                return False
