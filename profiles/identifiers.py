"""Stable names for profiles and payloads: the same input gives the same names for ever, on every machine.

A PayloadIdentifier is the public host in reverse and what the profile is for (`com.example.mdm.enrollment`); by it
a device knows that a profile replaces another. A PayloadUUID is a version 5 UUID (RFC 9562 §5.5), in upper case, of
the identifier and a revision, in the namespace of the deployment: it changes with the revision and only with it, so
ProfileList shows which revision a device has.
"""

import hashlib
import ipaddress
import plistlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_DNS, UUID, uuid5

from profiles.errors import KeyInvalid
from profiles.plist_values import plist_value

_IDENTIFIER = re.compile(r"[\x21-\x7e]{1,255}")
_PART = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifiers:
    """The names of one deployment; both fields must never change while a device is enrolled."""

    root: str
    namespace: UUID

    def identifier(self, *parts: str) -> str:
        """The PayloadIdentifier of what these parts name; raises KeyInvalid for what is no part of a name."""
        for part in parts:
            if not _PART.fullmatch(part):
                raise KeyInvalid("PayloadIdentifier", "a part is not letters, digits, hyphens and dots")
        return ".".join((self.root, *parts))

    def uuid(self, identifier: str, revision: str = "") -> str:
        """The PayloadUUID of this revision of what the identifier names."""
        # An identifier has no line end, so no two pairs make one name.
        return str(uuid5(self.namespace, f"{identifier}\n{revision}")).upper()


def identifiers_of(host: str) -> Identifiers:
    """The names of the deployment behind this public host; raises KeyInvalid for what is no host."""
    name = _canonical_host(host)
    return Identifiers(root=_reversed(name), namespace=uuid5(NAMESPACE_DNS, name))


def revision_of(content: Mapping[str, Any]) -> str:
    """A revision that changes exactly when the content does: the hash of its plist."""
    plain = plist_value(content, "PayloadContent")
    return hashlib.sha256(plistlib.dumps(plain, sort_keys=True)).hexdigest()


def check_identifier(identifier: str, key: str) -> None:
    """Raises KeyInvalid unless this can be a PayloadIdentifier: printable, no spaces, at most 255 characters."""
    if not _IDENTIFIER.fullmatch(identifier):
        raise KeyInvalid(key, "not 1 to 255 printable characters without spaces")


def check_uuid(uuid: str, key: str) -> None:
    """Raises KeyInvalid unless this is a UUID in groups of 8-4-4-4-12 hexadecimal digits."""
    if not _UUID.fullmatch(uuid):
        raise KeyInvalid(key, "not a UUID")


def _canonical_host(host: str) -> str:
    try:
        return ipaddress.ip_address(host.strip("[]")).compressed
    except ValueError:
        pass
    try:
        name = host.encode("idna").decode("ascii").lower().removesuffix(".")
    except UnicodeError as error:
        raise KeyInvalid("PayloadIdentifier", "not a host name") from error
    if not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise KeyInvalid("PayloadIdentifier", "not a host name")
    return name


def _reversed(name: str) -> str:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return ".".join(reversed(name.split(".")))
    return "ip-" + re.sub("[.:]", "-", name)
