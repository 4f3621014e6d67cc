"""PingID and its token reach a device, change, and are proved by the device's own answers."""

import pytest

from mdmserver.apps.model import PINGID_TOKEN, Effect, NewApp
from mdmserver.assignments.model import Platform, TargetState
from mdmserver.commands.model import ItemState
from mdmserver.protocol import Status
from tests.apps.handset import PINGID, Handset, Heard
from tests.apps.office import APP, CONFIGURATION, EVERYONE, Office, tokens
from tests.fleet import ADMIN, Fleet


@pytest.fixture
async def phone(office: Office) -> Handset:
    """An iPhone that is enrolled, and nothing is meant for it."""
    return await office.phone()


@pytest.fixture
async def verified(office: Office, phone: Handset) -> Handset:
    """An iPhone with PingID and token-1, read back."""
    await office.configure("token-1")
    await office.assign()
    await office.quiet()
    phone.forget()
    return phone


async def states_of(office: Office, phone: Handset) -> dict[str, ItemState]:
    return await Fleet(office.services).states(phone.id)


async def test_an_assigned_app_is_installed_with_its_configuration_and_read_back(
    office: Office, phone: Handset
) -> None:
    await office.configure("token-1")
    await office.assign()

    await office.quiet()

    assert phone.request_types == ["InstallApplication", "ManagedApplicationList", "ManagedApplicationConfiguration"]
    install = phone.heard[0].payload
    assert install["iTunesStoreID"] == 891247102
    assert (install["ChangeManagementState"], install["ManagementFlags"]) == ("Managed", 1)
    assert phone.configuration == {PINGID_TOKEN: "token-1"}
    assert (await office.target(phone)).state is TargetState.VERIFIED
    assert (await office.target(phone, APP)).state is TargetState.VERIFIED
    assert (await office.target(phone)).verified_at == office.clock()


async def test_a_device_that_enrolls_later_gets_it_by_itself(office: Office) -> None:
    await office.configure("token-1")
    await office.assign()
    await office.quiet()

    phone = await office.phone()
    await office.quiet()

    assert (await office.target(phone)).state is TargetState.VERIFIED


async def test_nothing_is_sent_where_nothing_is_meant_or_nothing_changed(office: Office, verified: Handset) -> None:
    await office.configure("token-1")
    assert not await office.assign()

    assert await office.quiet() == 0
    assert await office.later(days=6) == 0


async def test_an_acknowledged_value_is_not_verified_until_it_was_read_back(office: Office, verified: Handset) -> None:
    await office.configure("token-2")
    await office.work()
    settings = await verified.take()
    assert settings is not None
    await verified.answer(settings)
    await office.services.results.work_through()

    assert verified.configuration == {PINGID_TOKEN: "token-2"}
    assert (await office.target(verified)).state is TargetState.ACKNOWLEDGED
    assert (await office.target(verified)).verified_at is None


async def test_a_changed_value_goes_by_settings_and_is_read_back(office: Office, verified: Handset) -> None:
    await office.configure("token-2")

    await office.quiet()

    assert verified.request_types == ["Settings", "ManagedApplicationConfiguration"]
    assert verified.heard[0].payload["Settings"] == [
        {"Item": "ApplicationConfiguration", "Identifier": PINGID, "Configuration": {PINGID_TOKEN: "token-2"}}
    ]
    assert (await office.target(verified)).state is TargetState.VERIFIED


async def test_a_change_supersedes_what_is_still_queued(office: Office, verified: Handset) -> None:
    await office.configure("token-2")
    await office.work()
    await office.configure("token-3")
    await office.work()

    await office.quiet()

    assert [each.payload["Settings"][0]["Configuration"] for each in verified.heard if "Settings" in each.payload] == [
        {PINGID_TOKEN: "token-3"}
    ]
    assert list((await states_of(office, verified)).values()).count(ItemState.SUPERSEDED) == 1
    assert (await office.target(verified)).state is TargetState.VERIFIED


async def test_what_was_sent_is_withdrawn_and_its_late_answer_changes_nothing(
    office: Office, verified: Handset
) -> None:
    await office.configure("token-2")
    await office.work()
    old = await verified.take()
    assert old is not None
    await office.configure("token-3")
    await office.work()
    assert (await states_of(office, verified))[old.uuid] is ItemState.WITHDRAWN

    new = await verified.answer(old)  # The device carries out what it has in hand, and is handed the new one.
    await office.services.results.work_through()

    assert (await office.target(verified)).state is TargetState.INTENDED
    assert new is not None
    assert new.payload["Settings"][0]["Configuration"] == {PINGID_TOKEN: "token-3"}
    await verified.answer(new)
    await office.quiet()
    assert verified.configuration == {PINGID_TOKEN: "token-3"}
    assert (await office.target(verified)).state is TargetState.VERIFIED


async def test_a_device_that_never_answers_the_old_command_gets_the_newest_value(
    office: Office, verified: Handset
) -> None:
    await office.configure("token-2")
    await office.work()
    old = await verified.take()
    assert old is not None
    await office.configure("token-3")

    await office.quiet()

    assert verified.configuration == {PINGID_TOKEN: "token-3"}
    assert (await states_of(office, verified))[old.uuid] is ItemState.SUPERSEDED
    assert (await office.target(verified)).state is TargetState.VERIFIED


async def test_of_two_changes_in_a_row_the_newest_wins(office: Office, verified: Handset) -> None:
    await office.configure("token-2")
    await office.configure("token-3")

    await office.quiet()

    assert verified.request_types == ["Settings", "ManagedApplicationConfiguration"]
    assert verified.configuration == {PINGID_TOKEN: "token-3"}


