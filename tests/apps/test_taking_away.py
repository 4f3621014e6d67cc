"""Who gets what, and what is taken away again: the configuration always, the app only where that was ordered."""

import pytest

from mdmserver.apps.model import PINGID_TOKEN, Effect, NewApp
from mdmserver.assignments.model import Platform, Scope, ScopeKind, TargetState
from mdmserver.errors import Conflict
from mdmserver.protocol import ErrorItem
from tests.apps.handset import PINGID, Handset
from tests.apps.office import APP, Office, group, tag, tokens
from tests.fleet import ADMIN

BUSY = ErrorItem(code=12006, domain="MCMDMErrorDomain", us_english_description="The device is busy.")


@pytest.fixture
async def verified(office: Office) -> Handset:
    """An iPhone with PingID and token-1, read back."""
    phone = await office.phone()
    await office.configure("token-1")
    await office.assign()
    await office.quiet()
    phone.forget()
    return phone


async def test_unassigning_takes_the_configuration_away_and_leaves_the_app(office: Office, verified: Handset) -> None:
    await office.unassign()

    await office.quiet()

    assert verified.request_types == ["Settings"]
    assert "Configuration" not in verified.heard[0].payload["Settings"][0]
    assert verified.apps == {PINGID: None}
    assert await office.settings(verified) == {}


async def test_unassigning_reaches_the_app_under_the_name_that_the_device_gave_it(office: Office) -> None:
    phone = await office.phone()
    phone.identifier = "com.pingidentity.another"
    await office.configure("token-1")
    await office.assign()
    await office.quiet()

    await office.unassign()
    await office.quiet()

    assert phone.apps == {"com.pingidentity.another": None}
    assert await office.settings(phone) == {}


async def test_taking_the_configuration_back_leaves_the_app_managed(office: Office, verified: Handset) -> None:
    assert await office.unconfigure()
    assert not await office.unconfigure()

    await office.quiet()

    assert verified.apps == {PINGID: None}
    assert set(await office.settings(verified)) == {APP}


async def test_a_configuration_that_comes_back_while_it_is_taken_away_is_there_at_the_end(
    office: Office, verified: Handset
) -> None:
    await office.unconfigure()
    await office.work()
    removal = await verified.take()
    assert removal is not None
    await office.configure("token-1")
    await office.work()
    await verified.answer(removal)

    await office.quiet()

    assert verified.configuration == {PINGID_TOKEN: "token-1"}
    assert (await office.target(verified)).state is TargetState.VERIFIED


async def test_what_is_on_its_way_with_the_installation_is_taken_away_too(office: Office) -> None:
    phone = await office.phone()
    await office.configure("token-1")
    await office.assign()
    await office.work()
    install = await phone.take()
    assert install is not None
    await office.unassign()
    await office.work()

    await phone.answer(install)
    await office.quiet()

    assert phone.apps == {PINGID: None}
    assert await office.settings(phone) == {}


async def test_a_configuration_taken_back_during_the_installation_is_taken_away_once_the_app_is_there(
    office: Office,
) -> None:
    phone = await office.phone()
    await office.configure("token-1")
    await office.assign()
    await office.work()
    install = await phone.take()
    assert install is not None
    await office.unconfigure()
    await office.work()

    await phone.answer(install)
    await office.quiet()

    assert phone.apps == {PINGID: None}
    assert set(await office.settings(phone)) == {APP}


async def test_what_was_never_sent_needs_no_taking_away(office: Office) -> None:
    phone = await office.phone()
    await office.configure("token-1")
    await office.assign()
    await office.work()
    await office.unassign()

    await office.quiet()

    assert phone.heard == []


async def test_what_cannot_be_taken_away_is_not_asked_for_ever(office: Office, verified: Handset) -> None:
    verified.errors["Settings"] = BUSY
    await office.unassign()
    await office.quiet()
    assert (await office.target(verified)).is_wanted is False
    for _ in range(10):
        await office.later(hours=4)

    assert verified.request_types == ["Settings"] * 3
    assert await office.settings(verified) == {}


async def test_an_app_whose_removal_was_ordered_goes_with_its_configuration(office: Office, verified: Handset) -> None:
    await office.assign(effect=Effect.REMOVE)

    await office.quiet()

    assert verified.request_types == ["RemoveApplication"]
    assert verified.heard[0].payload["Identifier"] == PINGID
    assert verified.apps == {}
    assert await office.settings(verified) == {}


async def test_an_app_is_removed_only_where_this_server_installed_it(office: Office) -> None:
    unmanaged, never = await office.phone(1), await office.phone(2)
    unmanaged.errors["InstallApplication"] = BUSY
    unmanaged.extra["InstallApplication"] = {"RejectionReason": "AppAlreadyInstalled"}
    never.is_online = False
    await office.configure("token-1")
    await office.assign()
    await office.quiet()
    assert (await office.target(unmanaged, APP)).state is TargetState.APP_UNMANAGED

    await office.assign(effect=Effect.REMOVE)
    await office.quiet()
    never.is_online = True
    await office.quiet()

    for phone in (unmanaged, never):
        assert not {"RemoveApplication", "Settings"} & set(phone.request_types)
        assert await office.settings(phone) == {}


