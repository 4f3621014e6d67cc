"""Who manages a device: what it takes from its enrollment profile, and what it lets a later one change."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from certs import CertificateError
from mdmserver.protocol import ProtocolError, loads
from mdmserver.simulator.conversation import ServerAddress
from mdmserver.simulator.errors import ProfileRefused
from profiles import Enrollment, PayloadType, ProfileError, enrollment_of, read_signed_profile, refused_changes


@dataclass(frozen=True, slots=True, kw_only=True)
class Management:
    """An enrollment profile as it is installed: `profile` is its plist without the challenge, which is for one use."""

    profile: Mapping[str, Any]
    enrollment: Enrollment

    @property
    def server(self) -> ServerAddress:
        """Where the device's messages go."""
        mdm = self.enrollment.mdm
        return ServerAddress(command_url=mdm.server_url, checkin_url=mdm.check_in_url)


def management_of(profile: Mapping[str, Any]) -> Management:
    """The management that the plist of a profile brings. Raises ProfileRefused."""
    try:
        return Management(profile=_without_challenge(profile), enrollment=enrollment_of(profile))
    except ProfileError as error:
        raise ProfileRefused(f"the enrollment profile cannot be installed: {error}") from error


def downloaded_management(content: bytes) -> Management:
    """The management that a downloaded profile brings, its signature checked. Raises ProfileRefused."""
    try:
        profile = loads(read_signed_profile(content)[0])
    except CertificateError as error:
        raise ProfileRefused(f"the enrollment profile is not rightly signed: {error}") from error
    except ProtocolError as error:
        raise ProfileRefused(f"the enrollment profile is no plist: {error}") from error
    return management_of(profile)


def brings_management(profile: Mapping[str, Any]) -> bool:
    """Whether a profile has an MDM payload."""
    return any(payload.get("PayloadType") == PayloadType.MDM for payload in _payloads(profile))


def check_renewal(installed: Management | None, update: Management) -> None:
    """Raises ProfileRefused unless a device that is managed by `installed` takes the update."""
    if installed is None:
        raise ProfileRefused("this device's management did not come from a profile")
    if installed.enrollment.profile_identifier != update.enrollment.profile_identifier:
        raise ProfileRefused("the device is managed by another profile")
    if changed := refused_changes(installed.enrollment.mdm, update.enrollment.mdm):
        raise ProfileRefused(f"the new profile must not change {', '.join(changed)}")


def _without_challenge(profile: Mapping[str, Any]) -> dict[str, Any]:
    payloads = [_bare(payload) if payload.get("PayloadType") == PayloadType.SCEP else payload
                for payload in _payloads(profile)]  # fmt: skip
    return {**profile, "PayloadContent": payloads}


def _bare(payload: Mapping[str, Any]) -> dict[str, Any]:
    content = payload.get("PayloadContent")
    kept = {key: value for key, value in content.items() if key != "Challenge"} if isinstance(content, dict) else {}
    return {**payload, "PayloadContent": kept}


def _payloads(profile: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    content = profile.get("PayloadContent")
    return [payload for payload in content if isinstance(payload, dict)] if isinstance(content, list) else []
