"""How commands end without an answer: cancelled, expired, a life over; and the answer that comes all the same."""

from datetime import timedelta

import pytest

from mdmserver.commands.model import ItemState
from mdmserver.errors import NotFound
from mdmserver.protocol import CommandUUID, EnrollmentID, Status
from tests.fleet import ADMIN, START, FakeClock, Fleet, certificate

HOUR = timedelta(hours=1)
ANSWERS = [
    (Status.ACKNOWLEDGED, ItemState.ACKNOWLEDGED),
    (Status.ERROR, ItemState.ERROR),
    (Status.COMMAND_FORMAT_ERROR, ItemState.FORMAT_ERROR),
]


@pytest.fixture
async def device(fleet: Fleet) -> EnrollmentID:
    """An enrolled device."""
    return await fleet.enroll(1)


async def state_of(fleet: Fleet, device: EnrollmentID, uuid: str = "C1") -> ItemState:
    return (await fleet.states(device))[uuid]


async def test_a_waiting_command_expires_at_the_sweep(fleet: Fleet, device: EnrollmentID, clock: FakeClock) -> None:
    await fleet.enqueue("C1", device, expires_at=START + HOUR)

    assert await fleet.services.commands.expire_due() == 0
    clock.advance(hours=1)

    assert await fleet.services.commands.expire_due() == 1
    item = (await fleet.items(device))["C1"]
    assert (item.state, item.finished_at, item.reason) == (ItemState.EXPIRED, START + HOUR, "its time ran out")


async def test_a_sent_command_is_withdrawn_when_its_time_runs_out_and_the_next_idle_ends_it(
    fleet: Fleet, device: EnrollmentID, clock: FakeClock
) -> None:
    await fleet.enqueue("C1", device, expires_at=START + HOUR)
    await fleet.idle(device)
    clock.advance(hours=1)
    await fleet.services.commands.expire_due()
    assert await state_of(fleet, device) is ItemState.WITHDRAWN

    assert await fleet.idle(device) is None

    assert await state_of(fleet, device) is ItemState.EXPIRED


@pytest.mark.parametrize(("status", "state"), ANSWERS)
async def test_an_answer_that_was_on_its_way_decides_over_expiry(
    fleet: Fleet, device: EnrollmentID, clock: FakeClock, status: Status, state: ItemState
) -> None:
    await fleet.enqueue("C1", device, expires_at=START + HOUR)
    await fleet.idle(device)
    clock.advance(hours=1)
    await fleet.services.commands.expire_due()

    await fleet.answer(device, "C1", status)

    item = (await fleet.items(device))["C1"]
    assert (item.state, item.reason) == (state, "answered after it was expired")


async def test_cancelling_ends_a_waiting_command_at_once(fleet: Fleet, device: EnrollmentID) -> None:
    await fleet.enqueue("C1", device)

    assert await fleet.cancel("C1") == 1

    assert await state_of(fleet, device) is ItemState.CANCELLED
    assert await fleet.idle(device) is None


async def test_cancelling_ends_a_command_that_was_put_off_at_once(fleet: Fleet, device: EnrollmentID) -> None:
    await fleet.enqueue("C1", device)
    await fleet.idle(device)
    await fleet.not_now(device, "C1")

    await fleet.cancel("C1")

    assert await state_of(fleet, device) is ItemState.CANCELLED


async def test_a_cancelled_command_that_is_out_is_not_offered_and_ends_at_the_next_idle(
    fleet: Fleet, device: EnrollmentID
) -> None:
    await fleet.enqueue("C1", device)
    await fleet.idle(device)
    await fleet.cancel("C1")
    assert await state_of(fleet, device) is ItemState.WITHDRAWN

    assert await fleet.answer(device, "stray") is None
    assert await state_of(fleet, device) is ItemState.WITHDRAWN
    assert await fleet.idle(device) is None
    assert await state_of(fleet, device) is ItemState.CANCELLED


@pytest.mark.parametrize(("status", "state"), ANSWERS)
async def test_an_answer_that_was_on_its_way_decides_over_cancelling(
    fleet: Fleet, device: EnrollmentID, status: Status, state: ItemState
) -> None:
    await fleet.enqueue("C1", device)
    await fleet.idle(device)
    await fleet.cancel("C1")

    await fleet.answer(device, "C1", status)

    assert await state_of(fleet, device) is state


