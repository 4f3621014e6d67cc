"""What devices answer becomes what is known of them."""

from dataclasses import replace

import pytest

from mdmserver.commands.model import ReportedResult
from mdmserver.devices.model import DeviceFacts
from mdmserver.events import Hint
from mdmserver.protocol import CommandReport, CommandUUID, EnrollmentID, Status
from tests.fleet import Fleet, certificate, token_update

ANSWERS = {"SerialNumber": "C0NEW", "OSVersion": "15.2", "DeviceName": "A Mac", "IsSupervised": True, "Model": 7}


@pytest.fixture
async def device(fleet: Fleet) -> EnrollmentID:
    """An enrolled device."""
    return await fleet.enroll(1)


async def ask(fleet: Fleet, device: EnrollmentID, request_type: str, response: dict[str, object]) -> None:
    await fleet.enqueue("C1", device, request_type=request_type)
    await fleet.idle(device)
    await fleet.report(device, Status.ACKNOWLEDGED, "C1", response=response)


async def test_device_information_updates_the_facts(fleet: Fleet, device: EnrollmentID) -> None:
    await ask(fleet, device, "DeviceInformation", {"QueryResponses": ANSWERS})

    assert await fleet.services.results.work_through() == 1

    facts = (await fleet.enrollment(device)).facts
    assert facts == DeviceFacts(serial_number="C0NEW", os_version="15.2", device_name="A Mac", model="Mac15,3")


async def test_a_result_is_worked_through_once(fleet: Fleet, device: EnrollmentID) -> None:
    await ask(fleet, device, "DeviceInformation", {"QueryResponses": ANSWERS})
    await fleet.services.results.work_through()

    assert await fleet.services.results.work_through() == 0


@pytest.mark.parametrize("response", [{}, {"QueryResponses": "none"}, {"QueryResponses": {"OSVersion": 15}}])
async def test_an_answer_that_tells_nothing_changes_nothing(
    fleet: Fleet, device: EnrollmentID, response: dict[str, object]
) -> None:
    before = (await fleet.enrollment(device)).facts
    await ask(fleet, device, "DeviceInformation", response)

    assert await fleet.services.results.work_through() == 1
    assert (await fleet.enrollment(device)).facts == before


async def test_a_fact_of_absurd_length_is_not_believed(fleet: Fleet, device: EnrollmentID) -> None:
    said = {"DeviceName": "x" * 5000, "OSVersion": "16.0"}
    await ask(fleet, device, "DeviceInformation", {"QueryResponses": said})

    await fleet.services.results.work_through()

    facts = (await fleet.enrollment(device)).facts
    assert facts.device_name is None
    assert facts.os_version == "16.0"


async def test_a_device_that_was_configured_awaits_it_no_longer(fleet: Fleet, device: EnrollmentID) -> None:
    row = await fleet.services.devices.resolve(str(device))
    await fleet.services.storage.run(
        lambda tx: tx.execute("UPDATE enrollment SET awaiting_configuration = 1 WHERE id = ?", row)
    )
    await ask(fleet, device, "DeviceConfigured", {})

    await fleet.services.results.work_through()

    assert (await fleet.enrollment(device)).awaiting_configuration is False
    assert (await fleet.kinds(device))[-1] == "configured"


async def test_a_device_that_could_not_be_configured_awaits_it_still(fleet: Fleet, device: EnrollmentID) -> None:
    await fleet.services.checkin.answer(replace(token_update(device), awaiting_configuration=True), certificate(1))
    await fleet.enqueue("C1", device, request_type="DeviceConfigured")
    await fleet.idle(device)
    await fleet.report(device, Status.ERROR, "C1")

    await fleet.services.results.work_through()

    assert (await fleet.enrollment(device)).awaiting_configuration is True


async def test_what_comes_with_an_error_is_not_believed(fleet: Fleet, device: EnrollmentID) -> None:
    before = (await fleet.enrollment(device)).facts
    await fleet.enqueue("C1", device, request_type="DeviceInformation")
    await fleet.idle(device)
    await fleet.report(device, Status.ERROR, "C1", response={"QueryResponses": ANSWERS})

    await fleet.services.results.work_through()

    assert (await fleet.enrollment(device)).facts == before


async def test_a_result_to_work_through_is_hinted_at_and_any_other_is_not(fleet: Fleet, device: EnrollmentID) -> None:
    await ask(fleet, device, "DeviceInformation", {"QueryResponses": ANSWERS})
    assert await fleet.services.hints.wait(Hint.RESULTS, at_most_seconds=0) is True

    await fleet.enqueue("C2", device, request_type="SecurityInfo")
    await fleet.idle(device)
    await fleet.answer(device, "C2")
    assert await fleet.services.hints.wait(Hint.RESULTS, at_most_seconds=0) is False


async def test_an_unreadable_result_is_kept_and_taught_nothing(fleet: Fleet, device: EnrollmentID) -> None:
    await fleet.enqueue("C1", device, request_type="DeviceInformation")
    await fleet.idle(device)
    report = CommandReport(enrollment_id=device, status=Status.ACKNOWLEDGED, command_uuid=CommandUUID("C1"))
    result = ReportedResult(status=Status.ACKNOWLEDGED, body=b"<plist", is_readable=False)

    await fleet.services.exchange.report(report, certificate(1), result)

    assert await fleet.services.results.work_through() == 1
    [(_, kept)] = (await fleet.services.commands.results(CommandUUID("C1"), cursor=None, limit=9)).items
    assert (kept.body, kept.is_readable) == (b"<plist", False)
