"""Enrollments as people see them: referring to them, listing, counting."""

import pytest

from mdmserver.devices.model import EnrollmentFilter, EnrollmentState
from mdmserver.errors import Conflict, Invalid, NotFound
from tests.fleet import Fleet, authenticate, certificate, device_id, user_id

EVERYTHING = EnrollmentFilter()


async def test_a_device_is_shown_by_id_and_by_serial_number(fleet: Fleet) -> None:
    await fleet.enroll(1)
    serial = authenticate(device_id(1)).serial_number
    assert serial is not None

    for reference in (str(device_id(1)), serial):
        assert (await fleet.services.devices.show(reference)).id == device_id(1)


@pytest.mark.parametrize("reference", ["", "nobody", "' OR 1=1 --", "é\x00"])
async def test_what_is_not_there_is_not_found(fleet: Fleet, reference: str) -> None:
    await fleet.enroll(1)

    with pytest.raises(NotFound):
        await fleet.services.devices.show(reference)


async def test_a_serial_number_of_two_devices_is_ambiguous(fleet: Fleet) -> None:
    for number in (1, 10_001):
        await fleet.enroll(number)
    serial = authenticate(device_id(1)).serial_number
    assert serial is not None

    with pytest.raises(Conflict, match="fits 2 enrollments"):
        await fleet.services.devices.show(serial)


async def test_a_list_is_read_page_by_page_in_the_order_of_enrollment(fleet: Fleet) -> None:
    for number in range(5):
        await fleet.enroll(number)
    seen, cursor = [], None

    for _ in range(3):
        page = await fleet.services.devices.enrollments(EVERYTHING, cursor=cursor, limit=2)
        seen += [enrollment.id for enrollment in page.items]
        cursor = page.next_cursor

    assert seen == [device_id(number) for number in range(5)]
    assert cursor is None


@pytest.mark.parametrize("limit", [0, -1, 1001])
async def test_a_page_has_one_to_a_thousand_items(fleet: Fleet, limit: int) -> None:
    with pytest.raises(Invalid):
        await fleet.services.devices.enrollments(EVERYTHING, cursor=None, limit=limit)


async def test_a_cursor_of_somebody_elses_is_invalid(fleet: Fleet) -> None:
    with pytest.raises(Invalid):
        await fleet.services.devices.enrollments(EVERYTHING, cursor="mine", limit=1)


async def test_states_are_counted_over_devices_and_users(fleet: Fleet) -> None:
    await fleet.enroll(1)
    await fleet.log_in(1)
    await fleet.authenticate(2)
    await fleet.check_out(await fleet.enroll(3), certificate(3))

    assert await fleet.services.devices.counts() == {
        "enrolled": 2, "enrolling": 1, "erased": 0, "ended": 1,
    }  # fmt: skip
    enrolling = await fleet.services.devices.enrollments(
        EnrollmentFilter(state=EnrollmentState.ENROLLING), cursor=None, limit=9
    )
    assert [enrollment.id for enrollment in enrolling.items] == [device_id(2)]


async def test_a_timeline_belongs_to_one_channel(fleet: Fleet) -> None:
    await fleet.enroll(1)
    await fleet.log_in(1)

    assert await fleet.kinds(device_id(1)) == ["enrollment_began", "enrolled"]
    assert await fleet.kinds(user_id(1)) == ["enrolled"]
