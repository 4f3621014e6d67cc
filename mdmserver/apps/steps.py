"""Which command brings a target nearer to what is wanted. Pure: from the target, its app's presence and the device."""

from collections.abc import Mapping
from typing import Any

from mdmserver.apps.model import App
from mdmserver.assignments.model import Device, Platform, SettingKind, Step, Target, TargetState


def step_of(target: Target, *, presence: Target | None) -> Step | None:
    """The next command, or None while there is nothing that this server can do.

    `presence` is the target of the app itself on the same device; None where the app is none of our business.
    """
    match target.kind:
        case SettingKind.APP:
            return _app_step(target)
        case SettingKind.PROFILE:
            return _profile_step(target)
        case SettingKind.CONFIGURATION:
            if presence is not None and not (presence.is_wanted and presence.state.is_there):
                return None  # The app is to come first, or takes this with it: then it is looked at again.
            return _configuration_step(target) if target.is_wanted else Step.UNCONFIGURE


def _app_step(target: Target) -> Step:
    if not target.is_wanted:
        return Step.REMOVE_APP
    match target.state:
        case TargetState.ACKNOWLEDGED | TargetState.VERIFIED | TargetState.NOT_VERIFIABLE:
            return Step.LIST_APPS
        case _:
            return Step.INSTALL_APP


def _configuration_step(target: Target) -> Step:
    if target.sent_revision != target.wanted_revision:
        return Step.CONFIGURE
    match target.state:
        case TargetState.DRIFTED | TargetState.FAILED | TargetState.APP_MISSING | TargetState.APP_UNMANAGED:
            return Step.CONFIGURE
        case _:
            return Step.READ_BACK


def _profile_step(target: Target) -> Step:
    if not target.is_wanted:
        return Step.REMOVE_PROFILE
    match target.state:
        case TargetState.ACKNOWLEDGED | TargetState.INSTALLED | TargetState.NOT_VERIFIABLE:
            return Step.LIST_PROFILES
        case _:
            return Step.INSTALL_PROFILE


REQUEST_TYPES = {
    Step.LIST_APPS: "ManagedApplicationList",
    Step.REMOVE_APP: "RemoveApplication",
    Step.CONFIGURE: "Settings",
    Step.UNCONFIGURE: "Settings",
    Step.READ_BACK: "ManagedApplicationConfiguration",
    Step.INSTALL_PROFILE: "InstallProfile",
    Step.LIST_PROFILES: "ProfileList",
    Step.REMOVE_PROFILE: "RemoveProfile",
}


def request_type_of(step: Step, app: App) -> str:
    """The RequestType of a step's command."""
    if step is Step.INSTALL_APP:
        return "InstallEnterpriseApplication" if _is_enterprise_on_mac(app) else "InstallApplication"
    return REQUEST_TYPES[step]


def install_payload(app: App, device: Device, configuration: Mapping[str, Any] | None) -> dict[str, Any]:
    """The command that installs an app as a managed one, or takes over one that the person installed."""
    payload: dict[str, Any] = {"RequestType": request_type_of(Step.INSTALL_APP, app)}
    if app.app_store_id is not None:
        payload["iTunesStoreID"] = app.app_store_id
    elif app.manifest_url is not None:
        payload["ManifestURL"] = app.manifest_url
    else:
        payload["Identifier"] = app.bundle_id
    if device.platform is Platform.MACOS:
        payload["InstallAsManaged"] = True
    if not device.is_user_enrollment:
        # The device refuses the whole command in a user enrollment: there a person's own app stays the person's.
        payload["ChangeManagementState"] = "Managed"
        if device.platform is not Platform.MACOS:
            payload["ManagementFlags"] = 1
    if configuration is not None:
        payload["Configuration"] = dict(configuration)
    return payload


def configure_payload(identifier: str, configuration: Mapping[str, Any] | None) -> dict[str, Any]:
    """The command that replaces an app's configuration as a whole; None removes it."""
    item: dict[str, Any] = {"Item": "ApplicationConfiguration", "Identifier": identifier}
    if configuration is not None:
        item["Configuration"] = dict(configuration)
    return {"RequestType": "Settings", "Settings": [item]}


def plain_payload(step: Step, identifier: str, *, profile_identifier: str) -> dict[str, Any]:
    """The commands that hold nothing of a configuration."""
    match step:
        case Step.LIST_APPS | Step.READ_BACK:
            return {"RequestType": REQUEST_TYPES[step], "Identifiers": [identifier]}
        case Step.REMOVE_APP:
            return {"RequestType": "RemoveApplication", "Identifier": identifier}
        case Step.REMOVE_PROFILE:
            return {"RequestType": "RemoveProfile", "Identifier": profile_identifier}
        case Step.LIST_PROFILES:
            return {"RequestType": "ProfileList", "ManagedOnly": True}
        case _:
            raise ValueError(f"{step} holds a configuration")


def _is_enterprise_on_mac(app: App) -> bool:
    return app.manifest_url is not None and app.app_store_id is None and app.platforms == {Platform.MACOS}
