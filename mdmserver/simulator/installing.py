"""The commands that change what is installed on a simulated device, and those that read it back."""

from collections.abc import Mapping
from typing import Any

from mdmserver.protocol import ErrorItem
from mdmserver.simulator.errors import ProfileRefused
from mdmserver.simulator.installed import ProfileUnreadable, read_profile
from mdmserver.simulator.management import brings_management, check_renewal, management_of
from mdmserver.simulator.task import DONE, Answer, Task, error, installation_failed


def install_profile(task: Task) -> Answer:
    """Install or replace a profile, plain or signed; the device's own enrollment profile asks for a renewal."""
    try:
        profile = read_profile(task.command["Payload"])
        if brings_management(profile):
            update = management_of(profile)
            check_renewal(task.management, update)
            return Answer(renewal=update)
    except ProfileUnreadable as unreadable:
        return _not_installed("MCProfileErrorDomain", 1000, unreadable)
    except ProfileRefused as refused:
        return _not_installed("MCMDMErrorDomain", 12000, refused)
    task.installed.install_profile(profile)
    return DONE


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


def install_application(task: Task) -> Answer:
    """Accept the app: Acknowledged says no more than that."""
    command = task.command
    identifier = command.get("Identifier") or f"com.example.app-{command.get('iTunesStoreID', 'manifest')}"
    configuration = command.get("Configuration")
    task.installed.applications[identifier] = configuration if isinstance(configuration, dict) else None
    return Answer(response={"Identifier": identifier, "State": "Installing"})


def remove_application(task: Task) -> Answer:
    """Remove a managed app."""
    identifier = task.command["Identifier"]
    if identifier not in task.installed.applications:
        return error("MCMDMErrorDomain", 12029, f"The app “{identifier}” is not managed.")
    del task.installed.applications[identifier]
    return DONE


def managed_application_list(task: Task) -> Answer:
    """Say which apps are managed."""
    managed = {
        identifier: {
            "Status": "Managed",
            "ManagementFlags": 0,
            "HasConfiguration": configuration is not None,
            "HasFeedback": False,
            "IsValidated": True,
        }
        for identifier, configuration in task.installed.applications.items()
    }
    return Answer(response={"ManagedApplicationList": managed})


def managed_application_configuration(task: Task) -> Answer:
    """Read back the configuration of apps that have one."""
    configured = [
        {"Identifier": identifier, "Configuration": configuration}
        for identifier, configuration in task.installed.applications.items()
        if identifier in task.command["Identifiers"] and configuration is not None
    ]
    return Answer(response={"ApplicationConfigurations": configured})


def settings(task: Task) -> Answer:
    """Make settings; each has its own status."""
    items = [item for item in task.command["Settings"] if isinstance(item, dict)]
    return Answer(response={"Settings": [_set(task, item) for item in items]})


def _set(task: Task, item: Mapping[str, Any]) -> dict[str, Any]:
    name, identifier = str(item.get("Item", "")), item.get("Identifier")
    if name == "ApplicationConfiguration" and isinstance(identifier, str):
        if identifier not in task.installed.applications:
            text = f"The app “{identifier}” is not managed."
            chain = [{"ErrorDomain": "MCMDMErrorDomain", "ErrorCode": 12029, "LocalizedDescription": text}]
            return {"Item": name, "Identifier": identifier, "Status": "Error", "ErrorChain": chain}
        task.installed.applications[identifier] = item.get("Configuration")
        return {"Item": name, "Identifier": identifier, "Status": "Acknowledged"}
    return {"Item": name, "Status": "Acknowledged"}
