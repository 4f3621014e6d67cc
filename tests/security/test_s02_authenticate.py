"""S2: what an Authenticate may do follows from where its certificate came from; here rows (d), (e) and (f).

Those of the built-in CA are with the tests of issuance and enrollment.
"""

from datetime import timedelta

import pytest

from mdmserver.devices.model import EnrollmentState
from mdmserver.errors import Conflict, IdentityRefused, NotFound
from mdmserver.protocol import Status
from tests.fleet import ADMIN, START, FakeClock, Fleet, allowed, authenticate, certificate, device_id, expired

DEVICE = device_id(1)
OTHER = certificate(1, version=2)


async def test_d_the_active_certificate_again_is_a_new_life(fleet: Fleet) -> None:
    await fleet.enroll(1)
    await fleet.enqueue("C1", DEVICE)

    await fleet.enroll(1)

    record = await fleet.enrollment(DEVICE)
    assert (record.life, record.token_update_tally, record.state) == (2, 1, EnrollmentState.ENROLLED)
    assert await fleet.idle(DEVICE) is None


async def test_e_a_certificate_never_seen_pins_an_unknown_device(fleet: Fleet) -> None:
    await fleet.enroll(1, OTHER)

    assert await fleet.report(DEVICE, Status.IDLE, presented=OTHER) is None
    with pytest.raises(IdentityRefused):
        await fleet.report(DEVICE, Status.IDLE, presented=certificate(1))


async def test_e_allow_begins_a_new_life_and_supersedes_the_certificate_before(fleet: Fleet) -> None:
    await fleet.enroll(1)

    await fleet.enroll(1, allowed(OTHER))

    assert (await fleet.enrollment(DEVICE)).life == 2
    with pytest.raises(IdentityRefused):
        await fleet.report(DEVICE, Status.IDLE, presented=certificate(1))


async def test_e_ask_refuses_and_lists_it_and_the_device_goes_on_as_before(fleet: Fleet, clock: FakeClock) -> None:
    await fleet.enroll(1)
    await fleet.enqueue("C1", DEVICE)
    for _ in range(3):
        clock.advance(minutes=1)
        with pytest.raises(IdentityRefused):
            await fleet.authenticate(1, OTHER)

    [pending] = await fleet.services.devices.pending()

    assert (pending.id, pending.fingerprint, pending.attempts) == (DEVICE, OTHER.fingerprint, 3)
    assert (pending.first_at, pending.last_at) == (START + timedelta(minutes=1), START + timedelta(minutes=3))
    assert pending.serial_number == authenticate(DEVICE).serial_number
    assert (await fleet.kinds(DEVICE)).count("reenrollment_pending") == 1
    assert (await fleet.enrollment(DEVICE)).life == 1
    assert await fleet.idle(DEVICE) == "C1"


async def test_e_a_released_device_begins_a_new_life_once(fleet: Fleet) -> None:
    await fleet.enroll(1)
    with pytest.raises(IdentityRefused):
        await fleet.authenticate(1, OTHER)

    await fleet.services.devices.allow_reenroll(str(DEVICE), actor=ADMIN)
    await fleet.enroll(1, OTHER)

    assert await fleet.services.devices.pending() == []
    assert (await fleet.enrollment(DEVICE)).life == 2
    with pytest.raises(IdentityRefused):
        await fleet.authenticate(1, certificate(1, version=3))
    with pytest.raises(IdentityRefused):
        await fleet.report(DEVICE, Status.IDLE, presented=certificate(1))


async def test_e_an_ended_device_comes_back_without_being_asked_about(fleet: Fleet) -> None:
    await fleet.check_out(await fleet.enroll(1), certificate(1))

    await fleet.enroll(1, OTHER)

    assert (await fleet.enrollment(DEVICE)).state is EnrollmentState.ENROLLED


async def test_f_another_devices_certificate_is_refused_whatever_the_policy(fleet: Fleet) -> None:
    await fleet.enroll(1)
    await fleet.enroll(2)

    for number, presented in ((1, certificate(2)), (1, allowed(certificate(2))), (3, certificate(2))):
        with pytest.raises(IdentityRefused):
            await fleet.authenticate(number, presented)

    assert await fleet.services.devices.pending() == []
    with pytest.raises(NotFound):
        await fleet.enrollment(device_id(3))


async def test_f_a_released_device_is_not_open_to_another_devices_certificate(fleet: Fleet) -> None:
    await fleet.enroll(1)
    await fleet.enroll(2)
    await fleet.services.devices.allow_reenroll(str(DEVICE), actor=ADMIN)

    with pytest.raises(IdentityRefused):
        await fleet.authenticate(1, certificate(2))


async def test_f_a_superseded_certificate_is_refused(fleet: Fleet) -> None:
    await fleet.enroll(1)
    await fleet.enroll(1, allowed(OTHER))

    with pytest.raises(IdentityRefused):
        await fleet.authenticate(1, allowed(certificate(1)))

    assert (await fleet.enrollment(DEVICE)).life == 2


async def test_f_a_revoked_certificate_is_refused_for_its_own_device_and_others(fleet: Fleet) -> None:
    await fleet.check_out(await fleet.enroll(1), certificate(1))

    for number in (1, 2):
        with pytest.raises(IdentityRefused):
            await fleet.authenticate(number, allowed(certificate(1)))


async def test_an_expired_certificate_begins_nothing(fleet: Fleet) -> None:
    with pytest.raises(IdentityRefused):
        await fleet.authenticate(1, expired(certificate(1)))

    with pytest.raises(NotFound):
        await fleet.enrollment(DEVICE)


async def test_releasing_twice_is_releasing_once_and_is_not_for_users(fleet: Fleet) -> None:
    await fleet.enroll(1)
    user = await fleet.log_in(1)

    for _ in range(2):
        await fleet.services.devices.allow_reenroll(str(DEVICE), actor=ADMIN)

    assert (await fleet.kinds(DEVICE)).count("reenrollment_allowed") == 1
    with pytest.raises(Conflict):
        await fleet.services.devices.allow_reenroll(str(user), actor=ADMIN)
