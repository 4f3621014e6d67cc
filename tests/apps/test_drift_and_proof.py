"""Verified means read back: drift is found and mended, and what cannot be read back is never called verified."""

from datetime import timedelta
from typing import Any

import pytest

from mdmserver.apps.explain import Progress
from mdmserver.apps.model import PINGID_TOKEN
from mdmserver.assignments.model import TargetState
from mdmserver.protocol import ErrorItem
from tests.apps.handset import PINGID, UNKNOWN_COMMAND, Handset
from tests.apps.office import APP, Office

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


async def test_what_was_verified_is_read_again_every_week(office: Office, verified: Handset) -> None:
    assert await office.later(days=7, seconds=-1) == 0

    await office.later(seconds=1)

    assert sorted(verified.request_types) == ["ManagedApplicationConfiguration", "ManagedApplicationList"]
    assert (await office.target(verified)).verified_at == office.clock()


@pytest.mark.parametrize("changed", [None, {}, {PINGID_TOKEN: "other"}, {PINGID_TOKEN: "token-1", "More": 1}])
async def test_drift_is_found_and_mended(office: Office, verified: Handset, changed: dict[str, Any] | None) -> None:
    verified.apps[PINGID] = changed

    await office.later(days=7)

    assert verified.request_types[-2:] == ["Settings", "ManagedApplicationConfiguration"]
    assert verified.configuration == {PINGID_TOKEN: "token-1"}
    assert (await office.target(verified)).state is TargetState.VERIFIED


async def test_drift_says_which_keys_differ_and_never_their_values(office: Office, verified: Handset) -> None:
    verified.apps[PINGID] = {PINGID_TOKEN: "other", "More": 1}
    verified.forgets_settings = True

    await office.later(days=7)

    why = await office.why(verified)
    assert f"More, {PINGID_TOKEN}" in why
    assert "other" not in why.replace("another", "")
    assert (await office.target(verified)).state is TargetState.DRIFTED
    assert (await office.counts()) == {Progress.WAITING: 1}


async def test_a_device_that_takes_a_value_and_never_has_it_is_not_sent_it_for_ever(
    office: Office, verified: Handset
) -> None:
    verified.forgets_settings = True
    await office.configure("token-2")

    await office.quiet()
    assert verified.request_types.count("Settings") == 3
    for _ in range(48):
        await office.later(hours=1)

    assert verified.request_types.count("Settings") <= 8
    assert (await office.target(verified)).state is TargetState.DRIFTED
    verified.forgets_settings = False
    await office.later(days=1)
    assert (await office.target(verified)).state is TargetState.VERIFIED
    assert (await office.target(verified)).attempts == 0


async def test_what_cannot_be_read_back_is_not_verifiable_and_not_counted_as_verified(office: Office) -> None:
    phone = await office.phone()
    phone.errors["ManagedApplicationConfiguration"] = UNKNOWN_COMMAND
    await office.configure("token-1")
    await office.assign()

    await office.quiet()

    target = await office.target(phone)
    assert (target.state, target.verified_at) == (TargetState.NOT_VERIFIABLE, None)
    assert phone.configuration == {PINGID_TOKEN: "token-1"}
    assert await office.counts() == {Progress.NOT_VERIFIABLE: 1}
    assert "cannot be read back" in await office.why(phone)
    assert target.next_at == office.clock() + timedelta(days=7)


async def test_a_new_value_is_sent_where_nothing_can_be_read_back(office: Office) -> None:
    phone = await office.phone()
    phone.errors["ManagedApplicationConfiguration"] = UNKNOWN_COMMAND
    await office.configure("token-1")
    await office.assign()
    await office.quiet()

    await office.configure("token-2")
    await office.work()
    assert await office.counts() == {Progress.WAITING: 1}
    await office.quiet()

    assert phone.configuration == {PINGID_TOKEN: "token-2"}
    assert await office.counts() == {Progress.NOT_VERIFIABLE: 1}


async def test_a_device_that_can_be_read_after_all_is_verified(office: Office) -> None:
    phone = await office.phone()
    phone.errors["ManagedApplicationConfiguration"] = UNKNOWN_COMMAND
    await office.configure("token-1")
    await office.assign()
    await office.quiet()
    phone.errors.clear()

    await office.later(days=7)

    assert (await office.target(phone)).state is TargetState.VERIFIED


