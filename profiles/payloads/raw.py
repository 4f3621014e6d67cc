"""A payload of any other type, from the keys as Apple's schema has them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from profiles.errors import KeyInvalid, PayloadRefused
from profiles.payloads.payload import COMMON_KEYS, Payload, PayloadType
from profiles.plist_values import plist_value


@dataclass(frozen=True, slots=True, kw_only=True)
class RawPayload(Payload):
    """Any keys with any values that a plist can hold, copied when it is made; what they mean is not checked.

    Raises PayloadRefused for an identity with its private key (S16), KeyInvalid for the keys that every payload
    has and for MDM, whose faults strand devices: it has a record of its own.
    """

    content: Mapping[str, Any] = field(repr=False)

    def check(self) -> None:
        """Raises as the class says."""
        if self.type == PayloadType.PKCS12:
            raise PayloadRefused("PayloadType", "an identity with its private key is put into no profile")
        if self.type == PayloadType.MDM:
            raise KeyInvalid("PayloadType", f"{PayloadType.MDM} is made as an MDMPayload alone")
        if taken := COMMON_KEYS & self.content.keys():
            raise KeyInvalid(min(taken), "set by the payload itself, not by its content")
        object.__setattr__(self, "content", plist_value(self.content, self.type))

    def settings(self) -> Mapping[str, Any]:
        """The content."""
        return self.content
