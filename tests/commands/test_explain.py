"""Why a command is not there yet."""

from datetime import timedelta

import pytest

from mdmserver.commands.explain import Explanation
from mdmserver.commands.service import ItemDetail
from mdmserver.protocol import CommandUUID, EnrollmentID, Status, TokenUpdate
from mdmserver.push.model import Outcome
from tests.fleet import ADMIN, START, TOPIC, FakeClock, Fleet, certificate, device_id
from tests.push.fake_gateway import BAD_DEVICE_TOKEN, NO_ANSWER, UNREGISTERED, FakeGateway
from tests.push.identities import install


@pytest.fixture
async def device(fleet: Fleet) -> EnrollmentID:
    """An enrolled device."""
    return await fleet.enroll(1)


async def detail(fleet: Fleet, device: EnrollmentID, uuid: str = "C1") -> ItemDetail:
    row = await fleet.services.devices.resolve(str(device))
    return await fleet.services.commands.item(CommandUUID(uuid), row)


async def explained(fleet: Fleet, device: EnrollmentID, uuid: str = "C1") -> Explanation:
    return (await detail(fleet, device, uuid)).explanation


async def pushed(fleet: Fleet, device: EnrollmentID) -> None:
    """There is a push certificate, and the device was pushed at once."""
    await install(fleet.services)
    await fleet.services.push.send([str(device)], actor=ADMIN)


async def test_a_device_that_was_pushed_and_did_not_connect(
    fleet: Fleet, device: EnrollmentID, push_gateway: FakeGateway
) -> None:
    await fleet.enqueue("C1", device)
    await pushed(fleet, device)

    explanation = await explained(fleet, device)

    assert explanation.code == "device_not_connected"
    assert "last seen 2026-01-01T00:00:00+00:00" in explanation.text
    assert f"pushed at 2026-01-01T00:00:00+00:00 (apns-id {push_gateway.pushes[-1].apns_id})" in explanation.text
    assert explanation.text.endswith("it is pushed again at 2026-01-01T00:15:00+00:00")


async def test_a_device_that_is_to_be_pushed(fleet: Fleet, device: EnrollmentID) -> None:
    await fleet.enqueue("C1", device)

    explanation = await explained(fleet, device)

    assert explanation.code == "push_waiting"
    assert explanation.text.startswith("the device is to be pushed")


@pytest.mark.parametrize(
    ("outcome", "code", "said"),
    [
        (BAD_DEVICE_TOKEN, "push_refused", "400 BadDeviceToken"),
        (NO_ANSWER, "push_unanswered", "no answer from APNs (connection lost)"),
        (UNREGISTERED, "push_token_stopped", "410 Unregistered"),
    ],
)
async def test_a_device_whose_push_was_not_accepted(
    outcome: Outcome, code: str, said: str, fleet: Fleet, device: EnrollmentID, push_gateway: FakeGateway
) -> None:
    push_gateway.answer(outcome)
    await fleet.enqueue("C1", device)
    await pushed(fleet, device)

    explanation = await explained(fleet, device)

    assert explanation.code == code
    assert said in explanation.text


async def test_a_push_before_the_command_was_queued_does_not_count(
    fleet: Fleet, device: EnrollmentID, clock: FakeClock
) -> None:
    await pushed(fleet, device)
    clock.advance(hours=1)
    await fleet.enqueue("C1", device)

    assert (await explained(fleet, device)).code == "push_waiting"


async def test_a_device_without_a_push_token(fleet: Fleet, device: EnrollmentID) -> None:
    unusable = TokenUpdate(enrollment_id=device, topic=TOPIC, push_magic="magic", token=None)
    await fleet.services.checkin.answer(unusable, certificate(1))
    await fleet.enqueue("C1", device)

    assert (await explained(fleet, device)).code == "no_push_token"


async def test_a_device_that_has_not_finished_enrolling(fleet: Fleet) -> None:
    await fleet.authenticate(2)
    await fleet.enqueue("C1", device_id(2))

    assert (await explained(fleet, device_id(2))).code == "not_enrolled_yet"


async def test_a_command_behind_others(fleet: Fleet, device: EnrollmentID) -> None:
    for uuid in ("C1", "C2", "C3"):
        await fleet.enqueue(uuid, device)

    explanation = await explained(fleet, device, "C3")

    assert (explanation.code, explanation.text) == ("behind_others", "2 commands go before it")


async def test_a_command_that_is_held_back(fleet: Fleet, device: EnrollmentID) -> None:
    await fleet.enqueue("C1", device, not_before=START + timedelta(hours=1))

    assert (await explained(fleet, device)).code == "not_before"


async def test_a_command_whose_time_ran_out_before_the_sweep(
    fleet: Fleet, device: EnrollmentID, clock: FakeClock
) -> None:
    await fleet.enqueue("C1", device, expires_at=START + timedelta(hours=1))
    clock.advance(hours=1)

    assert (await explained(fleet, device)).code == "expiring"


async def test_a_command_that_is_out(fleet: Fleet, device: EnrollmentID) -> None:
    await fleet.enqueue("C1", device)
    await fleet.idle(device)

    explanation = await explained(fleet, device)

    assert explanation.code == "sent"
    assert "handed to the device 1 times" in explanation.text


async def test_a_command_that_was_put_off(fleet: Fleet, device: EnrollmentID) -> None:
    await fleet.enqueue("C1", device)
    await fleet.idle(device)
    await fleet.not_now(device, "C1")

    assert (await explained(fleet, device)).code == "not_now"


async def test_a_command_that_was_withdrawn(fleet: Fleet, device: EnrollmentID) -> None:
    await fleet.enqueue("C1", device)
    await fleet.idle(device)
    await fleet.cancel("C1")

    explanation = await explained(fleet, device)

    assert explanation.code == "withdrawn"
    assert explanation.text.startswith("cancelled while it was out")


async def test_a_command_that_has_ended_says_how_and_why(fleet: Fleet, device: EnrollmentID) -> None:
    await fleet.enqueue("C1", device)
    await fleet.cancel("C1")

    explanation = await explained(fleet, device)

    assert explanation.code == "cancelled"
    assert explanation.text.endswith(f"cancelled by {ADMIN.name}")


async def test_the_timeline_tells_what_happened_in_order(fleet: Fleet, device: EnrollmentID, clock: FakeClock) -> None:
    await fleet.enqueue("C1", device)
    for step in (fleet.idle(device), fleet.not_now(device, "C1"), fleet.idle(device)):
        clock.advance(minutes=1)
        await step
    clock.advance(minutes=1)
    await fleet.answer(device, "C1", Status.ERROR)

    found = await detail(fleet, device)

    assert [entry.kind for entry in found.timeline] == ["queued", "sent", "not_now", "sent", "error"]
    assert [entry.at - START for entry in found.timeline] == [timedelta(minutes=minutes) for minutes in range(5)]
    assert found.result is not None
