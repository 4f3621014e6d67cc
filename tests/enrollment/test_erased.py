"""After an acknowledged erase: not enabled at once, gone a day later, and back where the device did not do it."""

from dataclasses import replace

import pytest

from mdmserver.checkin.answers import result_handlers
from mdmserver.commands.model import ItemRow, ItemState, StoredResult
from mdmserver.commands.request import CommandRequest
from mdmserver.devices.model import EnrollmentState
from mdmserver.enrollment.erased import ErasedDevices
from mdmserver.errors import IdentityRefused
from mdmserver.protocol import CommandUUID, Status
from mdmserver.storage.audit import SQLAuditStore
from mdmserver.storage.commands import SQLCommandStore
from mdmserver.storage.devices import SQLDeviceStore
from mdmserver.storage.vault import Vault
from mdmserver.web.services import Services
from tests.fleet import ADMIN, FakeClock, Fleet, certificate, device_id, user_id

DEVICE = device_id(1)
VAULT = Vault({1: b"k" * 32}, fingerprint_key=b"f" * 32)
ERASE = CommandRequest(payload={"RequestType": "EraseDevice"}, may_destroy=True)


@pytest.fixture
def devices() -> SQLDeviceStore:
    """No secret is read here, so that any vault will do."""
    return SQLDeviceStore(VAULT)


@pytest.fixture
def commands() -> SQLCommandStore:
    """The same."""
    return SQLCommandStore(VAULT)


@pytest.fixture
def erased_devices(
    services: Services, devices: SQLDeviceStore, commands: SQLCommandStore, clock: FakeClock
) -> ErasedDevices:
    """The sweep, over the storage of `services`."""
    return ErasedDevices(
        storage=services.storage, devices=devices, commands=commands, audit=SQLAuditStore(), clock=clock
    )


async def erase(fleet: Fleet, status: Status = Status.ACKNOWLEDGED) -> str:
    """Device 1 is told to erase itself and answers."""
    await fleet.enroll(1)
    outcome = await fleet.services.commands.enqueue(ERASE, [str(DEVICE)], actor=ADMIN)
    await fleet.enqueue("behind it", DEVICE)
    await fleet.idle(DEVICE)
    await fleet.report(DEVICE, status, outcome.uuid)
    await fleet.services.results.work_through()
    return outcome.uuid


async def actions(services: Services) -> list[str]:
    return [record.action for record in (await services.audit.records(cursor=None, limit=1000)).items]


async def test_an_acknowledged_erase_disables_the_enrollment_and_ends_its_queue(fleet: Fleet) -> None:
    uuid = await erase(fleet)

    assert (await fleet.enrollment(DEVICE)).state is EnrollmentState.ERASED
    assert await fleet.states(DEVICE) == {uuid: ItemState.ACKNOWLEDGED, "behind it": ItemState.CANCELLED}
    assert (await fleet.kinds(DEVICE))[-1] == "erase_acknowledged"


async def test_an_erase_that_failed_changes_nothing(fleet: Fleet) -> None:
    await erase(fleet, Status.ERROR)

    assert (await fleet.enrollment(DEVICE)).state is EnrollmentState.ENROLLED
    assert "behind it" in await fleet.states(DEVICE)


async def test_within_a_day_the_device_is_seen_and_not_locked_out(
    fleet: Fleet, clock: FakeClock, erased_devices: ErasedDevices
) -> None:
    await erase(fleet)
    clock.advance(hours=23)
    swept = await erased_devices.sweep()

    assert await fleet.idle(DEVICE) is None
    await fleet.services.presence.flush()
    assert swept == 0
    assert await erased_devices.sweep() == 1

    record = await fleet.enrollment(DEVICE)
    assert (record.state, record.erased_at, record.last_seen_at) == (EnrollmentState.ENROLLED, None, clock.now)
    assert (await fleet.kinds(DEVICE))[-1] == "erase_not_done"
    assert (await actions(fleet.services))[-1] == "device.erase_not_done"


async def test_a_day_of_silence_ends_the_enrollment_and_its_certificate(
    fleet: Fleet, clock: FakeClock, erased_devices: ErasedDevices
) -> None:
    await erase(fleet)
    await fleet.services.presence.flush()
    clock.advance(hours=24)

    assert await erased_devices.sweep() == 1

    assert (await fleet.enrollment(DEVICE)).state is EnrollmentState.ENDED
    assert (await fleet.kinds(DEVICE))[-1] == "erased"
    assert (await actions(fleet.services))[-1] == "device.erased"
    with pytest.raises(IdentityRefused):
        await fleet.idle(DEVICE)
    assert await erased_devices.sweep() == 0


async def test_a_last_word_while_it_erases_does_not_count(
    fleet: Fleet, clock: FakeClock, erased_devices: ErasedDevices
) -> None:
    await erase(fleet)
    clock.advance(minutes=9)
    await fleet.idle(DEVICE)
    await fleet.services.presence.flush()

    assert await erased_devices.sweep() == 0

    assert (await fleet.enrollment(DEVICE)).state is EnrollmentState.ERASED


async def test_its_token_update_says_that_it_was_not_erased(fleet: Fleet) -> None:
    await erase(fleet)

    await fleet.token_update(DEVICE, certificate(1))

    assert (await fleet.enrollment(DEVICE)).state is EnrollmentState.ENROLLED


async def test_an_erased_device_enrolls_again_with_a_new_certificate_unasked(
    fleet: Fleet, clock: FakeClock, erased_devices: ErasedDevices
) -> None:
    await erase(fleet)
    again = certificate(1, version=2)

    await fleet.enroll(1, again)
    clock.advance(hours=25)

    record = await fleet.enrollment(DEVICE)
    assert (record.state, record.life, record.erased_at) == (EnrollmentState.ENROLLED, 2, None)
    assert await erased_devices.sweep() == 0
    assert await fleet.report(DEVICE, Status.IDLE, presented=again) is None


async def test_the_answer_of_an_earlier_life_does_not_disable_the_next(
    fleet: Fleet, clock: FakeClock, devices: SQLDeviceStore, commands: SQLCommandStore
) -> None:
    await fleet.enroll(1)
    row = await fleet.services.devices.resolve(DEVICE.key)
    late = StoredResult(
        item=ItemRow(1), enrollment=row, command_uuid=CommandUUID("C1"), request_type="EraseDevice",
        status=Status.ACKNOWLEDGED, received_at=clock.now, body=b"", is_readable=True,
    )  # fmt: skip
    handler = result_handlers(devices, commands)["EraseDevice"]
    clock.advance(seconds=1)
    await fleet.services.devices.allow_reenroll(str(DEVICE), actor=ADMIN)
    await fleet.enroll(1, certificate(1, version=2))

    for result, state in (
        (late, EnrollmentState.ENROLLED),
        (replace(late, received_at=clock.now), EnrollmentState.ERASED),
    ):
        change = handler(result)
        assert change is not None
        await fleet.services.storage.run(change)
        assert (await fleet.enrollment(DEVICE)).state is state


async def test_a_user_channel_cannot_say_that_the_device_was_erased(fleet: Fleet) -> None:
    await fleet.enroll(1)
    user = await fleet.log_in(1)
    outcome = await fleet.services.commands.enqueue(ERASE, [str(user)], actor=ADMIN)
    await fleet.idle(user)
    await fleet.answer(user, outcome.uuid)

    await fleet.services.results.work_through()

    assert (await fleet.enrollment(DEVICE)).state is EnrollmentState.ENROLLED
    assert (await fleet.enrollment(user_id(1))).state is EnrollmentState.ENROLLED
