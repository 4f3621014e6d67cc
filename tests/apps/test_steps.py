"""Which command comes next, for every kind of target in every state."""

from dataclasses import replace

import pytest

from mdmserver.apps.steps import plain_payload, request_type_of, step_of
from mdmserver.assignments.model import (
    AppRow,
    RevisionRow,
    SettingKind,
    Step,
    Target,
    TargetRow,
    TargetState,
)
from mdmserver.devices.model import EnrollmentRow
from tests.apps.test_desired import PINGID
from tests.fleet import START

S = TargetState
OLD, NEW = RevisionRow(1), RevisionRow(2)


def target(kind: SettingKind, state: TargetState, *, is_wanted: bool = True, sent: RevisionRow | None = None) -> Target:
    return Target(
        row=TargetRow(1), enrollment=EnrollmentRow(1), kind=kind, app=AppRow(1), is_wanted=is_wanted,
        wanted_revision=None if kind is SettingKind.APP else NEW, state=state, state_at=START, sent_revision=sent,
    )  # fmt: skip


def app(state: TargetState) -> Target:
    return target(SettingKind.APP, state)


@pytest.mark.parametrize("state", TargetState)
def test_an_app_is_installed_until_it_was_accepted_and_then_looked_for(state: TargetState) -> None:
    expected = Step.LIST_APPS if state in (S.ACKNOWLEDGED, S.VERIFIED, S.NOT_VERIFIABLE) else Step.INSTALL_APP

    assert step_of(app(state), presence=None) is expected
    assert step_of(replace(app(state), is_wanted=False), presence=None) is Step.REMOVE_APP


@pytest.mark.parametrize("state", TargetState)
def test_a_configuration_is_sent_until_the_device_took_it_and_then_read_back(state: TargetState) -> None:
    taken = target(SettingKind.CONFIGURATION, state, sent=NEW)
    is_lost = state in (S.DRIFTED, S.FAILED, S.APP_MISSING, S.APP_UNMANAGED)

    for presence in (None, app(S.VERIFIED), app(S.NOT_VERIFIABLE)):
        assert step_of(taken, presence=presence) is (Step.CONFIGURE if is_lost else Step.READ_BACK)
        for sent in (None, OLD):
            assert step_of(replace(taken, sent_revision=sent), presence=presence) is Step.CONFIGURE
        assert step_of(replace(taken, is_wanted=False), presence=presence) is Step.UNCONFIGURE


@pytest.mark.parametrize("state", TargetState)
@pytest.mark.parametrize("presence", [state for state in TargetState if not state.is_there])
def test_a_configuration_waits_for_its_app(state: TargetState, presence: TargetState) -> None:
    for is_wanted in (True, False):
        waiting = target(SettingKind.CONFIGURATION, state, is_wanted=is_wanted, sent=NEW)
        assert step_of(waiting, presence=app(presence)) is None


def test_a_configuration_goes_with_an_app_that_is_being_removed() -> None:
    leaving = replace(app(S.VERIFIED), is_wanted=False)

    assert step_of(target(SettingKind.CONFIGURATION, S.INTENDED, is_wanted=False), presence=leaving) is None


@pytest.mark.parametrize("state", TargetState)
def test_a_profile_is_installed_and_then_looked_for(state: TargetState) -> None:
    profile = target(SettingKind.PROFILE, state)
    is_taken = state in (S.ACKNOWLEDGED, S.INSTALLED, S.NOT_VERIFIABLE)

    assert step_of(profile, presence=None) is (Step.LIST_PROFILES if is_taken else Step.INSTALL_PROFILE)
    assert step_of(replace(profile, is_wanted=False), presence=None) is Step.REMOVE_PROFILE


def test_every_step_has_its_command() -> None:
    assert {step: request_type_of(step, PINGID) for step in Step} == {
        Step.INSTALL_APP: "InstallApplication",
        Step.LIST_APPS: "ManagedApplicationList",
        Step.REMOVE_APP: "RemoveApplication",
        Step.CONFIGURE: "Settings",
        Step.UNCONFIGURE: "Settings",
        Step.READ_BACK: "ManagedApplicationConfiguration",
        Step.INSTALL_PROFILE: "InstallProfile",
        Step.LIST_PROFILES: "ProfileList",
        Step.REMOVE_PROFILE: "RemoveProfile",
    }


@pytest.mark.parametrize("step", [Step.CONFIGURE, Step.INSTALL_APP, Step.INSTALL_PROFILE])
def test_what_holds_a_configuration_is_never_stored_as_bytes(step: Step) -> None:
    with pytest.raises(ValueError, match="holds a configuration"):
        plain_payload(step, "a.b", profile_identifier="c.d")
