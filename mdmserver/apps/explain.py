"""Why a setting is not on a device yet, in words a person can act on. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from mdmserver.apps.model import App
from mdmserver.assignments.model import Device, SettingKind, Step, Target, TargetState
from mdmserver.commands.explain import Explanation

_DOING = {
    Step.INSTALL_APP: "the installation of the app",
    Step.LIST_APPS: "a look at the managed apps",
    Step.REMOVE_APP: "the removal of the app",
    Step.CONFIGURE: "the configuration",
    Step.UNCONFIGURE: "the removal of the configuration",
    Step.READ_BACK: "the read-back of the configuration",
    Step.INSTALL_PROFILE: "the profile",
    Step.LIST_PROFILES: "a look at the installed profiles",
    Step.REMOVE_PROFILE: "the removal of the profile",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class UnderWay:
    """The command that is under way for a target, and why it is where it is."""

    command_uuid: str
    was_sent: bool
    explanation: Explanation


class Progress(StrEnum):
    """Where a target stands, in the words that a summary needs."""

    VERIFIED = "verified"
    INSTALLED = "installed"
    NOT_VERIFIABLE = "not_verifiable"
    SENT = "sent"
    WAITING = "waiting"
    FAILED = "failed"


def progress_of(target: Target, under_way: UnderWay | None) -> Progress:
    """The word for a target."""
    was_sent = under_way is not None and under_way.was_sent
    return progress_word(target.state, has_command=target.command is not None, was_sent=was_sent)


def progress_word(state: TargetState, *, has_command: bool, was_sent: bool) -> Progress:
    """The word for a state, and for the command that is under way."""
    if state.is_there:
        return Progress(state.value)
    if state is TargetState.FAILED and not has_command:
        return Progress.FAILED
    return Progress.SENT if was_sent or state is TargetState.ACKNOWLEDGED else Progress.WAITING


def explain_target(target: Target, app: App, device: Device | None, under_way: UnderWay | None) -> Explanation:
    """What a target waits for, or how it stands."""
    if device is None or not device.enabled:
        return Explanation(code="not_enrolled", text="the device is not enrolled now")
    if target.state.is_there and target.is_wanted and target.command is None:
        return Explanation(code=target.state.value, text=_there(target))
    if under_way is not None and target.step is not None:
        because = f" (before: {target.reason})" if target.reason else ""
        return Explanation(
            code=under_way.explanation.code, text=f"{_DOING[target.step]}: {under_way.explanation.text}{because}"
        )
    text = target.reason or _WAITING.get(target.state, "it is the device's turn next")
    if target.next_at is not None:
        text += f"; next try {_time(target.next_at)}"
    return Explanation(code=target.state.value, text=text)


def explain_absence(app: App, device: Device, *, is_meant: bool, has_configuration: bool) -> Explanation:
    """Why there is no target at all."""
    if device.platform is None:
        return Explanation(code="platform_unknown", text="the device has not said what kind of device it is")
    if not is_meant:
        return Explanation(code="not_assigned", text=f"{app.name} is not assigned to this device")
    if not has_configuration:
        return Explanation(code="not_configured", text=f"no configuration of {app.name} is meant for this device")
    return Explanation(
        code="other_platform", text=f"{app.name} is for {', '.join(sorted(app.platforms))}, this is {device.platform}"
    )


_WAITING = {
    TargetState.INTENDED: "it is the device's turn next",
    TargetState.ACKNOWLEDGED: "the device took it; it is to be checked",
    TargetState.DRIFTED: "the device has something else; it is sent again",
    TargetState.APP_MISSING: "the app is not on the device",
    TargetState.APP_UNMANAGED: "the app is on the device and not managed",
}


def _there(target: Target) -> str:
    match target.kind, target.state:
        case SettingKind.APP, TargetState.VERIFIED:
            and_also = f"; {target.reason}" if target.reason else ""
            return f"the app is installed and managed, seen {_time(target.verified_at)}{and_also}"
        case _, TargetState.VERIFIED:
            return f"the device's own read-back equals what is wanted, {_time(target.verified_at)}"
    return target.reason or f"it is there, {_time(target.state_at)}"


def _time(at: datetime | None) -> str:
    return at.isoformat(timespec="seconds") if at is not None else "never"
