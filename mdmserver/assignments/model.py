"""What should be on which device, and how that stands: a row per device and setting, its state a stored fact.

    intended → acknowledged → verified (or installed, or not_verifiable)
    verified → drifted → intended …

Acknowledged means that the device took the command; verified that its own read-back equals what is wanted. Both belong
to one life of the enrollment: a new life sets every target back to intended.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType

from mdmserver.commands.model import CommandRow
from mdmserver.devices.model import EnrollmentRow
from mdmserver.errors import Invalid
from mdmserver.protocol import EnrollmentID, EnrollmentType

TargetRow = NewType("TargetRow", int)
AppRow = NewType("AppRow", int)
RevisionRow = NewType("RevisionRow", int)

VERIFIED_AGAIN_AFTER = timedelta(days=7)
RETRY_AFTER = (timedelta(minutes=15), timedelta(hours=1), timedelta(hours=4), timedelta(days=1))
LONGEST_NAME = 64


class ScopeKind(StrEnum):
    """For whom something is meant, the most particular last: a device's own outweighs a group's, that a tag's."""

    ALL = "all"
    TAG = "tag"
    GROUP = "group"
    DEVICE = "device"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Everyone, those with a tag, those in a group, or one device (`value` is then its enrollment's key)."""

    kind: ScopeKind
    value: str = ""

    def __str__(self) -> str:
        return self.kind.value if self.kind is ScopeKind.ALL else f"{self.kind.value}:{self.value}"

    @property
    def rank(self) -> int:
        """How particular it is."""
        return list(ScopeKind).index(self.kind)

    def takes_in(self, device: "Device") -> bool:
        """Whether the device is meant."""
        match self.kind:
            case ScopeKind.ALL:
                return True
            case ScopeKind.TAG:
                return self.value in device.tags
            case ScopeKind.GROUP:
                return self.value in device.groups
            case ScopeKind.DEVICE:
                return self.value == device.id.key


def checked_name(name: str) -> str:
    """The name of a tag or group, if it can be one. Raises Invalid."""
    if not (0 < len(name) <= LONGEST_NAME and name.isprintable() and name == name.strip() and "," not in name):
        raise Invalid(
            f"a tag or group has 1 to {LONGEST_NAME} printable characters, without commas or spaces at its ends",
            code="invalid_name",
        )
    return name


class Platform(StrEnum):
    """What kind of device it is, as far as apps and settings reach it by other ways."""

    IOS = "ios"
    MACOS = "macos"
    TVOS = "tvos"
    VISIONOS = "visionos"


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device as assignments see it. `platform` is None while the device has not said what it is."""

    row: EnrollmentRow
    id: EnrollmentID
    life: int
    enabled: bool
    platform: Platform | None
    tags: frozenset[str]
    groups: frozenset[str]

    @property
    def is_user_enrollment(self) -> bool:
        """Whether a person enrolled their own device, which lets a server do less."""
        return self.id.type is EnrollmentType.USER_ENROLLMENT_DEVICE


class SettingKind(StrEnum):
    """What a target is about."""

    APP = "app"
    """That the app is there and managed."""
    CONFIGURATION = "configuration"
    """The app's managed configuration."""
    PROFILE = "profile"
    """Managed preferences of a Mac, as a profile."""


class TargetState(StrEnum):
    """How far a target got."""

    INTENDED = "intended"
    ACKNOWLEDGED = "acknowledged"
    VERIFIED = "verified"
    INSTALLED = "installed"
    """A profile that the device lists in the wanted revision; its values cannot be read back."""
    DRIFTED = "drifted"
    APP_MISSING = "app_missing"
    APP_UNMANAGED = "app_unmanaged"
    FAILED = "failed"
    NOT_VERIFIABLE = "not_verifiable"

    @property
    def is_there(self) -> bool:
        """Whether all was done that can be."""
        return self in (TargetState.VERIFIED, TargetState.INSTALLED, TargetState.NOT_VERIFIABLE)


class Step(StrEnum):
    """The commands by which a target comes nearer to what is wanted."""

    INSTALL_APP = "install_app"
    LIST_APPS = "list_apps"
    REMOVE_APP = "remove_app"
    CONFIGURE = "configure"
    UNCONFIGURE = "unconfigure"
    READ_BACK = "read_back"
    INSTALL_PROFILE = "install_profile"
    LIST_PROFILES = "list_profiles"
    REMOVE_PROFILE = "remove_profile"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What should be on a device: a setting, for configurations and profiles in which revision."""

    kind: SettingKind
    app: AppRow
    revision: RevisionRow | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A setting on a device. `command` is the one command that is under way for it, `step` what that is to do.

    `sent_revision` is what the device took last, `observed` what it last said of the app in its own words, and
    `identifier` what it calls the app.
    """

    row: TargetRow
    enrollment: EnrollmentRow
    kind: SettingKind
    app: AppRow
    is_wanted: bool
    wanted_revision: RevisionRow | None
    state: TargetState
    state_at: datetime
    reason: str | None = None
    sent_revision: RevisionRow | None = None
    verified_at: datetime | None = None
    step: Step | None = None
    command: CommandRow | None = None
    attempts: int = 0
    next_at: datetime | None = None
    observed: str | None = None
    identifier: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What an outcome makes of a target: its state, when it is looked at next, and whether it is done with.

    `is_over`: what was to be taken away is gone. `sent` is the revision that the device now has, if that changed.
    """

    state: TargetState
    reason: str | None = None
    next_at: datetime | None = None
    attempts: int = 0
    sent: RevisionRow | None = None
    is_verified: bool = False
    observed: str | None = None
    identifier: str | None = None
    is_over: bool = False


def retry_after(attempts: int) -> timedelta:
    """How long after so many failures in a row it is tried again."""
    return RETRY_AFTER[min(max(attempts, 1), len(RETRY_AFTER)) - 1]


def platform_of(product_name: str | None, model_name: str | None, model: str | None) -> Platform | None:
    """The platform behind what a device says of itself: ProductName is `iPhone15,2`, `MacBookPro18,3`, `AppleTV6,2`."""
    for said in (product_name, model_name, model):
        name = (said or "").lower().replace(" ", "")
        if name.startswith(("iphone", "ipad", "ipod")):
            return Platform.IOS
        if name.startswith("appletv"):
            return Platform.TVOS
        if name.startswith(("realitydevice", "applevision")):
            return Platform.VISIONOS
        if "mac" in name:
            return Platform.MACOS
    return None
