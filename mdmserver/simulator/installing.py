"""The commands that install profiles on a simulated device and remove them. Apps are `managing_apps`."""

from collections.abc import Mapping
from typing import Any

from mdmserver.protocol import ErrorItem
from mdmserver.simulator.errors import ProfileRefused
from mdmserver.simulator.installed import ProfileUnreadable, read_profile
from mdmserver.simulator.management import brings_management, check_renewal, management_of
from mdmserver.simulator.preferences import payloads_of
from mdmserver.simulator.task import DONE, Answer, Task, error, installation_failed
from profiles import PayloadType


def install_profile(task: Task) -> Answer:
    """Install or replace a profile, plain or signed; the device's own enrollment profile asks for a renewal."""
    try:
        profile = read_profile(task.command["Payload"])
        if brings_management(profile):
            update = management_of(profile)
            check_renewal(task.management, update)
            return Answer(renewal=update)
        if task.is_user_enrollment and _sets_preferences(profile):
            raise ProfileRefused("managed preferences are not for devices that their users enrolled")
    except ProfileUnreadable as unreadable:
        return _not_installed("MCProfileErrorDomain", 1000, unreadable)
    except ProfileRefused as refused:
        return _not_installed("MCMDMErrorDomain", 12000, refused)
    task.installed.install_profile(profile)
    return DONE


def _sets_preferences(profile: Mapping[str, Any]) -> bool:
    return any(payload.get("PayloadType") == PayloadType.MANAGED_PREFERENCES for payload in payloads_of(profile))


def _not_installed(domain: str, code: int, why: Exception) -> Answer:
    return installation_failed(ErrorItem(code=code, domain=domain, localized_description=str(why)))


def remove_profile(task: Task) -> Answer:
    """Remove a profile that MDM installed."""
    identifier = task.command["Identifier"]
    if task.installed.profiles.pop(identifier, None) is None:
        return error("MCMDMErrorDomain", 12013, f"The profile “{identifier}” is not managed by MDM.")
    return DONE


def install_provisioning_profile(task: Task) -> Answer:
    """Keep the provisioning profile."""
    task.installed.provisioning_profiles.append(task.command["ProvisioningProfile"])
    return DONE
