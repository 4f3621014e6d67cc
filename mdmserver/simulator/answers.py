"""What a simulated device does with a command and says about it. When it says so is `device`'s business.

One table of RequestTypes: where each exists, what it cannot do without, and the function that carries it out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from certs import load_device_certificate
from mdmserver.simulator.facts import Platform
from mdmserver.simulator.installed import application_list
from mdmserver.simulator.installing import install_profile, install_provisioning_profile, remove_profile
from mdmserver.simulator.managing_apps import (
    install_application,
    install_enterprise_application,
    managed_application_attributes,
    managed_application_configuration,
    managed_application_feedback,
    managed_application_list,
    remove_application,
    settings,
)
from mdmserver.simulator.queries import device_information, security_info, user_list
from mdmserver.simulator.task import DONE, FORMAT_ERROR, Answer, Task, error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    carry_out: Callable[[Task], Answer]
    platforms: frozenset[Platform] = frozenset(Platform)
    on_user_channel: bool = False
    on_device_channel_of: frozenset[Platform] = frozenset(Platform)
    needs: Mapping[str, type] = field(default_factory=dict)


def answer(task: Task) -> Answer:
    """Carry the command out."""
    kind = _KINDS.get(task.request_type)
    if kind is None or not _takes(kind, task):
        return _unknown(task)
    for key, expected in kind.needs.items():
        if not isinstance(task.command.get(key), expected):
            return _incomplete(task, key)
    return kind.carry_out(task)


def _takes(kind: _Kind, task: Task) -> bool:
    platform = task.facts.platform
    if task.is_user_channel:
        return platform in kind.platforms and kind.on_user_channel
    return platform in kind.platforms & kind.on_device_channel_of


def _unknown(task: Task) -> Answer:
    if task.facts.platform is Platform.MAC:
        return error("MCMDMErrorDomain", 12021, f"Unknown command: {task.request_type} <MDMClientError:91>")
    return error("MCMDMErrorDomain", 12021, f"“{task.request_type}” is not a valid request type.")


def _incomplete(task: Task, key: str) -> Answer:
    if task.facts.platform is Platform.MAC:
        text = f"No '{key}' in '{task.request_type}' command <MDMClientError:97>"
        return error("MDMClientError", 97, text)
    return FORMAT_ERROR


def _done(task: Task) -> Answer:
    return DONE


def _device_information(task: Task) -> Answer:
    queries = task.command.get("Queries")
    answers = device_information(task.facts, queries if isinstance(queries, list) else None)
    return Answer(response={"QueryResponses": answers})


def _security_info(task: Task) -> Answer:
    return Answer(response={"SecurityInfo": security_info(task.facts)})


def _profile_list(task: Task) -> Answer:
    return Answer(response={"ProfileList": task.installed.profile_list()})


def _certificate_list(task: Task) -> Answer:
    certificate = load_device_certificate(task.certificate_der)
    name = certificate.subject.removeprefix("CN=")
    item = {"CommonName": name, "IsIdentity": True, "Data": task.certificate_der}
    return Answer(response={"CertificateList": [item]})


def _installed_application_list(task: Task) -> Answer:
    large = task.has_many_applications and task.facts.platform is Platform.MAC
    return Answer(response={"InstalledApplicationList": application_list(task.random, large=large)})


def _provisioning_profile_list(task: Task) -> Answer:
    return Answer(response={"ProvisioningProfileList": []})


def _restrictions(task: Task) -> Answer:
    return Answer(response={"GlobalRestrictions": {"restrictedBool": {}, "restrictedValue": {}}})


def _user_list(task: Task) -> Answer:
    return Answer(response={"Users": user_list(task.facts)})


def _available_updates(task: Task) -> Answer:
    return Answer(response={"AvailableOSUpdates": []})


def _update_status(task: Task) -> Answer:
    return Answer(response={"OSUpdateStatus": []})


def _locked(task: Task) -> Answer:
    return Answer(response={"MessageResult": "Success"} if "Message" in task.command else {})


_PHONES = frozenset({Platform.IPHONE, Platform.IPAD})
_MACS = frozenset({Platform.MAC})
_NO_TVS = _PHONES | _MACS
_NOT_MACS = frozenset(Platform) - _MACS

_KINDS: dict[str, _Kind] = {
    "AccountConfiguration": _Kind(carry_out=_done, platforms=_MACS),
    "AvailableOSUpdates": _Kind(carry_out=_available_updates),
    "CertificateList": _Kind(carry_out=_certificate_list, on_user_channel=True),
    "ClearPasscode": _Kind(carry_out=_done, platforms=_PHONES, needs={"UnlockToken": bytes}),
    "DeclarativeManagement": _Kind(carry_out=_done, on_user_channel=True),
    "DeviceConfigured": _Kind(carry_out=_done),
    "DeviceInformation": _Kind(carry_out=_device_information, on_user_channel=True),
    "DeviceLock": _Kind(carry_out=_locked, platforms=_NO_TVS),
    "EraseDevice": _Kind(carry_out=_done),
    "InstallApplication": _Kind(carry_out=install_application, on_user_channel=True),
    "InstallEnterpriseApplication": _Kind(carry_out=install_enterprise_application, platforms=_MACS),
    "InstallProfile": _Kind(carry_out=install_profile, on_user_channel=True, needs={"Payload": bytes}),
    "InstallProvisioningProfile": _Kind(carry_out=install_provisioning_profile, needs={"ProvisioningProfile": bytes}),
    "InstalledApplicationList": _Kind(carry_out=_installed_application_list, on_user_channel=True),
    "ManagedApplicationAttributes": _Kind(
        carry_out=managed_application_attributes, platforms=_NOT_MACS, needs={"Identifiers": list}
    ),
    "ManagedApplicationConfiguration": _Kind(carry_out=managed_application_configuration, needs={"Identifiers": list}),
    "ManagedApplicationFeedback": _Kind(
        carry_out=managed_application_feedback,
        on_user_channel=True,
        on_device_channel_of=_NOT_MACS,
        needs={"Identifiers": list},
    ),
    "ManagedApplicationList": _Kind(carry_out=managed_application_list, on_user_channel=True),
    "OSUpdateStatus": _Kind(carry_out=_update_status),
    "ProfileList": _Kind(carry_out=_profile_list, on_user_channel=True),
    "ProvisioningProfileList": _Kind(carry_out=_provisioning_profile_list),
    "RemoveApplication": _Kind(carry_out=remove_application, needs={"Identifier": str}),
    "RemoveProfile": _Kind(carry_out=remove_profile, on_user_channel=True, needs={"Identifier": str}),
    "RestartDevice": _Kind(carry_out=_done),
    "Restrictions": _Kind(carry_out=_restrictions, platforms=_NOT_MACS),
    "ScheduleOSUpdateScan": _Kind(carry_out=_done, platforms=_MACS),
    "SecurityInfo": _Kind(carry_out=_security_info, on_user_channel=True),
    "Settings": _Kind(carry_out=settings, on_user_channel=True, needs={"Settings": list}),
    "ShutDownDevice": _Kind(carry_out=_done, platforms=_NO_TVS),
    "UserList": _Kind(carry_out=_user_list, platforms=_NO_TVS),
}

REQUEST_TYPES = frozenset(_KINDS)
"""What some simulated device can do."""
