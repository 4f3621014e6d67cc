"""Which command a device is given: priority, time, stubbornness, long queues, channels."""

from datetime import timedelta

import pytest

from mdmserver.checkin.exchange import OPEN_WINDOW
from mdmserver.commands.model import STUBBORN_DELIVERIES, ItemState
from mdmserver.protocol import EnrollmentID, Status
from tests.fleet import START, FakeClock, Fleet, certificate, plist_command

LONG = OPEN_WINDOW + 6


@pytest.fixture
async def device(fleet: Fleet) -> EnrollmentID:
    """An enrolled device."""
    return await fleet.enroll(1)


async def test_a_higher_priority_goes_first_and_equals_in_order(fleet: Fleet, device: EnrollmentID) -> None:
    for uuid, priority in (("plain 1", 0), ("urgent 1", 9), ("patient", -9), ("plain 2", 0), ("urgent 2", 9)):
        await fleet.enqueue(uuid, device, priority=priority)

    served = [await fleet.idle(device)]
    while served[-1] is not None:
        served.append(await fleet.answer(device, served[-1]))

    assert served == ["urgent 1", "urgent 2", "plain 1", "plain 2", "patient", None]


async def test_a_command_is_held_back_until_its_time(fleet: Fleet, device: EnrollmentID, clock: FakeClock) -> None:
    await fleet.enqueue("later", device, not_before=START + timedelta(hours=1))
    await fleet.enqueue("now", device)

    assert await fleet.idle(device) == "now"
    assert await fleet.answer(device, "now") is None
    clock.advance(hours=1)
    assert await fleet.idle(device) == "later"


async def test_a_command_is_not_offered_after_its_time_even_before_the_sweep(
    fleet: Fleet, device: EnrollmentID, clock: FakeClock
) -> None:
    await fleet.enqueue("short", device, expires_at=START + timedelta(hours=1))
    clock.advance(minutes=59)
    assert await fleet.idle(device) == "short"

    clock.advance(minutes=1)

    assert await fleet.idle(device) is None


async def test_five_unanswered_deliveries_put_a_command_behind_the_others(fleet: Fleet, device: EnrollmentID) -> None:
    await fleet.enqueue("stubborn", device, priority=9)
    await fleet.enqueue("plain", device)

    served = [await fleet.idle(device) for _ in range(STUBBORN_DELIVERIES + 1)]

    assert served == ["stubborn"] * STUBBORN_DELIVERIES + ["plain"]
    assert await fleet.answer(device, "plain") == "stubborn"
    assert await fleet.answer(device, "stubborn") is None


async def test_a_command_that_is_put_off_again_and_again_is_not_stubborn(fleet: Fleet, device: EnrollmentID) -> None:
    await fleet.enqueue("put off", device)
    for _ in range(STUBBORN_DELIVERIES * 2):
        await fleet.idle(device)
        await fleet.not_now(device, "put off")

    await fleet.enqueue("younger", device)

    assert await fleet.idle(device) == "put off"


async def test_every_target_gets_the_same_bytes_and_every_delivery_too(fleet: Fleet) -> None:
    devices = [await fleet.enroll(number) for number in range(5)]
    await fleet.enqueue("C1", *devices)

    bodies = [await fleet.report(device, Status.IDLE) for device in devices * 2]

    assert set(bodies) == {plist_command("C1")}


async def test_a_user_channel_has_a_queue_of_its_own(fleet: Fleet, device: EnrollmentID) -> None:
    user, other = await fleet.log_in(1, user=1), await fleet.log_in(1, user=2)
    await fleet.enqueue("for the device", device)
    await fleet.enqueue("for the user", user)

    assert await fleet.idle(other) is None
    assert await fleet.idle(user) == "for the user"
    assert await fleet.answer(user, "for the device") == "for the user"
    assert await fleet.idle(device) == "for the device"
    assert await fleet.states(device) == {"for the device": ItemState.SENT}


async def test_a_user_that_is_not_enrolled_gets_nothing_and_is_not_refused(fleet: Fleet, device: EnrollmentID) -> None:
    user = await fleet.log_in(1)
    await fleet.enqueue("for the user", user)
    await fleet.check_out(user, certificate(1))

    assert await fleet.idle(user) is None
    assert await fleet.idle(EnrollmentID(user.type, user.device, "never seen")) is None


async def test_a_queue_longer_than_the_window_is_served_in_order(fleet: Fleet, device: EnrollmentID) -> None:
    uuids = [f"C{number}" for number in range(LONG)]
    for uuid in uuids:
        await fleet.enqueue(uuid, device)

    served = [await fleet.idle(device)]
    while served[-1] is not None:
        served.append(await fleet.answer(device, served[-1]))

    assert served == [*uuids, None]


async def test_what_lies_behind_a_window_of_put_off_commands_is_offered(fleet: Fleet, device: EnrollmentID) -> None:
    uuids = [f"C{number}" for number in range(LONG)]
    for uuid in uuids:
        await fleet.enqueue(uuid, device)

    served = [await fleet.idle(device)]
    while served[-1] is not None:
        served.append(await fleet.not_now(device, served[-1]))

    assert served == [*uuids, None]
    assert await fleet.idle(device) == "C0"


async def test_what_lies_behind_a_window_of_withdrawn_commands_is_offered(fleet: Fleet, device: EnrollmentID) -> None:
    uuids = [f"C{number}" for number in range(OPEN_WINDOW)]
    for number, uuid in enumerate(uuids):
        # The youngest has the highest priority, so that each is out before the next is queued.
        await fleet.enqueue(uuid, device, priority=number - 50)
        assert await fleet.idle(device) == uuid
    await fleet.enqueue("last", device, priority=-99)
    for uuid in uuids:
        await fleet.cancel(uuid)

    assert await fleet.idle(device) == "last"
    assert set((await fleet.states(device)).values()) == {ItemState.CANCELLED, ItemState.SENT}


async def test_a_result_for_a_command_behind_the_window_is_taken(fleet: Fleet, device: EnrollmentID) -> None:
    for number in range(LONG):
        await fleet.enqueue(f"C{number}", device)

    assert await fleet.answer(device, f"C{LONG - 1}") == "C0"

    assert (await fleet.states(device))[f"C{LONG - 1}"] is ItemState.ACKNOWLEDGED


async def test_an_idle_with_nothing_to_do_writes_nothing(fleet: Fleet, device: EnrollmentID) -> None:
    async def changes() -> int:
        row = await fleet.services.storage.run(lambda tx: tx.fetch_one("SELECT total_changes()"))
        assert row is not None
        return int(row[0])

    before = await changes()

    await fleet.idle(device)

    assert await changes() == before
