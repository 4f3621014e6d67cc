"""Authenticate, TokenUpdate and CheckOut of a device: what each leaves behind."""

from dataclasses import replace

import pytest

from mdmserver.checkin.model import EMPTY
from mdmserver.devices.model import DeviceFacts, EnrollmentState
from mdmserver.errors import IdentityRefused
from mdmserver.protocol import (
    Authenticate,
    CheckinMessage,
    EnrollmentID,
    EnrollmentType,
    GetBootstrapToken,
    MessageMalformed,
    ReturnToService,
    SetBootstrapToken,
    Status,
)
from tests.fleet import START, TOPIC, FakeClock, Fleet, authenticate, certificate, device_id, token_update, user_id

DEVICE = device_id(1)


async def say(fleet: Fleet, message: CheckinMessage) -> None:
    assert await fleet.services.checkin.answer(message, certificate(1)) == EMPTY


async def has_unlock_token(fleet: Fleet) -> bool:
    async def body(tx: object) -> bool:
        row = await tx.fetch_one("SELECT unlock_token_sealed IS NOT NULL FROM enrollment")  # type: ignore[attr-defined]  # a transaction
        return bool(row[0])

    return await fleet.services.storage.read(body)


async def test_an_authenticate_begins_an_enrollment_that_is_not_enabled_yet(fleet: Fleet) -> None:
    message = Authenticate(
        enrollment_id=DEVICE, topic=TOPIC, serial_number="C01", model="Mac15,3", model_name="MacBook Pro",
        device_name="Ann's Mac", product_name="Mac15,3", os_version="15.1", build_version="24B83", imei="35",
        meid="99",
    )  # fmt: skip

    await say(fleet, message)

    record = await fleet.enrollment(DEVICE)
    assert (record.state, record.life, record.topic, record.token_update_tally) == (
        EnrollmentState.ENROLLING, 1, TOPIC, 0,
    )  # fmt: skip
    assert record.facts == DeviceFacts(
        serial_number="C01", model="Mac15,3", model_name="MacBook Pro", device_name="Ann's Mac",
        product_name="Mac15,3", os_version="15.1", build_version="24B83", imei="35", meid="99",
    )  # fmt: skip
    assert await fleet.kinds(DEVICE) == ["enrollment_began"]


async def test_an_authenticate_with_only_what_is_required_is_enough(fleet: Fleet) -> None:
    await say(fleet, Authenticate(enrollment_id=DEVICE, topic="any topic"))

    assert (await fleet.enrollment(DEVICE)).facts == DeviceFacts()


async def test_a_device_polls_between_authenticate_and_token_update(fleet: Fleet) -> None:
    await fleet.authenticate(1)

    assert await fleet.idle(DEVICE) is None


async def test_a_token_update_enrolls_and_counts(fleet: Fleet) -> None:
    await fleet.authenticate(1)

    for _ in range(2):
        await say(fleet, token_update(DEVICE))

    record = await fleet.enrollment(DEVICE)
    assert (record.state, record.token_update_tally, record.has_push_token, record.enrolled_at) == (
        EnrollmentState.ENROLLED, 2, True, START,
    )  # fmt: skip
    assert await fleet.kinds(DEVICE) == ["enrollment_began", "enrolled"]


async def test_a_token_nobody_can_use_enrolls_and_is_shown_as_missing(fleet: Fleet) -> None:
    await fleet.authenticate(1)

    await say(fleet, replace(token_update(DEVICE), token=None))

    record = await fleet.enrollment(DEVICE)
    assert (record.state, record.has_push_token) == (EnrollmentState.ENROLLED, False)


async def test_awaiting_configuration_stays_as_it_was_when_it_is_not_said(fleet: Fleet) -> None:
    await fleet.authenticate(1)
    said = []

    for awaiting in (True, None, False, None):
        await say(fleet, replace(token_update(DEVICE), awaiting_configuration=awaiting))
        said.append((await fleet.enrollment(DEVICE)).awaiting_configuration)

    assert said == [True, True, False, False]


