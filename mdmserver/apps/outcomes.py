"""What a device's answer to a step makes of a target. Pure: Acknowledged is not enough, each answer is read.

Of an app: `InstallApplication` only says that it was accepted, so the app is looked for in the list of managed ones.
Some states are reported once and then forgotten by the device: what was seen is kept in `observed`. A look that fails
says nothing of what is there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from mdmserver.apps.model import READ_BACK_KEY, is_same
from mdmserver.assignments.model import (
    VERIFIED_AGAIN_AFTER,
    RevisionRow,
    Step,
    Target,
    TargetState,
    Turn,
    retry_after,
)
from mdmserver.protocol import Status

LOOK_AFTER = (
    timedelta(0),
    timedelta(seconds=20),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=4),
    timedelta(days=1),
)
"""An app that is being installed is looked for after so long."""
ASK_AGAIN_AFTER = timedelta(days=1)
"""A person who said no is asked again, but not sooner."""
TRIES = 3
LOOKS_FOR_AN_APP = TRIES + len(LOOK_AFTER)
"""`attempts` of an app counts looks too, so that an error ends the looking only after more of them."""
_LONGEST_REASON = 300
_UNKNOWN_COMMAND = 12021

_GOING_ON = {
    "Queued": "the installation is queued",
    "NeedsRedemption": "a redemption code is needed",
    "Redeeming": "a redemption code is being used",
    "Prompting": "the person is being asked whether to install it",
    "PromptingForLogin": "the person is being asked for their App Store password",
    "PromptingForManagement": "the person is being asked whether the app may be managed",
    "ValidatingPurchase": "the purchase is being checked",
    "Installing": "it is being installed",
    "Unknown": "the device does not know",
}
_MANAGED = {
    "Managed": None,
    "PromptingForUpdate": "the person is being asked whether to update it",
    "PromptingForUpdateLogin": "the person is being asked for their App Store password, to update it",
    "ValidatingUpdate": "an update is being checked",
    "Updating": "it is being updated",
    "UpdateRejected": "the person declined an update",
}
"""An app that is updated is there and managed, and stays so whatever becomes of the update."""
_REFUSED = {
    "UserRejected": "the person declined the installation",
    "ManagementRejected": "the person declined that the app is managed",
    "Failed": "the installation failed",
}
_REJECTIONS = {
    "AppStoreDisabled": "the App Store is switched off on this device",
    "CouldNotVerifyAppID": "the device could not check the app's App Store id: is it right, and for this country?",
    "ManagementChangeNotSupported": "the app was installed by the person and cannot be taken over on this device",
    "NotAnApp": "the App Store id is not that of an app",
    "NotSupported": "the device does not support installing this app",
    "PurchaseMethodNotSupported": "the app cannot be licensed in this way on this device",
    "PurchaseMethodNotSupportedInMultiUser": "the app cannot be licensed in this way on a shared device",
    "Other": "the device refused without a reason",
}
_UNMANAGED = frozenset({"UserInstalledApp", "AppAlreadyInstalled"})
_SAID_ONCE = frozenset({*_REFUSED, *_UNMANAGED})
_THERE = {
    "AppAlreadyInstalled": "the app was on the device already",
    "AppAlreadyQueued": "the installation was queued already",
    "Prompting": _GOING_ON["Prompting"],
}
_ERRORS_THAT_ARE_NONE: dict[int | None, str] = {1407: "Prompting", 12025: "AppAlreadyInstalled"}
"""1407, seen from iOS 11: the person is being asked already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """A device's answer to a step: its plist, and what it is to be compared with.

    `intended` is the wanted configuration with fingerprints for what is text or data, as the answer has it;
    `profile` the PayloadIdentifier and PayloadUUID that the list of profiles should have.
    """

    status: Status
    plist: Mapping[str, Any]
    reason: str | None = None
    identifier: str
    intended: Mapping[str, Any] | None = None
    profile: tuple[str, str] | None = None
    error_code: int | None = None


def outcome(target: Target, step: Step, reported: Reported, *, at: datetime) -> Turn:
    """What becomes of the target."""
    if reported.status is not Status.ACKNOWLEDGED:
        return _failed_step(target, step, reported, at)
    match step:
        case Step.INSTALL_APP:
            return _install_accepted(target, reported, at)
        case Step.LIST_APPS:
            return app_seen(target, reported.plist, reported.identifier, at=at)
        case Step.CONFIGURE | Step.UNCONFIGURE:
            return _configured(target, step, reported, at)
        case Step.READ_BACK:
            return _read_back(target, reported, at)
        case Step.INSTALL_PROFILE:
            return _taken(target, at)
        case Step.LIST_PROFILES:
            return _profile_seen(target, reported, at)
        case Step.REMOVE_APP | Step.REMOVE_PROFILE:
            return Turn(state=TargetState.ACKNOWLEDGED, is_over=True)


