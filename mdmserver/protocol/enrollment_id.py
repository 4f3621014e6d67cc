"""Whose message it is: typed ids of device and user channels (protocol.md 1.1, compatibility.md 5).

Two enrollments are the same only if type, device part and user part are equal, exactly as the device sent them.
Three written forms exist:

- `str(id)`, for the outside: `UDID`, `UDID:UserID`, `EnrollmentID` …, as other MDM tools write it. Ambiguous.
- `id.key`, for storage: the same text for the types Device and User. The other three carry a prefix that ends in `/`
  (`ue/`, `ueuser/`, `ipad/`). A device part holds neither `:` nor `/`, so different ids have different keys.
- `parse_external(text)` goes back: every id that a person may have meant, the likeliest first.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mdmserver.protocol.errors import MessageMalformed

SHARED_IPAD_USER_ID = "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"
LONGEST_USER_PART = 255

_DEVICE_PART = re.compile(r"[A-Za-z0-9-]{1,128}")
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class EnrollmentType(StrEnum):
    """The five kinds of channel; the values are those that webhooks and forwarding headers carry."""

    DEVICE = "Device"
    USER = "User"
    USER_ENROLLMENT_DEVICE = "User Enrollment (Device)"
    USER_ENROLLMENT = "User Enrollment"
    SHARED_IPAD = "Shared iPad"


_PARENT_TYPES = {
    EnrollmentType.USER: EnrollmentType.DEVICE,
    EnrollmentType.SHARED_IPAD: EnrollmentType.DEVICE,
    EnrollmentType.USER_ENROLLMENT: EnrollmentType.USER_ENROLLMENT_DEVICE,
}
_KEY_PREFIXES = {
    EnrollmentType.DEVICE: "",
    EnrollmentType.USER: "",
    EnrollmentType.SHARED_IPAD: "ipad/",
    EnrollmentType.USER_ENROLLMENT_DEVICE: "ue/",
    EnrollmentType.USER_ENROLLMENT: "ueuser/",
}


@dataclass(frozen=True, slots=True, order=True)
class EnrollmentID:
    """One channel of one device; `user` is None exactly for device channels. Raises MessageMalformed for
    parts that no device may send."""

    type: EnrollmentType
    device: str
    user: str | None = None

    def __post_init__(self) -> None:
        if not _DEVICE_PART.fullmatch(self.device):
            raise MessageMalformed("the device's id is not 1 to 128 letters, digits and hyphens")
        if (self.user is not None) != self.is_user_channel:
            raise MessageMalformed(f"an enrollment of type {self.type} has the wrong parts")
        if self.user is not None and not _is_user_part(self.user):
            raise MessageMalformed("the user's id is not 1 to 255 characters without control characters")

    @property
    def is_user_channel(self) -> bool:
        """Whether this is the channel of a user, with its own queue and push token."""
        return self.type in _PARENT_TYPES

    @property
    def parent(self) -> "EnrollmentID":
        """The device channel, to which the identity certificate belongs; itself for a device channel."""
        if not self.is_user_channel:
            return self
        return EnrollmentID(_PARENT_TYPES[self.type], self.device)

    @property
    def key(self) -> str:
        """The storage form; distinct ids have distinct keys."""
        return _KEY_PREFIXES[self.type] + str(self)

    @classmethod
    def from_key(cls, key: str) -> "EnrollmentID":
        """The id with that key; MessageMalformed for what is no key."""
        prefix, slash, device = key.partition(":")[0].rpartition("/")
        user = key.partition(":")[2] if ":" in key else None
        for enrollment_type, own_prefix in _KEY_PREFIXES.items():
            is_user_channel = enrollment_type in _PARENT_TYPES
            if own_prefix == prefix + slash and is_user_channel == (user is not None):
                return cls(enrollment_type, device, user)
        raise MessageMalformed("this is no key of an enrollment")

    def __str__(self) -> str:
        return self.device if self.user is None else f"{self.device}:{self.user}"


def parse_external(text: str) -> tuple[EnrollmentID, ...]:
    """Every id that is written as `text` in the external form or as a key; empty if nothing is."""
    device, colon, user = text.partition(":")
    kinds = [kind for kind in EnrollmentType if (kind in _PARENT_TYPES) == bool(colon)]
    try:
        return tuple(EnrollmentID(kind, device, user if colon else None) for kind in kinds)
    except MessageMalformed:
        pass
    try:
        return (EnrollmentID.from_key(text),)
    except MessageMalformed:
        return ()


def enrollment_id_of(plist: Mapping[str, Any]) -> EnrollmentID:
    """The channel that a message names; UDID wins over EnrollmentID, an empty string counts as absent.

    Raises MessageMalformed where no id, or one that breaks the grammar, is given."""
    if udid := _text(plist, "UDID"):
        user_id = _text(plist, "UserID")
        if not user_id:
            return EnrollmentID(EnrollmentType.DEVICE, udid)
        if user_id != SHARED_IPAD_USER_ID:
            return EnrollmentID(EnrollmentType.USER, udid, user_id)
        # Every user of a Shared iPad has the same UserID; the Managed Apple Account tells them apart.
        return EnrollmentID(EnrollmentType.SHARED_IPAD, udid, _text(plist, "UserShortName"))
    enrollment = _text(plist, "EnrollmentID")
    if not enrollment:
        raise MessageMalformed("the message has neither UDID nor EnrollmentID")
    if user := _text(plist, "EnrollmentUserID"):
        return EnrollmentID(EnrollmentType.USER_ENROLLMENT, enrollment, user)
    if _text(plist, "UserID"):
        # No device sends this; taking it for the device channel would let a user replace the device's token.
        raise MessageMalformed("EnrollmentID with UserID instead of EnrollmentUserID")
    return EnrollmentID(EnrollmentType.USER_ENROLLMENT_DEVICE, enrollment)


def identity_keys(enrollment_id: EnrollmentID) -> dict[str, str]:
    """The keys by which a device of this id names itself; `enrollment_id_of` reads them back."""
    device, user = enrollment_id.device, enrollment_id.user or ""
    match enrollment_id.type:
        case EnrollmentType.DEVICE:
            return {"UDID": device}
        case EnrollmentType.USER:
            return {"UDID": device, "UserID": user}
        case EnrollmentType.SHARED_IPAD:
            return {"UDID": device, "UserID": SHARED_IPAD_USER_ID, "UserShortName": user}
        case EnrollmentType.USER_ENROLLMENT_DEVICE:
            return {"EnrollmentID": device}
        case EnrollmentType.USER_ENROLLMENT:
            return {"EnrollmentID": device, "EnrollmentUserID": user}


def _text(plist: Mapping[str, Any], key: str) -> str:
    value = plist.get(key, "")
    if not isinstance(value, str):
        raise MessageMalformed(f"{key} is not a string")
    return value


def _is_user_part(user: str) -> bool:
    return 1 <= len(user) <= LONGEST_USER_PART and not _CONTROL_CHARACTER.search(user)
