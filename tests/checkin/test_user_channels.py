"""User channels: of a Mac, of a user enrollment, of a Shared iPad."""

from dataclasses import replace

import pytest

from mdmserver.checkin.model import EMPTY
from mdmserver.devices.model import EnrollmentState
from mdmserver.errors import IdentityRefused
from mdmserver.protocol import CheckOut, EnrollmentID, EnrollmentType, to_plist
from mdmserver.protocol import enrollment_id_of as id_of
from tests.fleet import TOPIC, Fleet, authenticate, certificate, device_id, token_update, user_id

UE_DEVICE = EnrollmentID(EnrollmentType.USER_ENROLLMENT_DEVICE, "0011-AABB")
UE_USER = EnrollmentID(EnrollmentType.USER_ENROLLMENT, "0011-AABB", "ann@example.com")
IPAD_USERS = [EnrollmentID(EnrollmentType.SHARED_IPAD, device_id(1).device, name) for name in ("ann", "bob")]


async def test_a_users_token_update_makes_the_channel(fleet: Fleet) -> None:
    await fleet.enroll(1)
    said = replace(token_update(user_id(1)), user_short_name="ann", user_long_name="Ann Example")

    assert await fleet.services.checkin.answer(said, certificate(1)) == EMPTY

    user = await fleet.enrollment(user_id(1))
    assert (user.state, user.token_update_tally, user.life) == (EnrollmentState.ENROLLED, 1, 1)
    assert (user.user_short_name, user.user_long_name) == ("ann", "Ann Example")
    assert await fleet.kinds(user_id(1)) == ["enrolled"]


async def test_a_user_without_its_device_is_refused(fleet: Fleet) -> None:
    with pytest.raises(IdentityRefused):
        await fleet.token_update(user_id(1), certificate(1))


async def test_a_users_token_is_not_its_devices(fleet: Fleet) -> None:
    await fleet.enroll(1)

    await fleet.log_in(1)

    assert (await fleet.enrollment(device_id(1))).token_update_tally == 1


async def test_a_new_life_ends_the_users_and_a_token_update_brings_one_back(fleet: Fleet) -> None:
    await fleet.enroll(1)
    for user in (1, 2):
        await fleet.log_in(1, user)

    await fleet.enroll(1)
    after = [(await fleet.enrollment(user_id(1, user))).state for user in (1, 2)]
    await fleet.log_in(1, user=2)

    back = await fleet.enrollment(user_id(1, 2))
    assert after == [EnrollmentState.ENDED, EnrollmentState.ENDED]
    assert (back.state, back.life, back.token_update_tally, back.ended_at) == (EnrollmentState.ENROLLED, 2, 1, None)
    assert (await fleet.enrollment(user_id(1, 1))).state is EnrollmentState.ENDED
    assert await fleet.kinds(user_id(1, 2)) == ["enrolled", "enrolled"]


async def test_a_users_check_out_leaves_the_device_and_the_other_users(fleet: Fleet) -> None:
    device = await fleet.enroll(1)
    users = [await fleet.log_in(1, user) for user in (1, 2)]

    await fleet.check_out(users[0], certificate(1))

    states = [(await fleet.enrollment(channel)).state for channel in (device, *users)]
    assert states == [EnrollmentState.ENROLLED, EnrollmentState.ENDED, EnrollmentState.ENROLLED]
    assert (await fleet.kinds(users[0]))[-1] == "checked_out"


async def test_a_user_that_was_never_there_checks_out_without_a_trace(fleet: Fleet) -> None:
    await fleet.enroll(1)

    gone = CheckOut(enrollment_id=user_id(1), topic=TOPIC)

    assert await fleet.services.checkin.answer(gone, certificate(1)) == EMPTY
    assert (await fleet.services.devices.counts())["ended"] == 0


async def test_a_devices_check_out_ends_its_users(fleet: Fleet) -> None:
    await fleet.enroll(1)
    user = await fleet.log_in(1)

    await fleet.check_out(device_id(1), certificate(1))

    assert (await fleet.enrollment(user)).state is EnrollmentState.ENDED
    with pytest.raises(IdentityRefused):
        await fleet.idle(user)


async def test_a_user_enrollment_has_a_user_channel(fleet: Fleet) -> None:
    await fleet.services.checkin.answer(authenticate(UE_DEVICE), certificate(1))
    await fleet.token_update(UE_DEVICE, certificate(1))
    await fleet.token_update(UE_USER, certificate(1))
    await fleet.enqueue("C1", UE_USER)

    assert (await fleet.enrollment(UE_USER)).state is EnrollmentState.ENROLLED
    assert list(await fleet.items(UE_USER)) == ["C1"]
    assert await fleet.items(UE_DEVICE) == {}


async def test_users_of_a_shared_ipad_are_told_apart_by_their_short_names(fleet: Fleet) -> None:
    await fleet.enroll(1)
    for user in IPAD_USERS:
        message = token_update(user)
        assert id_of(to_plist(message)) == user
        await fleet.services.checkin.answer(message, certificate(1))
    await fleet.enqueue("C1", IPAD_USERS[0])

    assert await fleet.idle(IPAD_USERS[1]) is None
    assert await fleet.idle(IPAD_USERS[0]) == "C1"


async def test_a_user_id_that_reads_like_a_shared_ipads_is_another_channel(fleet: Fleet) -> None:
    await fleet.enroll(1)
    twin = EnrollmentID(EnrollmentType.USER, device_id(1).device, "ann")
    for id in (IPAD_USERS[0], twin):
        await fleet.token_update(id, certificate(1))

    rows = {await fleet.services.devices.resolve(id.key) for id in (IPAD_USERS[0], twin)}

    assert len(rows) == 2