async def test_a_cancelled_command_that_is_put_off_is_over(fleet: Fleet, device: EnrollmentID) -> None:
    await fleet.enqueue("C1", device)
    await fleet.idle(device)
    await fleet.cancel("C1")

    assert await fleet.not_now(device, "C1") is None
    assert await state_of(fleet, device) is ItemState.CANCELLED


async def test_cancelling_some_targets_leaves_the_others(fleet: Fleet, device: EnrollmentID) -> None:
    other = await fleet.enroll(2)
    await fleet.enqueue("C1", device, other)
    row = await fleet.services.devices.resolve(str(device))

    assert await fleet.services.commands.cancel(CommandUUID("C1"), [row], actor=ADMIN) == 1

    assert await fleet.idle(device) is None
    assert await fleet.idle(other) == "C1"


async def test_cancelling_what_is_finished_changes_nothing(fleet: Fleet, device: EnrollmentID) -> None:
    await fleet.enqueue("C1", device)
    await fleet.idle(device)
    await fleet.answer(device, "C1")

    assert await fleet.cancel("C1") == 0
    assert await state_of(fleet, device) is ItemState.ACKNOWLEDGED


async def test_cancelling_an_unknown_command_is_not_found(fleet: Fleet) -> None:
    with pytest.raises(NotFound):
        await fleet.cancel("unknown")


async def test_a_queue_can_be_cleared_and_other_queues_stay(fleet: Fleet, device: EnrollmentID) -> None:
    user = await fleet.log_in(1)
    for uuid in ("C1", "C2"):
        await fleet.enqueue(uuid, device, user)
    row = await fleet.services.devices.resolve(str(device))

    assert await fleet.services.commands.clear_queue_of(row, actor=ADMIN) == 2

    assert await fleet.idle(device) is None
    assert await fleet.idle(user) == "C1"
    [*_, record] = (await fleet.services.audit.records(cursor=None, limit=100)).items
    assert (record.action, record.subject) == ("queue.clear", str(device))


async def test_a_new_life_clears_the_queues_of_the_device_and_its_users(fleet: Fleet, device: EnrollmentID) -> None:
    user = await fleet.log_in(1)
    await fleet.enqueue("C1", device, user)
    await fleet.idle(device)

    await fleet.enroll(1)

    for channel in (device, user):
        item = (await fleet.items(channel))["C1"]
        assert (item.state, item.reason) == (ItemState.CANCELLED, "the device enrolled again")
    assert await fleet.idle(device) is None


async def test_a_result_of_an_earlier_life_changes_nothing(fleet: Fleet, device: EnrollmentID) -> None:
    await fleet.enqueue("C1", device)
    await fleet.idle(device)
    await fleet.enroll(1)
    await fleet.enqueue("C2", device)

    assert await fleet.answer(device, "C1") == "C2"
    assert await state_of(fleet, device) is ItemState.CANCELLED


async def test_a_check_out_ends_what_is_open(fleet: Fleet, device: EnrollmentID) -> None:
    user = await fleet.log_in(1)
    await fleet.enqueue("C1", device, user)

    await fleet.check_out(device, certificate(1))

    for channel in (device, user):
        item = (await fleet.items(channel))["C1"]
        assert (item.state, item.reason) == (ItemState.CANCELLED, "the device checked out")


async def test_the_third_result_over_the_cap_ends_its_command_as_error(fleet: Fleet, device: EnrollmentID) -> None:
    await fleet.enqueue("C1", device)
    await fleet.idle(device)
    exchange = fleet.services.exchange

    for _ in range(2):
        await exchange.refuse_oversized(device, CommandUUID("C1"), certificate(1))
    before = await state_of(fleet, device)
    await exchange.refuse_oversized(device, CommandUUID("C1"), certificate(1))
    await exchange.refuse_oversized(device, CommandUUID("C1"), certificate(1))

    item = (await fleet.items(device))["C1"]
    assert (before, item.state, item.reason) == (ItemState.SENT, ItemState.ERROR, "result too large")