async def test_an_unlock_token_stays_when_none_is_sent_and_goes_with_the_life(fleet: Fleet) -> None:
    await fleet.authenticate(1)
    await say(fleet, replace(token_update(DEVICE), unlock_token=b"unlock"))
    await say(fleet, token_update(DEVICE))
    kept = await has_unlock_token(fleet)

    await fleet.authenticate(1)

    assert (kept, await has_unlock_token(fleet)) == (True, False)


async def test_a_new_life_begins_from_nothing(fleet: Fleet) -> None:
    await fleet.enroll(1)
    await say(fleet, replace(token_update(DEVICE), awaiting_configuration=True))
    await say(fleet, SetBootstrapToken(enrollment_id=DEVICE, bootstrap_token=b"bootstrap"))

    await fleet.authenticate(1)

    record = await fleet.enrollment(DEVICE)
    assert (record.state, record.life, record.token_update_tally) == (EnrollmentState.ENROLLING, 2, 0)
    assert (record.has_push_token, record.awaiting_configuration, record.enrolled_at) == (False, False, None)
    assert await fleet.services.checkin.answer(GetBootstrapToken(enrollment_id=DEVICE), certificate(1)) == EMPTY
    await say(fleet, token_update(DEVICE))
    assert (await fleet.enrollment(DEVICE)).token_update_tally == 1


async def test_facts_a_device_does_not_repeat_stay_through_a_new_life(fleet: Fleet) -> None:
    await fleet.enroll(1)

    await say(fleet, Authenticate(enrollment_id=DEVICE, topic=TOPIC, os_version="15.2"))

    facts = (await fleet.enrollment(DEVICE)).facts
    assert (facts.serial_number, facts.os_version) == (authenticate(DEVICE).serial_number, "15.2")


async def test_a_check_out_ends_the_enrollment_and_its_certificate(fleet: Fleet, clock: FakeClock) -> None:
    await fleet.enroll(1)
    clock.advance(hours=1)

    await fleet.check_out(DEVICE, certificate(1))

    record = await fleet.enrollment(DEVICE)
    assert (record.state, record.ended_at, record.has_push_token) == (EnrollmentState.ENDED, clock.now, False)
    for message in (token_update(DEVICE), authenticate(DEVICE)):
        with pytest.raises(IdentityRefused):
            await fleet.services.checkin.answer(message, certificate(1))
    with pytest.raises(IdentityRefused):
        await fleet.report(DEVICE, Status.IDLE)
    assert await fleet.enrollment(DEVICE) == record


async def test_a_device_that_left_comes_back_with_another_certificate(fleet: Fleet) -> None:
    await fleet.enroll(1)
    await fleet.check_out(DEVICE, certificate(1))

    await fleet.enroll(1, certificate(1, version=2))

    record = await fleet.enrollment(DEVICE)
    assert (record.state, record.life, record.ended_at) == (EnrollmentState.ENROLLED, 2, None)
    assert await fleet.kinds(DEVICE) == ["enrollment_began", "enrolled", "checked_out", "new_life", "enrolled"]


@pytest.mark.parametrize("message", [authenticate(user_id(1)), ReturnToService(enrollment_id=user_id(1))])
async def test_what_belongs_to_the_device_channel_is_malformed_on_a_user_channel(
    fleet: Fleet, message: CheckinMessage
) -> None:
    await fleet.enroll(1)

    with pytest.raises(MessageMalformed):
        await fleet.services.checkin.answer(message, certificate(1))


async def test_a_user_enrollment_lives_as_a_device_does(fleet: Fleet) -> None:
    id = EnrollmentID(EnrollmentType.USER_ENROLLMENT_DEVICE, "0011-AABB")
    await say(fleet, authenticate(id))
    await say(fleet, token_update(id))

    record = await fleet.enrollment(id)
    assert (record.id, record.state) == (id, EnrollmentState.ENROLLED)

    await fleet.check_out(id, certificate(1))
    assert (await fleet.enrollment(id)).state is EnrollmentState.ENDED


async def test_what_a_device_did_last_is_known_before_it_is_written(fleet: Fleet, clock: FakeClock) -> None:
    await fleet.enroll(1)
    clock.advance(seconds=30)

    await fleet.idle(DEVICE)

    assert (await fleet.enrollment(DEVICE)).last_seen_at == clock.now
