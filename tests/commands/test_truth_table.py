"""The queue truth table of the reference (compatibility.md section 6), through the exchange and a real database."""

import pytest

from mdmserver.commands.model import ItemState
from mdmserver.protocol import EnrollmentID, Status
from tests.fleet import Fleet


@pytest.fixture
async def device(fleet: Fleet) -> EnrollmentID:
    """An enrolled device."""
    return await fleet.enroll(1)


async def test_idle_gets_the_first_and_acknowledging_the_next_until_nothing_is_left(
    fleet: Fleet, device: EnrollmentID
) -> None:
    await fleet.enqueue("C1", device)
    await fleet.enqueue("C2", device)

    assert await fleet.idle(device) == "C1"
    assert await fleet.answer(device, "C1") == "C2"
    assert await fleet.answer(device, "C2") is None
    assert await fleet.idle(device) is None


async def test_a_command_put_off_alone_is_answered_with_nothing_and_offered_at_the_next_idle(
    fleet: Fleet, device: EnrollmentID
) -> None:
    await fleet.enqueue("C3", device)

    assert await fleet.idle(device) == "C3"
    assert await fleet.not_now(device, "C3") is None
    assert await fleet.idle(device) == "C3"


async def test_a_command_put_off_lets_the_others_through_and_is_offered_again_after_them(
    fleet: Fleet, device: EnrollmentID
) -> None:
    await fleet.enqueue("A", device)
    await fleet.enqueue("B", device)
    await fleet.idle(device)

    assert await fleet.not_now(device, "A") == "B"
    assert await fleet.answer(device, "B") == "A"
    assert await fleet.answer(device, "A") is None
    assert await fleet.idle(device) is None


async def test_an_unanswered_command_is_served_again_at_the_next_idle(fleet: Fleet, device: EnrollmentID) -> None:
    await fleet.enqueue("C1", device)

    assert [await fleet.idle(device) for _ in range(3)] == ["C1", "C1", "C1"]


@pytest.mark.parametrize("status", [Status.ACKNOWLEDGED, Status.ERROR, Status.COMMAND_FORMAT_ERROR, Status.NOT_NOW])
async def test_a_report_for_an_unknown_command_changes_nothing_and_gets_the_next(
    fleet: Fleet, device: EnrollmentID, status: Status
) -> None:
    await fleet.enqueue("C1", device)

    assert await fleet.answer(device, "unknown", status) == "C1"
    assert await fleet.states(device) == {"C1": ItemState.SENT}


@pytest.mark.parametrize("status", [Status.ACKNOWLEDGED, Status.ERROR, Status.COMMAND_FORMAT_ERROR, Status.NOT_NOW])
async def test_a_report_for_a_finished_command_changes_nothing_and_gets_the_next(
    fleet: Fleet, device: EnrollmentID, status: Status
) -> None:
    await fleet.enqueue("C1", device)
    await fleet.enqueue("C2", device)
    await fleet.idle(device)
    await fleet.answer(device, "C1")
    before = (await fleet.items(device))["C1"]

    assert await fleet.answer(device, "C1", status) == "C2"
    assert (await fleet.items(device))["C1"] == before


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (Status.ACKNOWLEDGED, ItemState.ACKNOWLEDGED),
        (Status.ERROR, ItemState.ERROR),
        (Status.COMMAND_FORMAT_ERROR, ItemState.FORMAT_ERROR),
    ],
)
async def test_each_answer_has_its_final_state_and_keeps_its_result(
    fleet: Fleet, device: EnrollmentID, status: Status, state: ItemState
) -> None:
    await fleet.enqueue("C1", device)
    await fleet.idle(device)

    await fleet.answer(device, "C1", status)

    row = await fleet.services.devices.resolve(str(device))
    uuid = (await fleet.items(device))["C1"].command_uuid
    detail = await fleet.services.commands.item(uuid, row)
    assert detail.item.state is state
    assert detail.result is not None
    assert detail.result.status is status
    assert b"<string>C1</string>" in detail.result.body


async def test_a_late_not_now_never_reopens_what_is_finished(fleet: Fleet, device: EnrollmentID) -> None:
    await fleet.enqueue("C1", device)
    await fleet.idle(device)
    await fleet.answer(device, "C1")

    assert await fleet.not_now(device, "C1") is None
    assert await fleet.idle(device) is None
    assert await fleet.states(device) == {"C1": ItemState.ACKNOWLEDGED}


async def test_a_stray_result_does_not_wipe_the_queue(fleet: Fleet, device: EnrollmentID) -> None:
    for uuid in ("C1", "C2", "C3"):
        await fleet.enqueue(uuid, device)
    await fleet.idle(device)

    await fleet.answer(device, "stray", Status.ERROR)

    assert await fleet.answer(device, "C1") == "C2"
    assert await fleet.answer(device, "C2") == "C3"
    assert await fleet.answer(device, "C3") is None


async def test_the_same_answer_twice_is_one_answer(fleet: Fleet, device: EnrollmentID) -> None:
    await fleet.enqueue("C1", device)
    await fleet.idle(device)

    await fleet.answer(device, "C1", Status.ACKNOWLEDGED)
    await fleet.answer(device, "C1", Status.ERROR)

    assert await fleet.states(device) == {"C1": ItemState.ACKNOWLEDGED}