async def test_a_removal_that_is_taken_back_in_time_does_not_happen(office: Office, verified: Handset) -> None:
    await office.assign(effect=Effect.REMOVE)
    await office.work()

    await office.unassign()
    await office.quiet()

    assert PINGID in verified.apps
    assert "RemoveApplication" not in verified.request_types
    assert await office.settings(verified) == {}


async def test_a_removal_that_becomes_an_installation_again_ends_with_the_app(
    office: Office, verified: Handset
) -> None:
    await office.assign(effect=Effect.REMOVE)
    await office.work()
    removal = await verified.take()
    assert removal is not None
    await office.assign(effect=Effect.INSTALL)
    await office.work()
    await verified.answer(removal)

    await office.quiet()

    assert verified.configuration == {PINGID_TOKEN: "token-1"}
    assert (await office.target(verified)).state is TargetState.VERIFIED


async def test_a_more_particular_scope_is_an_exception_from_a_wider_one(office: Office, verified: Handset) -> None:
    await office.label(verified, tag("kiosk"))
    await office.assign(tag("kiosk"), Effect.REMOVE)
    await office.quiet()
    assert verified.apps == {}

    await office.label(verified, tag("kiosk"), takes_off=True)
    await office.quiet()

    assert verified.configuration == {PINGID_TOKEN: "token-1"}


async def test_devices_move_between_configurations_with_their_tags_and_groups(office: Office) -> None:
    phones = [await office.phone(number) for number in (1, 2, 3)]
    await office.assign()
    await office.configure("for-all")
    await office.configure("for-tag", tag("pilot"))
    await office.configure("for-group", group("sales"))
    await office.configure("for-one", Scope(kind=ScopeKind.DEVICE, value=phones[2].id.key))
    for phone in phones:
        await office.label(phone, tag("pilot"))
    await office.label(phones[1], group("sales"))
    await office.label(phones[2], group("sales"))
    await office.quiet()
    assert tokens(phones) == ["for-tag", "for-group", "for-one"]

    await office.label(phones[0], tag("pilot"), takes_off=True)
    await office.label(phones[1], group("sales"), takes_off=True)
    await office.unconfigure(Scope(kind=ScopeKind.DEVICE, value=phones[2].id.key))
    await office.quiet()

    assert tokens(phones) == ["for-all", "for-tag", "for-group"]
    for phone in phones:
        assert (await office.target(phone)).state is TargetState.VERIFIED


async def test_a_device_that_moves_away_and_back_keeps_the_right_value(office: Office, verified: Handset) -> None:
    await office.configure("pilot", tag("pilot"))
    await office.label(verified, tag("pilot"))
    await office.work()
    held = await verified.take()
    assert held is not None
    await office.label(verified, tag("pilot"), takes_off=True)
    await office.work()
    await verified.answer(held)

    await office.quiet()

    assert verified.configuration == {PINGID_TOKEN: "token-1"}
    assert (await office.target(verified)).state is TargetState.VERIFIED


async def test_a_change_of_the_bundle_id_is_looked_at_at_once(office: Office, verified: Handset) -> None:
    mac = await office.mac(2)
    await office.quiet()
    changed = NewApp(
        key="pingid", name="PingID", app_store_id=891247102, bundle_id=PINGID,
        platforms=frozenset({Platform.IOS}), preference_domain="com.example.other",
    )  # fmt: skip
    mac.forget()

    await office.services.apps.change("pingid", changed, actor=ADMIN)
    await office.quiet()

    assert "InstallProfile" in mac.request_types
    assert "com.example.other" in repr(list(mac.profiles.values()))


async def test_an_app_in_use_stays_in_the_catalogue_and_one_that_is_not_goes(office: Office, verified: Handset) -> None:
    with pytest.raises(Conflict):
        await office.services.apps.remove("pingid", actor=ADMIN)
    await office.unassign()
    await office.work()
    with pytest.raises(Conflict):  # Its configuration is still being taken away.
        await office.services.apps.remove("pingid", actor=ADMIN)
    await office.quiet()

    await office.services.apps.remove("pingid", actor=ADMIN)

    assert await office.services.apps.apps() == []
    assert await office.later(days=8) == 0


async def test_a_value_that_may_have_arrived_is_taken_away_although_its_answer_never_came(office: Office) -> None:
    phone = await office.phone()
    await office.assign()
    await office.quiet()
    await office.configure("token-1")
    await office.work()
    settings = await phone.take()
    assert settings is not None
    phone.apps[PINGID] = {PINGID_TOKEN: "token-1"}  # It was carried out, and the device lost its answer.
    await office.configure("token-2")
    await office.work()
    await office.unconfigure()

    await office.quiet()

    assert phone.apps == {PINGID: None}
    assert set(await office.settings(phone)) == {APP}