async def test_the_value_from_before_is_a_change_like_any_other(office: Office, verified: Handset) -> None:
    await office.configure("token-2")
    await office.work()
    taken = await verified.take()
    await office.configure("token-1")
    await office.work()
    assert taken is not None
    await verified.answer(taken)

    await office.quiet()

    assert verified.configuration == {PINGID_TOKEN: "token-1"}
    assert (await office.target(verified)).state is TargetState.VERIFIED


async def test_an_installation_that_waited_does_not_carry_a_value_that_is_wanted_no_more(
    office: Office, phone: Handset
) -> None:
    await office.configure("token-1")
    await office.assign()
    await office.work()
    await office.configure("token-2")
    await office.work()

    install = await phone.take()

    assert install is not None
    assert "Configuration" not in install.payload
    await phone.answer(install)
    await office.quiet()
    assert phone.configuration == {PINGID_TOKEN: "token-2"}
    assert (await office.target(phone)).state is TargetState.VERIFIED


async def test_a_locked_device_gets_it_when_it_is_unlocked(office: Office, verified: Handset) -> None:
    verified.is_locked = True
    await office.configure("token-2")
    await office.work()
    first = await verified.take()
    assert first is not None
    assert await verified.answer(first) is None
    assert "locked" in await office.why(verified) or "NotNow" in await office.why(verified)

    verified.is_locked = False
    await office.quiet()

    assert (await states_of(office, verified))[first.uuid] is ItemState.ACKNOWLEDGED
    assert (await office.target(verified)).state is TargetState.VERIFIED


async def test_a_change_while_the_device_is_locked_replaces_what_it_put_off(office: Office, verified: Handset) -> None:
    verified.is_locked = True
    await office.configure("token-2")
    await office.work()
    first = await verified.take()
    assert first is not None
    await verified.answer(first)
    await office.configure("token-3")
    await office.work()

    verified.is_locked = False
    await office.quiet()

    assert verified.configuration == {PINGID_TOKEN: "token-3"}
    assert (await states_of(office, verified))[first.uuid] is ItemState.SUPERSEDED


async def test_what_is_wanted_is_sent_in_one_command_however_often_it_is_looked_at(
    office: Office, verified: Handset
) -> None:
    await office.configure("token-2")
    for _ in range(4):
        await office.services.apps.again("pingid", actor=ADMIN)
        await office.work()
        await office.world.composed.reconciler.find_stalled()

    items = (await Fleet(office.services).items(verified.id)).values()
    assert sorted(item.request_type for item in items if not item.state.is_final) == [
        "ManagedApplicationList", "Settings",
    ]  # fmt: skip


async def test_a_user_channel_is_no_device(office: Office, verified: Handset) -> None:
    user = await Fleet(office.services).log_in(1)
    await office.configure("token-2")

    await office.work()

    assert await Fleet(office.services).items(user) == {}


async def test_an_app_without_configuration_is_installed_and_its_configuration_comes_later(
    office: Office, phone: Handset
) -> None:
    await office.assign()
    await office.quiet()
    assert "Configuration" not in phone.heard[0].payload
    assert CONFIGURATION not in await office.settings(phone)

    await office.configure("token-1")
    await office.quiet()

    assert phone.request_types[2:] == ["Settings", "ManagedApplicationConfiguration"]
    assert (await office.target(phone)).state is TargetState.VERIFIED


async def test_a_configuration_for_nobody_goes_nowhere(office: Office, phone: Handset) -> None:
    await office.configure("token-1")

    assert await office.quiet() == 0
    assert await office.settings(phone) == {}


async def test_an_enterprise_app_and_one_by_its_bundle_id_are_installed_by_what_they_have(office: Office) -> None:
    phone, mac = await office.phone(1), await office.mac(2)
    manifest = "https://example.com/app.plist"
    both = frozenset({Platform.IOS, Platform.MACOS})
    for new in (
        NewApp(key="one", name="One", bundle_id="com.example.one", manifest_url=manifest, platforms=both),
        NewApp(
            key="two", name="Two", bundle_id="com.example.two", manifest_url=manifest,
            platforms=frozenset({Platform.MACOS}),
        ),
        NewApp(key="three", name="Three", bundle_id="com.example.three"),
    ):  # fmt: skip
        await office.services.apps.add(new, actor=ADMIN)
        await office.services.apps.assign(new.key, EVERYONE, Effect.INSTALL, actor=ADMIN)
    await office.work()

    heard = {
        device.number: {
            (each.request_type, each.payload.get("ManifestURL"), each.payload.get("Identifier"))
            for each in await everything_queued(device)
        }
        for device in (phone, mac)
    }

    assert heard[1] == {("InstallApplication", manifest, None), ("InstallApplication", None, "com.example.three")}
    assert heard[2] == {("InstallApplication", manifest, None), ("InstallEnterpriseApplication", manifest, None)}
    installs = [each for each in mac.heard if each.request_type.startswith("Install")]
    assert all(each.payload["InstallAsManaged"] is True for each in installs)
    assert all("ManagementFlags" not in each.payload for each in installs)


async def everything_queued(device: Handset) -> list[Heard]:
    heard = await device.take()
    while heard is not None:
        heard = await device.report(Status.ACKNOWLEDGED, heard.uuid)
    return device.heard


async def test_the_newest_value_reaches_every_kind_of_device(office: Office) -> None:
    phones = [await office.phone(number, product) for number, product in enumerate(("iPhone15,2", "iPad13,1"), 1)]
    mac = await office.mac(3)
    await office.configure("token-1")
    await office.assign()
    await office.quiet()

    await office.configure("token-2")
    await office.quiet()

    assert tokens(phones) == ["token-2", "token-2"]
    [profile] = mac.profiles.values()
    assert "token-2" in repr(profile)
    assert "token-1" not in repr(profile)
