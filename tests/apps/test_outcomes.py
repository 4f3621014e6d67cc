"""What every answer that devices can give makes of a target."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mdmserver.apps.outcomes import ASK_AGAIN_AFTER, LOOKS_FOR_AN_APP, Reported, outcome
from mdmserver.assignments.model import VERIFIED_AGAIN_AFTER, SettingKind, Step, Target, TargetState, retry_after
from mdmserver.protocol import Status
from tests.apps.test_steps import NEW, target
from tests.fleet import START

S = TargetState
LISTED = {
    "Managed": S.VERIFIED,
    "Updating": S.VERIFIED,
    "ValidatingUpdate": S.VERIFIED,
    "PromptingForUpdate": S.VERIFIED,
    "PromptingForUpdateLogin": S.VERIFIED,
    "UpdateRejected": S.VERIFIED,
    "ManagedButUninstalled": S.APP_MISSING,
    "UserInstalledApp": S.APP_UNMANAGED,
    "UserRejected": S.FAILED,
    "ManagementRejected": S.FAILED,
    "Failed": S.FAILED,
    "Queued": S.ACKNOWLEDGED,
    "NeedsRedemption": S.ACKNOWLEDGED,
    "Redeeming": S.ACKNOWLEDGED,
    "Prompting": S.ACKNOWLEDGED,
    "PromptingForLogin": S.ACKNOWLEDGED,
    "PromptingForManagement": S.ACKNOWLEDGED,
    "ValidatingPurchase": S.ACKNOWLEDGED,
    "Installing": S.ACKNOWLEDGED,
    "Unknown": S.ACKNOWLEDGED,
    "SomethingNew": S.ACKNOWLEDGED,
}
ANSWERED = {
    "UserRejected": S.FAILED,
    "ManagementRejected": S.FAILED,
    "Failed": S.FAILED,
}
REJECTIONS = (
    "AppStoreDisabled", "CouldNotVerifyAppID", "ManagementChangeNotSupported", "NotAnApp", "NotSupported",
    "PurchaseMethodNotSupported", "PurchaseMethodNotSupportedInMultiUser", "Other", "SomethingNew",
)  # fmt: skip
PROFILE = ("com.example.profile", "11111111-2222-4333-8444-555555555555".upper())
LOOKS = (Step.LIST_APPS, Step.READ_BACK, Step.LIST_PROFILES)
KINDS = {
    Step.INSTALL_APP: SettingKind.APP, Step.LIST_APPS: SettingKind.APP, Step.REMOVE_APP: SettingKind.APP,
    Step.CONFIGURE: SettingKind.CONFIGURATION, Step.UNCONFIGURE: SettingKind.CONFIGURATION,
    Step.READ_BACK: SettingKind.CONFIGURATION, Step.INSTALL_PROFILE: SettingKind.PROFILE,
    Step.LIST_PROFILES: SettingKind.PROFILE, Step.REMOVE_PROFILE: SettingKind.PROFILE,
}  # fmt: skip


def answer(plist: dict[str, Any] | None = None, status: Status = Status.ACKNOWLEDGED, **what: Any) -> Reported:
    return Reported(
        status=status, plist=plist or {}, identifier="a.b", intended={"T": "1"}, profile=PROFILE, **what
    )  # fmt: skip


def of(step: Step, state: TargetState = S.ACKNOWLEDGED, attempts: int = 0) -> Target:
    return replace(target(KINDS[step], state), step=step, attempts=attempts)


def listed(status: object) -> dict[str, Any]:
    return {"ManagedApplicationList": {"a.b": {"Status": status}, "c.d": {"Status": "Managed"}}}


@pytest.mark.parametrize(("status", "state"), LISTED.items())
def test_every_status_of_a_listed_app(status: str, state: TargetState) -> None:
    turn = outcome(of(Step.LIST_APPS), Step.LIST_APPS, answer(listed(status)), at=START)

    assert (turn.state, turn.observed) == (state, status)
    assert turn.is_verified is (state is S.VERIFIED)
    assert turn.reason is not None or status == "Managed"
    assert turn.next_at is not None
    if state in (S.FAILED, S.APP_UNMANAGED):
        assert turn.next_at == START + ASK_AGAIN_AFTER


@pytest.mark.parametrize(
    "plist", [{}, {"ManagedApplicationList": {}}, {"ManagedApplicationList": []}, listed(7), listed(None),
              {"ManagedApplicationList": {"a.b": "Managed"}}],
)  # fmt: skip
def test_an_app_that_is_not_listed_is_missing(plist: dict[str, Any]) -> None:
    turn = outcome(of(Step.LIST_APPS, attempts=1), Step.LIST_APPS, answer(plist), at=START)

    assert (turn.state, turn.attempts) == (S.APP_MISSING, 2)
    assert turn.next_at == START + retry_after(2)


@pytest.mark.parametrize("observed", ["UserRejected", "ManagementRejected", "Failed", "UserInstalledApp"])
def test_what_a_device_says_once_is_remembered_when_it_says_nothing(observed: str) -> None:
    remembered = replace(of(Step.LIST_APPS), observed=observed)

    turn = outcome(remembered, Step.LIST_APPS, answer({"ManagedApplicationList": {}}), at=START)

    assert turn.state is LISTED[observed]
    again = outcome(replace(remembered, state=S.VERIFIED), Step.LIST_APPS, answer({}), at=START)
    assert again.state is S.APP_MISSING


@pytest.mark.parametrize("state", LISTED)
def test_every_state_in_the_answer_to_an_installation(state: str) -> None:
    turn = outcome(of(Step.INSTALL_APP, S.INTENDED), Step.INSTALL_APP, answer({"State": state}), at=START)

    assert turn.state is ANSWERED.get(state, S.ACKNOWLEDGED)
    assert not turn.is_verified
    assert turn.next_at == (START if turn.state is S.ACKNOWLEDGED else START + ASK_AGAIN_AFTER)


@pytest.mark.parametrize("status", [Status.ACKNOWLEDGED, Status.ERROR])
@pytest.mark.parametrize("rejection", REJECTIONS)
def test_every_rejection_of_an_installation_is_asked_again_after_a_day(rejection: str, status: Status) -> None:
    turn = outcome(
        of(Step.INSTALL_APP, S.INTENDED), Step.INSTALL_APP, answer({"RejectionReason": rejection}, status), at=START
    )  # fmt: skip

    assert (turn.state, turn.attempts, turn.observed) == (S.FAILED, 1, rejection)
    assert turn.next_at == START + ASK_AGAIN_AFTER
    assert turn.reason


@pytest.mark.parametrize("status", [Status.ACKNOWLEDGED, Status.ERROR])
@pytest.mark.parametrize("rejection", ["AppAlreadyInstalled", "AppAlreadyQueued"])
def test_an_app_that_is_there_or_comes_already_is_looked_for(rejection: str, status: Status) -> None:
    turn = outcome(
        of(Step.INSTALL_APP, S.INTENDED), Step.INSTALL_APP, answer({"RejectionReason": rejection}, status), at=START
    )  # fmt: skip

    assert (turn.state, turn.next_at) == (S.ACKNOWLEDGED, START)


@pytest.mark.parametrize("code", [1407, 12025])
def test_an_error_that_says_that_it_is_under_way_or_done_is_none(code: int) -> None:
    refused = answer({}, Status.ERROR, error_code=code)

    installed = outcome(of(Step.INSTALL_APP, S.INTENDED), Step.INSTALL_APP, refused, at=START)

    assert (installed.state, installed.next_at) == (S.ACKNOWLEDGED, START)
    assert outcome(of(Step.CONFIGURE), Step.CONFIGURE, refused, at=START).state is S.FAILED


@pytest.mark.parametrize("step", [Step.CONFIGURE, Step.UNCONFIGURE])
@pytest.mark.parametrize(
    ("settings", "is_taken"),
    [
        ([{"Identifier": "a.b", "Status": "Acknowledged"}], True),
        ([{"Status": "Acknowledged"}], True),
        ([], True),
        (None, True),
        ([{"Identifier": "a.b", "Status": "Error"}], False),
        ([{"Status": "Error", "ErrorChain": [{"USEnglishDescription": "no"}]}], False),
        ([{"Identifier": "a.b", "Status": "Error", "ErrorChain": "broken"}], False),
        ([{"Identifier": "c.d", "Status": "Error"}, {"Identifier": "a.b", "Status": "Acknowledged"}], True),
    ],
)
def test_settings_answer_item_by_item(step: Step, settings: Any, is_taken: bool) -> None:
    plist = {} if settings is None else {"Settings": settings}

    turn = outcome(of(step, S.INTENDED), step, answer(plist), at=START)

    assert turn.state is (S.ACKNOWLEDGED if is_taken else S.FAILED)
    assert turn.is_over is (is_taken and step is Step.UNCONFIGURE)
    assert turn.sent == (NEW if is_taken and step is Step.CONFIGURE else None)
    assert not turn.is_verified


@pytest.mark.parametrize(
    "entries",
    [[], None, "x", [{"Identifier": "a.b"}], [{"Identifier": "a.b", "Configuration": {}}],
     [{"Configuration": {"T": "1"}}], [{"Identifier": "c.d", "Configuration": {"T": "1"}}],
     [{"Identifier": "a.b", "Configuration": {"T": "2"}}],
     [{"Identifier": "a.b", "Configuration": {"T": "1", "U": 1}}]],
)  # fmt: skip
def test_only_the_same_configuration_of_the_same_app_proves_anything(entries: Any) -> None:
    plist = {} if entries is None else {"ApplicationConfigurations": entries}

    turn = outcome(of(Step.READ_BACK, S.VERIFIED), Step.READ_BACK, answer(plist), at=START)

    assert (turn.state, turn.is_verified, turn.attempts, turn.next_at) == (S.DRIFTED, False, 1, START)
    good = {"ApplicationConfigurations": [{"Identifier": "a.b", "Configuration": {"T": "1"}}]}
    proved = outcome(of(Step.READ_BACK), Step.READ_BACK, answer(good), at=START)
    assert (proved.state, proved.is_verified, proved.next_at) == (S.VERIFIED, True, START + VERIFIED_AGAIN_AFTER)


def test_drift_is_mended_at_once_three_times_and_then_later_and_later() -> None:
    waits = []
    state, attempts = S.VERIFIED, 0
    for _ in range(6):
        turn = outcome(of(Step.READ_BACK, state, attempts), Step.READ_BACK, answer({}), at=START)
        assert turn.next_at is not None
        waits.append(turn.next_at - START)
        taken = outcome(of(Step.CONFIGURE, turn.state, turn.attempts), Step.CONFIGURE, answer({}), at=START)
        state, attempts = taken.state, taken.attempts

    assert [wait / timedelta(hours=1) for wait in waits] == [0, 0, 0.25, 1, 4, 24]


@pytest.mark.parametrize(
    ("items", "state"),
    [
        ([{"PayloadIdentifier": PROFILE[0], "PayloadUUID": PROFILE[1]}], S.INSTALLED),
        ([{"PayloadIdentifier": PROFILE[0], "PayloadUUID": PROFILE[1].lower()}], S.INSTALLED),
        ([{"PayloadIdentifier": PROFILE[0], "PayloadUUID": "another"}], S.DRIFTED),
        ([{"PayloadIdentifier": PROFILE[0]}], S.DRIFTED),
        ([{"PayloadIdentifier": "another", "PayloadUUID": PROFILE[1]}], S.DRIFTED),
        ([], S.DRIFTED),
        ("x", S.DRIFTED),
    ],
)
def test_a_listed_profile_shows_its_revision(items: Any, state: TargetState) -> None:
    turn = outcome(of(Step.LIST_PROFILES), Step.LIST_PROFILES, answer({"ProfileList": items}), at=START)

    assert turn.state is state


@pytest.mark.parametrize("step", [step for step in Step if step not in LOOKS])
@pytest.mark.parametrize("status", [Status.ERROR, Status.COMMAND_FORMAT_ERROR])
def test_an_error_is_a_failure_that_is_tried_again(step: Step, status: Status) -> None:
    turn = outcome(of(step, S.INTENDED), step, answer({}, status, reason="no"), at=START)

    assert (turn.state, turn.reason, turn.attempts) == (S.FAILED, "no", 1)
    assert turn.next_at == START + retry_after(1)


@pytest.mark.parametrize("step", [Step.REMOVE_APP, Step.REMOVE_PROFILE, Step.UNCONFIGURE])
def test_what_cannot_be_taken_away_is_given_up_the_third_time(step: Step) -> None:
    assert not outcome(of(step, attempts=1), step, answer({}, Status.ERROR), at=START).is_over
    assert outcome(of(step, attempts=2), step, answer({}, Status.ERROR), at=START).is_over


@pytest.mark.parametrize("step", LOOKS)
@pytest.mark.parametrize("state", [S.VERIFIED, S.ACKNOWLEDGED, S.INSTALLED])
def test_a_failed_look_changes_no_state_until_it_failed_too_often(step: Step, state: TargetState) -> None:
    enough = LOOKS_FOR_AN_APP if step is Step.LIST_APPS else 3

    for attempts in range(enough - 1):
        turn = outcome(of(step, state, attempts), step, answer({}, Status.ERROR), at=START)
        assert (turn.state, turn.attempts) == (state, attempts + 1)
    last = outcome(of(step, state, enough - 1), step, answer({}, Status.ERROR), at=START)
    assert (last.state, last.is_verified) == (S.NOT_VERIFIABLE, False)


@pytest.mark.parametrize("step", LOOKS)
def test_a_look_that_the_device_does_not_know_is_not_tried_again_for_a_week(step: Step) -> None:
    turn = outcome(of(step), step, answer({}, Status.ERROR, error_code=12021), at=START)

    assert (turn.state, turn.next_at) == (S.NOT_VERIFIABLE, START + VERIFIED_AGAIN_AFTER)


def test_words_of_a_device_are_cut() -> None:
    turn = outcome(of(Step.CONFIGURE), Step.CONFIGURE, answer({}, Status.ERROR, reason="x" * 5000), at=START)

    assert len(turn.reason or "") == 300