def status_listed(plist: Mapping[str, Any], identifier: str) -> str | None:
    """The Status of an app in a list of managed apps; None where the app is not in it."""
    listed = plist.get("ManagedApplicationList")
    entry = listed.get(identifier) if isinstance(listed, dict) else None
    status = entry.get("Status") if isinstance(entry, dict) else None
    return status[:64] if isinstance(status, str) else None


def app_seen(target: Target, plist: Mapping[str, Any], identifier: str, *, at: datetime) -> Turn:
    """What a list of managed apps says of an app."""
    status = status_listed(plist, identifier)
    if status is None and target.observed in _SAID_ONCE and target.state is TargetState.ACKNOWLEDGED:
        # Somebody else's list had it, and the device says it but once; or it refused to install what is there.
        status = target.observed
    if status is None:
        return _missing(target, "the device does not list it among its managed apps", None, at)
    if status in _MANAGED:
        return Turn(
            state=TargetState.VERIFIED, reason=_MANAGED[status], is_verified=True, next_at=at + VERIFIED_AGAIN_AFTER,
            observed=status,
        )  # fmt: skip
    if status == "ManagedButUninstalled":
        return _missing(target, "the person removed it", status, at)
    if status in _UNMANAGED:
        reason = "the person installed it themselves, and it is not managed"
        return Turn(state=TargetState.APP_UNMANAGED, reason=reason, next_at=at + ASK_AGAIN_AFTER, observed=status)
    if status in _REFUSED:
        return Turn(
            state=TargetState.FAILED, reason=_REFUSED[status], next_at=at + ASK_AGAIN_AFTER, observed=status,
            attempts=target.attempts + 1,
        )  # fmt: skip
    return _going_on(target, status, at, looks=target.attempts + 1)


def _install_accepted(target: Target, reported: Reported, at: datetime) -> Turn:
    if isinstance(rejection := reported.plist.get("RejectionReason"), str):
        return _rejected(target, rejection, at)
    state = reported.plist.get("State")
    if isinstance(state, str) and state in _REFUSED:
        return Turn(
            state=TargetState.FAILED, reason=_REFUSED[state], next_at=at + ASK_AGAIN_AFTER, observed=state,
            attempts=target.attempts + 1,
        )  # fmt: skip
    return _going_on(target, state if isinstance(state, str) else "Queued", at, looks=_looks_so_far(target))


def _rejected(target: Target, rejection: str, at: datetime) -> Turn:
    if rejection in _THERE:
        return _going_on(target, rejection, at, looks=_looks_so_far(target))
    return Turn(
        state=TargetState.FAILED,
        reason=_REJECTIONS.get(rejection, f"the device refused: {rejection[:64]}"),
        attempts=target.attempts + 1,
        observed=rejection[:64],
        next_at=at + ASK_AGAIN_AFTER,
    )


def _looks_so_far(target: Target) -> int:
    # An app that was accepted and then not there is looked for less and less often, or it would be asked for for ever.
    return target.attempts if target.state is TargetState.APP_MISSING else 0


def _going_on(target: Target, status: str, at: datetime, *, looks: int) -> Turn:
    words = _GOING_ON | _THERE
    return Turn(
        state=TargetState.ACKNOWLEDGED,
        reason=words.get(status, f"the device says {status[:64]}"),
        next_at=at + LOOK_AFTER[min(looks, len(LOOK_AFTER) - 1)],
        attempts=looks,
        observed=status[:64],
    )


def _missing(target: Target, reason: str, observed: str | None, at: datetime) -> Turn:
    attempts = target.attempts + 1
    return Turn(
        state=TargetState.APP_MISSING, reason=reason, attempts=attempts, next_at=at + retry_after(attempts),
        observed=observed,
    )  # fmt: skip


def _configured(target: Target, step: Step, reported: Reported, at: datetime) -> Turn:
    items = reported.plist.get("Settings")
    own = [
        item
        for item in (items if isinstance(items, list) else [])
        if isinstance(item, dict) and item.get("Identifier", reported.identifier) == reported.identifier
    ]
    refused = next((item for item in own if item.get("Status", "Acknowledged") != "Acknowledged"), None)
    if refused is None:
        if step is Step.UNCONFIGURE:
            return Turn(state=TargetState.ACKNOWLEDGED, is_over=True)
        return _taken(target, at)
    return _again(target, step, _words_of(refused), at)


def _taken(target: Target, at: datetime) -> Turn:
    # What a device takes and then has not is sent less and less often: the count ends only when it is there.
    attempts = target.attempts if target.state is TargetState.DRIFTED else 0
    return Turn(state=TargetState.ACKNOWLEDGED, next_at=at, sent=target.wanted_revision, attempts=attempts)


