"""What a device reads from an enrollment profile: the other direction of `enrollment`, for the simulator.

It takes a dictionary: bytes from elsewhere are read, within limits, by whoever has them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from profiles.errors import ProfileMalformed
from profiles.payloads.mdm import MDMPayload
from profiles.payloads.payload import PayloadType
from profiles.payloads.scep import SCEPPayload
from profiles.plist_keys import PlistKeys


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrollment:
    """What a device reads from an enrollment profile."""

    profile_identifier: str
    profile_uuid: str
    mdm: MDMPayload
    scep: SCEPPayload
    trusted_certificates: tuple[bytes, ...] = ()


def enrollment_of(plist: Mapping[str, Any]) -> Enrollment:
    """What a device does with this profile, read from its plist.

    Raises ProfileMalformed without exactly one MDM payload and the SCEP payload that it names, KeyInvalid for
    values that a device would refuse.
    """
    top = PlistKeys(plist, "Configuration")
    payloads = [item for item in top.array("PayloadContent") if isinstance(item, dict)]
    managing = [item for item in payloads if item.get("PayloadType") == PayloadType.MDM]
    if len(managing) != 1:
        raise ProfileMalformed("PayloadContent", f"{len(managing)} payloads of the type {PayloadType.MDM}, not one")
    mdm = MDMPayload.read(managing[0])
    identities = [item for item in payloads if item.get("PayloadUUID") == mdm.identity_certificate_uuid]
    if len(identities) != 1 or identities[0].get("PayloadType") != PayloadType.SCEP:
        raise ProfileMalformed(
            f"{PayloadType.MDM}.IdentityCertificateUUID", "does not name one SCEP payload of this profile"
        )
    return Enrollment(
        profile_identifier=top.text("PayloadIdentifier"),
        profile_uuid=top.text("PayloadUUID"),
        mdm=mdm,
        scep=SCEPPayload.read(identities[0]),
        trusted_certificates=tuple(
            PlistKeys(item, item["PayloadType"]).data("PayloadContent")
            for item in payloads
            if item.get("PayloadType") in (PayloadType.ROOT, PayloadType.PKCS1)
        ),
    )
