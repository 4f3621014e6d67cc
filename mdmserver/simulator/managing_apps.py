"""The commands about managed apps on a simulated device, and the settings made for them. What apps become is `apps`."""

from collections.abc import Mapping
from typing import Any

from mdmserver.simulator.apps import AlreadyPrompting, AppState, ManagedApp, Order, Rejection
from mdmserver.simulator.facts import Platform
from mdmserver.simulator.known_apps import StoreApp, manifest_app, store_app
from mdmserver.simulator.task import DONE, FORMAT_ERROR, Answer, Task, error, rejected

_DOMAIN = "MCMDMErrorDomain"
_NOT_MANAGED = 12029
_REJECTED = 12024  # Apple lists no codes; 12025 has been seen with an app that was there already
_CODES = {Rejection.APP_ALREADY_INSTALLED: 12025}
_APP_OF_VOLUME_PURCHASE = 1
_WORDS = {
    Rejection.APP_ALREADY_INSTALLED: "is already installed.",
    Rejection.APP_ALREADY_QUEUED: "is already scheduled for management.",
}


def install_application(task: Task) -> Answer:
    """Begin to install an app: Acknowledged says no more than that."""
    if task.is_user_enrollment and "ChangeManagementState" in task.command:
        return error(_DOMAIN, _REJECTED, "The request is invalid.")
    app = _named(task.command)
    if app is None:
        return FORMAT_ERROR
    begun = _begin(task, app)
    match begun:
        case Rejection():
            return _rejection(task, app, begun)
        case AppState():
            return Answer(response={"Identifier": app.identifier, "State": begun.value})
        case Answer():
            return begun


def install_enterprise_application(task: Task) -> Answer:
    """The same on a Mac, by a manifest; the answer says nothing of the app."""
    installed = install_application(task)
    return installed if installed.error_chain else DONE


def remove_application(task: Task) -> Answer:
    """Remove a managed app."""
    identifier = task.command["Identifier"]
    if not task.installed.apps.remove(identifier):
        return error(_DOMAIN, _NOT_MANAGED, f"The app “{identifier}” is not managed.")
    return DONE


def managed_application_list(task: Task) -> Answer:
    """Say how managed apps stand."""
    identifiers = task.command.get("Identifiers")
    told = task.installed.apps.tell(identifiers if isinstance(identifiers, list) else None)
    return Answer(response={"ManagedApplicationList": {name: _entry(task, name, *each) for name, each in told.items()}})


def managed_application_configuration(task: Task) -> Answer:
    """Read back the configuration of apps that have one."""
    configurations = task.installed.apps.configurations
    configured = [
        {"Identifier": identifier, "Configuration": configurations[identifier]}
        for identifier in task.command["Identifiers"]
        if identifier in configurations
    ]
    return Answer(response={"ApplicationConfigurations": configured})


def managed_application_attributes(task: Task) -> Answer:
    """Read back the attributes of managed apps that have some."""
    found = [
        {"Identifier": identifier, "Attributes": app.attributes}
        for identifier, app in _managed(task)
        if app.attributes is not None
    ]
    return Answer(response={"ApplicationAttributes": found})


def managed_application_feedback(task: Task) -> Answer:
    """What managed apps wrote for the server, deleted afterwards if that is asked."""
    found = [
        {"Identifier": identifier, "Feedback": app.feedback}
        for identifier, app in _managed(task)
        if app.feedback is not None
    ]
    if task.command.get("DeleteFeedback") is True:
        for _, app in _managed(task):
            app.feedback = None
    return Answer(response={"ManagedApplicationFeedback": found})


def settings(task: Task) -> Answer:
    """Make settings; each has its own status."""
    items = [item for item in task.command["Settings"] if isinstance(item, dict)]
    return Answer(response={"Settings": [_set(task, item) for item in items]})


def _named(command: Mapping[str, Any]) -> StoreApp | None:
    match command:
        case {"iTunesStoreID": int(number)}:
            return store_app(number)
        case {"ManifestURL": str(url)}:
            return manifest_app(url)
        case {"Manifest": {"items": [{"metadata": {"bundle-identifier": str(identifier)}}, *_]}}:
            return StoreApp(identifier=identifier)
        case {"Identifier": str(identifier)} if identifier:
            return StoreApp(identifier=identifier)
    return None