async def test_a_read_back_that_fails_now_and_then_is_asked_for_again(office: Office, verified: Handset) -> None:
    verified.errors["ManagedApplicationConfiguration"] = BUSY
    await office.configure("token-2")
    await office.quiet()
    first = await office.target(verified)
    assert (first.state, first.reason) == (TargetState.ACKNOWLEDGED, "The device is busy.")
    verified.errors.clear()

    await office.later(minutes=15)

    assert (await office.target(verified)).state is TargetState.VERIFIED
    assert verified.request_types.count("Settings") == 1


async def test_a_read_back_that_always_fails_ends_as_not_verifiable(office: Office, verified: Handset) -> None:
    verified.errors["ManagedApplicationConfiguration"] = BUSY
    await office.configure("token-2")
    await office.quiet()
    await office.later(minutes=15)
    await office.later(hours=1)

    assert (await office.target(verified)).state is TargetState.NOT_VERIFIABLE


async def test_a_configuration_that_went_along_is_sent_and_still_to_be_read_back(office: Office) -> None:
    phone = await office.phone()
    await office.configure("token-1")
    await office.assign()
    await office.work()
    install = await phone.take()
    assert install is not None
    assert install.payload["Configuration"] == {PINGID_TOKEN: "token-1"}
    await phone.answer(install)
    await office.services.results.work_through()

    target = await office.target(phone)
    assert (target.state, target.sent_revision) == (TargetState.ACKNOWLEDGED, target.wanted_revision)
    assert await office.counts() == {Progress.SENT: 1}
    await office.quiet()
    assert "Settings" not in phone.request_types
    assert (await office.target(phone)).state is TargetState.VERIFIED


async def test_an_app_that_the_person_removes_is_missed_and_comes_back_with_its_token(
    office: Office, verified: Handset
) -> None:
    verified.status = "ManagedButUninstalled"
    await office.later(days=7)

    assert (await office.target(verified, APP)).state is TargetState.APP_MISSING
    assert (await office.target(verified)).state is TargetState.APP_MISSING
    assert (await office.target(verified)).verified_at is None
    assert "the person removed it" in await office.why(verified, APP)
    verified.status = "Managed"
    verified.apps.clear()
    verified.forget()

    await office.later(minutes=15)
    await office.later(seconds=20)

    assert verified.request_types[0] == "InstallApplication"
    assert verified.configuration == {PINGID_TOKEN: "token-1"}
    assert (await office.target(verified)).state is TargetState.VERIFIED


async def test_an_app_that_came_back_without_its_configuration_gets_it_at_once(
    office: Office, verified: Handset
) -> None:
    await office.later(days=1)
    verified.status = "ManagedButUninstalled"
    await office.later(days=6)
    verified.status = "Managed"
    verified.apps[PINGID] = None
    verified.errors["InstallApplication"] = BUSY
    verified.extra["InstallApplication"] = {"RejectionReason": "AppAlreadyInstalled"}

    await office.later(minutes=15)
    await office.later(seconds=20)

    assert verified.configuration == {PINGID_TOKEN: "token-1"}
    assert (await office.target(verified)).state is TargetState.VERIFIED


VALUES: dict[str, Any] = {
    "flag": True, "number": 1, "real": 1.5, "whole": 2.0, "text": "ü\n<&>", "list": [1, "a", {"b": False}],
    "nested": {"deep": {"er": b"\x00\xff"}}, PINGID_TOKEN: "token-1",
}  # fmt: skip


async def test_every_type_of_value_arrives_and_is_proved(office: Office, verified: Handset) -> None:
    values = VALUES | {"when": office.clock().replace(microsecond=0)}
    await office.configure(values=values)

    await office.quiet()

    assert verified.configuration == values
    assert (await office.target(verified)).state is TargetState.VERIFIED


@pytest.mark.parametrize(
    ("key", "answered"),
    [
        ("flag", 1), ("number", True), ("number", "1"), ("real", 1.25), ("list", ["a", 1, {"b": False}]),
        ("nested", {"deep": {"er": b"\x00\xfe"}}), ("text", "u"), ("text", b"\xc3\xbc\n<&>"),
    ],
)  # fmt: skip
async def test_a_value_that_differs_in_type_order_or_content_is_drift(
    office: Office, verified: Handset, key: str, answered: object
) -> None:
    await office.configure(values=VALUES)
    await office.quiet()
    verified.apps[PINGID] = VALUES | {key: answered}
    verified.forgets_settings = True

    await office.later(days=7)

    target = await office.target(verified)
    assert target.state is TargetState.DRIFTED
    assert target.reason is not None
    assert target.reason.endswith(key)
