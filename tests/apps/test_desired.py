"""What should be on a device follows from all that is meant for anyone, and from nothing else."""

from dataclasses import replace
from itertools import permutations

import pytest

from mdmserver.apps.desired import Catalogue, configuration_for, desired, effect_on
from mdmserver.apps.model import App, Assignment, Configuration, ConfigurationRow, Effect
from mdmserver.assignments.model import AppRow, Device, Platform, RevisionRow, Scope, ScopeKind, SettingKind, Wanted
from mdmserver.devices.model import EnrollmentRow
from tests.apps.office import EVERYONE, group, tag
from tests.fleet import device_id

PHONE = Device(
    row=EnrollmentRow(1), id=device_id(1), life=1, enabled=True, platform=Platform.IOS,
    tags=frozenset({"pilot", "blue"}), groups=frozenset({"sales"}),
)  # fmt: skip
ITSELF = Scope(kind=ScopeKind.DEVICE, value=device_id(1).key)
APP = AppRow(7)
PINGID = App(
    row=APP, key="pingid", name="PingID", app_store_id=1, bundle_id="a.b", platforms=frozenset({Platform.IOS}),
    preference_domain="com.example.domain",
)  # fmt: skip


def assignment(scope: Scope, effect: Effect = Effect.INSTALL, app: AppRow = APP) -> Assignment:
    return Assignment(app=app, scope=scope, effect=effect)


def configuration(row: int, scope: Scope, *, is_in_force: bool = True) -> Configuration:
    revision = RevisionRow(100 + row) if is_in_force else None
    return Configuration(row=ConfigurationRow(row), app=APP, scope=scope, revision=revision)


@pytest.mark.parametrize(
    ("scope", "is_meant"),
    [
        (EVERYONE, True), (tag("pilot"), True), (tag("sales"), False), (group("sales"), True), (group("pilot"), False),
        (ITSELF, True), (Scope(kind=ScopeKind.DEVICE, value=device_id(2).key), False),
    ],
)  # fmt: skip
def test_a_scope_takes_in_those_it_names(scope: Scope, is_meant: bool) -> None:
    assert scope.takes_in(PHONE) is is_meant
    assert effect_on(PHONE, APP, [assignment(scope)]) is (Effect.INSTALL if is_meant else None)


def test_a_devices_own_outweighs_a_groups_that_a_tags_that_everyones() -> None:
    ranked = [EVERYONE, tag("pilot"), group("sales"), ITSELF]

    assert [scope.rank for scope in ranked] == [0, 1, 2, 3]
    for number, best in enumerate(ranked):
        others = ranked[: number + 1]
        for order in permutations(others):
            meant = [assignment(scope, Effect.INSTALL if scope == best else Effect.REMOVE) for scope in order]
            assert effect_on(PHONE, APP, meant) is Effect.INSTALL


def test_among_equals_removal_wins() -> None:
    meant = [assignment(tag("pilot"), Effect.REMOVE), assignment(tag("blue"), Effect.INSTALL)]

    assert effect_on(PHONE, APP, meant) is Effect.REMOVE
    assert effect_on(PHONE, APP, meant[::-1]) is Effect.REMOVE


def test_what_is_said_of_another_app_does_not_count() -> None:
    assert effect_on(PHONE, APP, [assignment(EVERYONE, app=AppRow(8))]) is None


def test_the_most_particular_configuration_in_force_counts_and_among_equals_the_first() -> None:
    everyone, pilot, blue = configuration(1, EVERYONE), configuration(2, tag("pilot")), configuration(3, tag("blue"))
    withdrawn = configuration(4, ITSELF, is_in_force=False)

    for order in permutations([everyone, pilot, blue, withdrawn]):
        assert configuration_for(PHONE, APP, order) == pilot.revision
    assert configuration_for(PHONE, APP, [withdrawn, everyone]) == everyone.revision
    assert configuration_for(PHONE, APP, [withdrawn]) is None
    assert configuration_for(PHONE, AppRow(8), [everyone]) is None


@pytest.mark.parametrize(
    ("platform", "platforms", "domain", "kinds"),
    [
        (Platform.IOS, {Platform.IOS}, "a.b", [SettingKind.APP, SettingKind.CONFIGURATION]),
        (Platform.MACOS, {Platform.IOS}, "a.b", [SettingKind.PROFILE]),
        (Platform.MACOS, {Platform.IOS}, None, []),
        (Platform.MACOS, {Platform.IOS, Platform.MACOS}, "a.b", [SettingKind.APP, SettingKind.PROFILE]),
        (Platform.MACOS, {Platform.MACOS}, None, [SettingKind.APP, SettingKind.CONFIGURATION]),
        (Platform.TVOS, {Platform.IOS}, "a.b", []),
        (None, {Platform.IOS}, "a.b", []),
    ],
)
def test_a_platform_gets_what_reaches_it(
    platform: Platform | None, platforms: set[Platform], domain: str | None, kinds: list[SettingKind]
) -> None:
    app = replace(PINGID, platforms=frozenset(platforms), preference_domain=domain)
    catalogue = Catalogue(
        apps=[app], assignments=[assignment(EVERYONE)], configurations=[configuration(1, EVERYONE)]
    )  # fmt: skip

    wanted = desired(replace(PHONE, platform=platform), catalogue)

    assert [each.kind for each in wanted] == kinds
    assert all((each.revision is None) is (each.kind is SettingKind.APP) for each in wanted)


def test_without_assignment_or_with_removal_nothing_is_wanted() -> None:
    for assignments in ([], [assignment(EVERYONE, Effect.REMOVE)]):
        catalogue = Catalogue(apps=[PINGID], assignments=assignments, configurations=[configuration(1, EVERYONE)])
        assert desired(PHONE, catalogue) == []


def test_without_configuration_the_app_alone_is_wanted() -> None:
    catalogue = Catalogue(apps=[PINGID], assignments=[assignment(EVERYONE)], configurations=[])

    assert desired(PHONE, catalogue) == [Wanted(kind=SettingKind.APP, app=APP)]
