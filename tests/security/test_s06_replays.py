"""S6: a signature has no time, so messages can be replayed; what a replay of an earlier life does is nothing."""

import pytest

from mdmserver.commands.model import ItemState
from mdmserver.devices.model import EnrollmentState
from mdmserver.errors import IdentityRefused
from mdmserver.protocol import Status
from tests.fleet import Fleet, allowed, certificate, device_id

DEVICE = device_id(1)
NEW = allowed(certificate(1, version=2))


@pytest.fixture
async def second_life(fleet: Fleet) -> Fleet:
    """A device that has enrolled again with another certificate, one command done in each life and one open."""
    await fleet.enroll(1)
    await fleet.enqueue("first", DEVICE)
    await fleet.idle(DEVICE)
    await fleet.enroll(1, NEW)
    await fleet.enqueue("second", DEVICE)
    return fleet


async def test_a_replayed_authenticate_of_an_earlier_life_is_refused_and_changes_nothing(second_life: Fleet) -> None:
    before = await second_life.enrollment(DEVICE)

    with pytest.raises(IdentityRefused):
        await second_life.authenticate(1, allowed(certificate(1)))

    assert await second_life.enrollment(DEVICE) == before
    assert await second_life.states(DEVICE) == {"first": ItemState.CANCELLED, "second": ItemState.QUEUED}


async def test_a_replayed_check_out_of_an_earlier_life_changes_nothing(second_life: Fleet) -> None:
    with pytest.raises(IdentityRefused):
        await second_life.check_out(DEVICE, certificate(1))

    assert (await second_life.enrollment(DEVICE)).state is EnrollmentState.ENROLLED


async def test_a_replayed_check_out_of_a_device_that_has_left_changes_nothing(fleet: Fleet) -> None:
    await fleet.enroll(1)
    await fleet.check_out(DEVICE, certificate(1))
    before = await fleet.enrollment(DEVICE)

    with pytest.raises(IdentityRefused):
        await fleet.check_out(DEVICE, certificate(1))

    assert await fleet.enrollment(DEVICE) == before


async def test_a_replayed_token_update_of_an_earlier_life_does_not_replace_the_token(second_life: Fleet) -> None:
    with pytest.raises(IdentityRefused):
        await second_life.token_update(DEVICE, certificate(1))

    assert (await second_life.enrollment(DEVICE)).token_update_tally == 1


async def test_a_replayed_result_of_an_earlier_life_is_refused_with_its_certificate(second_life: Fleet) -> None:
    with pytest.raises(IdentityRefused):
        await second_life.report(DEVICE, Status.ACKNOWLEDGED, "first", presented=certificate(1))

    assert await second_life.states(DEVICE) == {"first": ItemState.CANCELLED, "second": ItemState.QUEUED}


async def test_a_result_of_an_earlier_life_under_the_same_certificate_is_a_no_op(fleet: Fleet) -> None:
    await fleet.enroll(1)
    await fleet.enqueue("first", DEVICE)
    await fleet.idle(DEVICE)
    await fleet.enroll(1)

    assert await fleet.answer(DEVICE, "first") is None
    assert await fleet.states(DEVICE) == {"first": ItemState.CANCELLED}


async def test_a_replayed_result_counts_once(fleet: Fleet) -> None:
    await fleet.enroll(1)
    await fleet.enqueue("C1", DEVICE)
    await fleet.idle(DEVICE)
    await fleet.answer(DEVICE, "C1")
    before = await fleet.items(DEVICE)

    await fleet.answer(DEVICE, "C1", Status.ERROR)

    assert await fleet.items(DEVICE) == before
