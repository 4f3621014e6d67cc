"""The commands that change what is installed on a simulated device, and those that read it back."""

from collections.abc import Mapping
from typing import Any

from mdmserver.protocol import ErrorItem
from mdmserver.simulator.installed import ProfileUnreadable
from mdmserver.simulator.task import DONE, Answer, Task, error


def install_profile(task: Task) -> Answer:
    """Install or replace a profile, plain or signed."""
    try:
        task.installed.install_profile(task.command["Payload"])
    except ProfileUnreadable as unreadable:
        cause = ErrorItem(code=1000, domain="MCProfileErrorDomain", localized_description=str(unreadable))
        return error("MCInstallationErrorDomain", 4001, "Profile Installation Failed", cause)
    return DONE


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