def _begin(task: Task, app: StoreApp) -> AppState | Rejection | Answer:
    command, is_mac = task.command, task.facts.platform is Platform.MAC
    if task.facts.platform not in app.platforms:
        return Rejection.NOT_SUPPORTED
    if task.is_user_enrollment and "iTunesStoreID" in command and not _is_licensed(command):
        return Rejection.PURCHASE_METHOD_NOT_SUPPORTED
    if is_mac and command.get("InstallAsManaged") is not True:
        task.installed.apps.install_unmanaged(app.identifier)
        return AppState.INSTALLING
    order = Order(
        asks_person=task.facts.platform in (Platform.IPHONE, Platform.IPAD) and not _is_licensed(command),
        takes_over=command.get("ChangeManagementState") == "Managed",
        flags=command.get("ManagementFlags", 0),
        configuration=_dictionary(command.get("Configuration")),
        attributes=None if is_mac else _dictionary(command.get("Attributes")),
    )
    try:
        return task.installed.apps.install(app.identifier, order, task.random)
    except AlreadyPrompting:
        return error("DeviceManagement.error", 1407, "The user is already being prompted.")


def _is_licensed(command: Mapping[str, Any]) -> bool:
    options = command.get("Options")
    return isinstance(options, dict) and options.get("PurchaseMethod") == _APP_OF_VOLUME_PURCHASE


def _rejection(task: Task, app: StoreApp, why: Rejection) -> Answer:
    number = task.command.get("iTunesStoreID")
    name = f"with iTunes Store ID {number}" if number is not None else f"“{app.identifier}”"
    text = f"The app {name} {_WORDS.get(why, 'cannot be installed.')}"
    reason = Rejection.OTHER if task.facts.platform is Platform.MAC else why  # Macs never say more
    return rejected(_DOMAIN, _CODES.get(why, _REJECTED), text, {"RejectionReason": reason.value})


def _entry(task: Task, identifier: str, state: AppState, app: ManagedApp) -> dict[str, Any]:
    entry = {
        "Status": state.value,
        "ManagementFlags": app.flags,
        "HasConfiguration": identifier in task.installed.apps.configurations,
    }
    if task.facts.platform is Platform.MAC:
        return entry
    return {**entry, "HasFeedback": app.feedback is not None, "IsValidated": state is AppState.MANAGED}


def _managed(task: Task) -> list[tuple[str, ManagedApp]]:
    apps = task.installed.apps.managed
    return [(name, apps[name]) for name in task.command["Identifiers"] if name in apps]


def _set(task: Task, item: Mapping[str, Any]) -> dict[str, Any]:
    name, identifier = str(item.get("Item", "")), item.get("Identifier")
    if not (name in ("ApplicationConfiguration", "ApplicationAttributes") and isinstance(identifier, str)):
        return {"Item": name, "Status": "Acknowledged"}
    apps, is_mac = task.installed.apps, task.facts.platform is Platform.MAC
    if name == "ApplicationAttributes" and apps.is_managed(identifier) and not is_mac:
        apps.managed[identifier].attributes = _dictionary(item.get("Attributes"))
    # A Mac takes a configuration for any app (Apple's managed.application.configuration).
    elif name == "ApplicationConfiguration" and (is_mac or apps.is_managed(identifier)):
        apps.configure(identifier, _dictionary(item.get("Configuration")))
    else:
        text = f"The app “{identifier}” is not managed."
        chain = [{"ErrorDomain": _DOMAIN, "ErrorCode": _NOT_MANAGED, "LocalizedDescription": text}]
        return {"Item": name, "Identifier": identifier, "Status": "Error", "ErrorChain": chain}
    return {"Item": name, "Identifier": identifier, "Status": "Acknowledged"}


def _dictionary(value: Any) -> Mapping[str, Any] | None:
    return value if isinstance(value, dict) else None
