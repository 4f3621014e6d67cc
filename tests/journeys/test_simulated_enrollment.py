"""Simulated devices enroll with the real server as a person's device does, and renew their identities by its sweep."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from certs import load_device_certificate
from mdmserver.devices.identity import IdentityState
from mdmserver.devices.model import EnrollmentState
from mdmserver.errors import ScopeMissing
from mdmserver.simulator.condition import Condition
from mdmserver.simulator.device import Habits, SimulatedDevice
from mdmserver.simulator.errors import InvitationRefused, ServerRefused
from mdmserver.simulator.facts import Platform
from mdmserver.simulator.renewing import Mishap
from mdmserver.transaction import Storage
from tests.fleet import FakeClock
from tests.journeys.inviting import InvitingServer, inviting_server

USES = 20
UNTIL_DUE = 17  # hours of the 24 that a certificate is good for
SILENCES = [mishap for mishap in Mishap if mishap is not Mishap.SCEP_FAILS]
LOCKED = Condition(is_locked=True)


@pytest.fixture
async def server(storage: Storage, keys: Path, clock: FakeClock) -> AsyncIterator[InvitingServer]:
    async with inviting_server(storage, keys, clock) as started:
        yield started


async def due(server: InvitingServer, device: SimulatedDevice) -> bytes:
    """Let the device's certificate become due and its renewal begin; the certificate."""
    assert device.identity is not None
    server.world.clock.advance(hours=UNTIL_DUE)
    assert await server.world.renewal.sweep() == 1
    return device.identity.certificate_der


async def renewed(server: InvitingServer, device: SimulatedDevice, before: bytes) -> None:
    """The device has another certificate, which is the active one, and the one before is not believed any more."""
    assert device.identity is not None
    states = await server.certificates(device)
    assert device.identity.certificate_der != before
    assert states[device.identity.certificate_der] is IdentityState.ACTIVE
    assert Counter(states.values())[IdentityState.ACTIVE] == 1
    assert states[before] in (IdentityState.SUPERSEDED, IdentityState.REVOKED)
    assert not device.owes_check_in
    assert device.channel.unsent is None


async def test_twenty_devices_enroll_by_one_invitation_and_the_twenty_first_is_refused(server: InvitingServer) -> None:
    devices = server.invited(USES + 1, await server.invitation(uses=USES))

    fleet = server.fleet(devices[:USES])
    await fleet.enroll(asyncio.Event())
    with pytest.raises(InvitationRefused, match="not valid"):
        await devices[USES].enroll(server.transport)

    records = [await server.world.services.devices.show(device.facts.udid) for device in devices[:USES]]
    assert {record.state for record in records} == {EnrollmentState.ENROLLED}
    assert len({device.identity.certificate_der for device in devices[:USES] if device.identity}) == USES
    assert server.tally.errors == {}
    assert not devices[USES].is_enrolled


async def test_devices_carry_out_commands_with_the_identity_of_their_invitation(server: InvitingServer) -> None:
    (device,) = await server.enrolled(1)
    uuid = await server.send(device, RequestType="ProfileList")

    assert await device.connect(server.transport) == 1

    assert (await server.world.fleet.states(device.channel.enrollment_id))[uuid] == "acknowledged"
    assert device.management is not None
    assert list(device.channel.installed.profiles) == [device.management.enrollment.profile_identifier]


async def test_lost_scep_replies_cost_no_device_its_enrollment(server: InvitingServer) -> None:
    devices = await server.enrolled(6, habits=Habits(lost_replies=1))

    assert all(device.is_enrolled for device in devices)
    assert server.tally.lost_replies == 6


@pytest.mark.parametrize("platform", list(Platform))
async def test_a_device_renews_when_the_server_asks_it_to(platform: Platform, server: InvitingServer) -> None:
    (device,) = server.invited(1, await server.invitation(), platforms=(platform,))
    await device.enroll(server.transport)
    before = await due(server, device)

    await device.connect(server.transport)

    await renewed(server, device, before)
    assert await server.renewals(device) == ["acknowledged"]
    record = await server.world.services.devices.show(device.facts.udid)
    assert (record.life, record.state) == (1, EnrollmentState.ENROLLED)
    assert device.identity is not None
    assert load_device_certificate(device.identity.certificate_der).not_after > server.world.clock()


async def test_after_its_first_use_the_new_certificate_is_the_only_one(server: InvitingServer) -> None:
    (device,) = await server.enrolled(1)
    old_identity = device.identity
    await due(server, device)
    await device.connect(server.transport)

    device.identity = old_identity
    with pytest.raises(ServerRefused) as refused:
        await device.connect(server.transport)

    assert refused.value.status == 403


async def test_a_locked_device_renews_when_it_is_unlocked(server: InvitingServer) -> None:
    (device,) = await server.enrolled(1)
    before = await due(server, device)

    device.condition = LOCKED
    await device.connect(server.transport)
    assert await server.renewals(device) == ["not_now"]
    device.condition = Condition()
    await device.connect(server.transport)

    await renewed(server, device, before)
    assert await server.renewals(device) == ["acknowledged"]


async def test_after_an_error_the_next_renewal_succeeds(server: InvitingServer) -> None:
    (device,) = await server.enrolled(1)
    before = await due(server, device)

    device.mishap = Mishap.SCEP_FAILS
    await device.connect(server.transport)
    assert await server.renewals(device) == ["error"]
    server.world.clock.advance(hours=1)
    assert await server.world.renewal.sweep() == 1
    await device.connect(server.transport)

    await renewed(server, device, before)
    assert sorted(await server.renewals(device)) == ["acknowledged", "error"]


@pytest.mark.parametrize("silence", SILENCES)
async def test_a_device_that_went_silent_in_its_renewal_ends_renewed(silence: Mishap, server: InvitingServer) -> None:
    (device,) = await server.enrolled(1)
    before = await due(server, device)

    device.mishap = silence
    await device.connect(server.transport)
    assert await server.renewals(device) == ["sent"]
    await device.connect(server.transport)

    await renewed(server, device, before)
    assert await server.renewals(device) == ["acknowledged"]
    assert server.tally.mishaps == {silence.value: 1}


async def test_a_fleet_with_every_mishap_stays_renewed_for_days(server: InvitingServer) -> None:
    devices = await server.enrolled(6, habits=Habits(renewal_mishaps=0.5, lost_replies=0.2))

    for _ in range(12 * 6):
        server.world.clock.advance(hours=4)
        await server.world.renewal.sweep()
        for device in devices:
            await device.connect(server.transport)

    now = server.world.clock()
    for device in devices:
        assert device.is_enrolled
        assert device.identity is not None
        assert load_device_certificate(device.identity.certificate_der).not_after > now
        assert Counter((await server.certificates(device)).values())[IdentityState.ACTIVE] == 1
    assert server.tally.errors == {}
    assert set(server.tally.mishaps) == {mishap.value for mishap in Mishap}
    # A certificate lasts a day and is renewed after less than two thirds of it: some 20 times in 12 days, no storm.
    assert 6 * 15 <= server.tally.renewals <= 6 * 40


async def test_the_enrollment_profile_is_removed_by_its_user_and_by_no_command(server: InvitingServer) -> None:
    (device,) = await server.enrolled(1)
    assert device.management is not None
    identifier = device.management.enrollment.profile_identifier

    with pytest.raises(ScopeMissing):
        await server.send(device, RequestType="RemoveProfile", Identifier=identifier)
    await device.check_out(server.transport)

    assert (await server.world.services.devices.show(device.facts.udid)).state is EnrollmentState.ENDED