def _read_back(target: Target, reported: Reported, at: datetime) -> Turn:
    listed = reported.plist.get(READ_BACK_KEY)
    entries = [
        each
        for each in (listed if isinstance(listed, list) else [])
        if isinstance(each, dict) and each.get("Identifier") == reported.identifier
    ]
    answered = entries[0].get("Configuration") if entries else None
    if is_same(reported.intended, answered):
        return Turn(state=TargetState.VERIFIED, is_verified=True, next_at=at + VERIFIED_AGAIN_AFTER)
    if not isinstance(answered, dict) or not answered:
        reason = "the device has no configuration for the app"
    else:
        reason = "the device has another configuration: " + _differences(reported.intended or {}, answered)
    return _drifted(target, reason, at)


def _differences(intended: Mapping[str, Any], answered: Mapping[Any, Any]) -> str:
    """Names of keys, never values."""
    keys = sorted(key for key in intended.keys() | answered.keys() if not is_same(intended.get(key), answered.get(key)))
    return ", ".join(str(key)[:64] for key in keys[:5])


def _profile_seen(target: Target, reported: Reported, at: datetime) -> Turn:
    assert reported.profile is not None
    identifier, uuid = reported.profile
    listed = reported.plist.get("ProfileList")
    for item in listed if isinstance(listed, list) else []:
        if isinstance(item, dict) and item.get("PayloadIdentifier") == identifier:
            if str(item.get("PayloadUUID", "")).upper() == uuid:
                return Turn(
                    state=TargetState.INSTALLED, is_verified=True, next_at=at + VERIFIED_AGAIN_AFTER,
                    reason="the device lists this revision of the profile; its values cannot be read back",
                )  # fmt: skip
            return _drifted(target, "the device has another revision of the profile", at)
    return _drifted(target, "the device does not list the profile", at)


def _drifted(target: Target, reason: str, at: datetime) -> Turn:
    attempts = target.attempts + 1
    next_at = at if attempts < TRIES else at + retry_after(attempts - TRIES + 1)
    return Turn(state=TargetState.DRIFTED, reason=reason, attempts=attempts, next_at=next_at)


def _failed_step(target: Target, step: Step, reported: Reported, at: datetime) -> Turn:
    words = (reported.reason or f"the device answered {reported.status.value}")[:_LONGEST_REASON]
    if step in (Step.READ_BACK, Step.LIST_APPS, Step.LIST_PROFILES):
        return _not_seen(target, step, words, reported, at)
    # Devices answer a rejection with Error as well, also for an app that is there already.
    rejection = reported.plist.get("RejectionReason", _ERRORS_THAT_ARE_NONE.get(reported.error_code))
    if step is Step.INSTALL_APP and isinstance(rejection, str):
        return _rejected(target, rejection, at)
    return _again(target, step, words, at)


def _not_seen(target: Target, step: Step, words: str, reported: Reported, at: datetime) -> Turn:
    """A look that failed says nothing of what is there; one that always fails leaves only what was acknowledged."""
    attempts = target.attempts + 1
    tries = LOOKS_FOR_AN_APP if step is Step.LIST_APPS else TRIES
    if reported.error_code == _UNKNOWN_COMMAND or attempts >= tries:
        reason = f"it cannot be read back: {words}"[:_LONGEST_REASON]
        return Turn(state=TargetState.NOT_VERIFIABLE, reason=reason, next_at=at + VERIFIED_AGAIN_AFTER)
    return Turn(state=target.state, reason=words, attempts=attempts, next_at=at + retry_after(attempts))


def _again(target: Target, step: Step, words: str, at: datetime) -> Turn:
    attempts = target.attempts + 1
    takes_away = step in (Step.REMOVE_APP, Step.REMOVE_PROFILE, Step.UNCONFIGURE)
    if takes_away and attempts >= TRIES:
        # Most likely it is gone already: what cannot be taken away is not worth asking for ever.
        return Turn(state=TargetState.FAILED, reason=words[:_LONGEST_REASON], is_over=True)
    return Turn(
        state=TargetState.FAILED, reason=words[:_LONGEST_REASON], attempts=attempts, next_at=at + retry_after(attempts)
    )


def _words_of(item: Mapping[str, Any]) -> str:
    chain = item.get("ErrorChain")
    texts = [
        str(error.get("USEnglishDescription") or error.get("LocalizedDescription") or error.get("ErrorCode") or "")
        for error in (chain if isinstance(chain, list) else [])
        if isinstance(error, dict)
    ]
    return "; ".join(text for text in texts[:3] if text) or f"the device answered {item.get('Status')}"


def delivered_with_install(target: Target, revision: RevisionRow) -> Turn:
    """A configuration that went along with the app's installation: to be read back when the app is there."""
    return Turn(state=TargetState.ACKNOWLEDGED, sent=revision, reason="sent with the installation of the app")
