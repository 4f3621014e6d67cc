"""Renewal in time: due a third before the end, tried until it worked, and never in the device's way (design 3, S4)."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from certs import create_signer_certificate, load_device_certificate
from mdmserver.commands.model import ItemState
from mdmserver.devices.model import EnrollmentState
from mdmserver.enrollment.profile import ProfileSigner
from mdmserver.enrollment.renewal import LONGEST_WAIT, wait_after
from mdmserver.errors import IdentityRefused
from mdmserver.issuance.issuing import renewal_time
from mdmserver.protocol import Status
from mdmserver.transaction import Storage
from tests.certs.scep_parties import rsa_key
from tests.enrollment.world import ME, Delivery, Phone, World, give_authority, open_world
from tests.fleet import START, FakeClock

LIFETIME = timedelta(days=365)


async def due(world: World, phone: Phone) -> None:
    """Move the clock to the moment when this phone's certificate is to be renewed."""
    parsed = load_device_certificate(phone.certificate)
    world.clock.now = max(
        world.clock.now, renewal_time(parsed.fingerprint, parsed.not_before, parsed.not_after) + timedelta(seconds=1)
    )


async def offered(world: World, phone: Phone) -> Delivery:
    """Begin the phone's renewal and hand it out."""
    await due(world, phone)
    await world.renewal.sweep()
    delivery = await phone.idle()
    assert delivery is not None
    return delivery


async def items(phone: Phone) -> list[ItemState]:
    """What became of the phone's renewals, oldest first."""
    return [item.state for item in (await phone.world.fleet.items(phone.id)).values()]


def test_renewal_is_due_between_a_third_and_five_twelfths_before_the_end() -> None:
    begin = START
    times = [renewal_time(bytes([number]) * 32, begin, begin + LIFETIME) for number in range(200)]

    remaining = sorted((begin + LIFETIME - time) / LIFETIME for time in times)
    assert 1 / 3 <= remaining[0] < 0.35
    assert 0.40 < remaining[-1] <= 5 / 12
    # Spread: no tenth of that time has more than a fifth of the devices.
    buckets = [int((share - 1 / 3) * 12 * 10) for share in remaining]
    assert max(buckets.count(bucket) for bucket in range(10)) <= 40


def test_waits_double_from_an_hour_to_a_day() -> None:
    assert [wait_after(attempts) for attempts in range(7)] == [
        *(timedelta(hours=hours) for hours in (1, 2, 4, 8, 16)),
        LONGEST_WAIT,
        LONGEST_WAIT,
    ]
    assert wait_after(100_000) == LONGEST_WAIT


async def test_nothing_is_begun_before_it_is_due(world: World) -> None:
    phone = await world.enrolled()
    world.clock.advance(days=365 * 7 / 12 - 2)

    assert await world.renewal.sweep() == 0
    assert await phone.idle() is None


async def test_due_device_gets_its_own_profile_again_with_a_challenge_of_its_own(world: World) -> None:
    phone = world.phone()
    _, token = await world.invite()
    first = await world.downloaded(token)
    assert first.scep.challenge is not None
    await phone.obtain(first.scep.challenge)
    await phone.authenticate()
    await phone.token_update()

    delivery = await offered(world, phone)

    assert delivery.request_type == "InstallProfile"
    again = delivery.profile
    assert again.scep.challenge not in (None, first.scep.challenge)
    assert replace(again, scep=replace(again.scep, challenge=None)) == replace(
        first, scep=replace(first.scep, challenge=None)
    )
    assert len(await world.audited("identity.renew")) == 1


async def test_renewed_certificate_takes_over_at_its_first_use_and_not_before(world: World) -> None:
    phone = await world.enrolled()
    old = phone.certificate
    delivery = await offered(world, phone)

    new = await phone.obtain(delivery.challenge)
    between = await phone.identity_states()
    phone.certificate = old
    await phone.idle()
    phone.certificate = new
    await phone.authenticate()

    assert between == {old: "grace", new: "active"}
    assert await phone.identity_states() == {old: "superseded", new: "active"}
    phone.certificate = old
    with pytest.raises(IdentityRefused):
        await phone.idle()


@pytest.mark.parametrize("first_words", ["idle", "token_update"])
async def test_any_message_with_the_renewed_certificate_is_its_first_use(world: World, first_words: str) -> None:
    phone = await world.enrolled()
    delivery = await offered(world, phone)
    await phone.obtain(delivery.challenge)

    await (phone.idle() if first_words == "idle" else phone.token_update())

    assert sorted((await phone.identity_states()).values()) == ["active", "superseded"]
    assert "certificate_renewed" in await phone.kinds()


async def test_offline_device_gets_one_renewal_not_one_a_day(world: World) -> None:
    phone = await world.enrolled()
    await due(world, phone)

    for _ in range(60):
        await world.renewal.sweep()
        world.clock.advance(days=1)

    assert await items(phone) == [ItemState.QUEUED]


@pytest.mark.parametrize("status", [Status.ERROR, Status.COMMAND_FORMAT_ERROR, Status.ACKNOWLEDGED])
async def test_renewal_that_brought_no_certificate_is_begun_again_later(world: World, status: Status) -> None:
    phone = await world.enrolled()
    delivery = await offered(world, phone)

    assert await phone.answer(delivery, status) is None
    assert await world.renewal.sweep() == 0
    waits = []
    for attempt in range(1, 4):
        begin = world.clock()
        while await world.renewal.sweep() == 0:
            world.clock.advance(minutes=30)
        waits.append(world.clock() - begin)
        next_one = await phone.idle()
        assert next_one is not None
        await phone.answer(next_one, status)
        assert len(await items(phone)) == attempt + 1

    assert waits == [timedelta(hours=hours) for hours in (1, 2, 4)]


async def test_not_now_and_silence_leave_the_renewal_open_and_offered(world: World) -> None:
    phone = await world.enrolled()
    delivery = await offered(world, phone)

    assert await phone.answer(delivery, Status.NOT_NOW) is None
    again = await phone.idle()
    world.clock.advance(days=2)
    await world.renewal.sweep()
    once_more = await phone.idle()

    assert again is not None
    assert once_more is not None
    assert {again.uuid, once_more.uuid} == {delivery.uuid}
    assert len({delivery.challenge, again.challenge, once_more.challenge}) == 3
    await phone.renew_by(once_more)
    assert await items(phone) == [ItemState.ACKNOWLEDGED]


async def test_each_delivery_replaces_the_challenge_before(world: World) -> None:
    phone = await world.enrolled()
    delivery = await offered(world, phone)
    await phone.idle()

    with pytest.raises(AssertionError, match="FAILURE"):
        await phone.obtain(delivery.challenge)


async def test_device_that_lost_its_renewed_certificate_is_offered_another(world: World) -> None:
    """A stranded device: the certificate was issued, its reply lost, and the next renewal was months away."""
    phone = await world.enrolled()
    old = phone.certificate
    delivery = await offered(world, phone)
    await phone.obtain(delivery.challenge)
    phone.certificate = old
    assert await phone.answer(delivery, Status.ERROR) is None

    world.clock.advance(days=10)
    assert await world.renewal.sweep() == 1
    another = await phone.idle()

    assert another is not None
    await phone.renew_by(another)
    assert sorted((await phone.identity_states()).values()) == ["active", "superseded", "superseded"]
    world.clock.advance(days=30)
    assert await world.renewal.sweep() == 0


async def test_certificate_out_of_grace_renews_and_does_nothing_else(world: World) -> None:
    phone = await world.enrolled()
    old = phone.certificate
    delivery = await offered(world, phone)
    await phone.obtain(delivery.challenge)
    phone.certificate = old
    await phone.answer(delivery, Status.ERROR)
    await world.fleet.enqueue("C1", phone.id)

    world.clock.advance(days=6)
    within = await phone.idle()
    await world.renewal.sweep()
    world.clock.advance(days=2)
    beyond = await phone.idle()

    assert within is not None
    assert within.uuid == "C1"
    assert beyond is not None
    assert beyond.request_type == "InstallProfile"
    with pytest.raises(IdentityRefused):
        await phone.authenticate()
    with pytest.raises(IdentityRefused):
        await phone.token_update()
    await phone.renew_by(beyond)
    assert (await phone.show()).state is EnrollmentState.ENROLLED


async def test_expired_certificate_is_offered_the_renewal_and_nothing_else(world: World) -> None:
    phone = await world.enrolled()
    await world.fleet.enqueue("C1", phone.id)
    await world.fleet.enqueue("C2", phone.id)
    assert (await phone.idle() or pytest.fail("nothing")).uuid == "C1"
    world.clock.advance(days=400)
    await world.renewal.sweep()

    delivery = delivered_after = await phone.idle()
    assert delivery is not None
    assert delivery.request_type == "InstallProfile"
    # A result of another command changes nothing: it is asked for again when the certificate is renewed.
    assert await phone.report(Status.ACKNOWLEDGED, "C1") is not None
    assert (await world.fleet.states(phone.id))["C1"] is ItemState.SENT
    for refused in (phone.authenticate, phone.token_update, phone.check_out):
        with pytest.raises(IdentityRefused):
            await refused()

    delivery = await phone.idle()
    assert delivery is not None
    assert delivered_after is not None
    await phone.renew_by(delivery)
    assert (await phone.idle() or pytest.fail("nothing")).uuid == "C1"


async def test_expired_certificate_without_a_signature_is_refused(world: World) -> None:
    phone = await world.enrolled()
    world.clock.advance(days=400)
    await world.renewal.sweep()

    with pytest.raises(IdentityRefused):
        await phone.report(by_signature=False)


async def test_sweep_begins_no_more_than_its_pace_and_the_longest_due_first(world: World) -> None:
    phones = [await world.enrolled(number) for number in range(1, 16)]
    world.clock.advance(days=300)

    begun = [await world.renewal.sweep() for _ in range(4)]

    assert begun == [10, 5, 0, 0]
    assert [len(await items(phone)) for phone in phones] == [1] * 15


async def test_sweeps_at_the_same_time_begin_each_renewal_once(world: World) -> None:
    phones = [await world.enrolled(number) for number in range(1, 6)]
    world.clock.advance(days=300)

    begun = await asyncio.gather(*(world.renewal.sweep() for _ in range(3)))

    assert sum(begun) == 5
    assert [len(await items(phone)) for phone in phones] == [1] * 5


async def test_device_that_checked_out_is_to_unenroll_or_was_retired_is_not_renewed(world: World) -> None:
    phones = [await world.enrolled(number) for number in (1, 2, 3, 4)]
    await phones[0].check_out()
    await world.services.leaving.unenroll(await world.row(phones[1].id), actor=ME)
    await world.services.leaving.retire(await world.row(phones[2].id), actor=ME)
    await world.services.leaving.delete(await world.row(phones[3].id), actor=ME)
    world.clock.advance(days=300)

    assert await world.renewal.sweep() == 0


async def test_device_that_never_said_token_update_is_not_renewed(world: World) -> None:
    phone = world.phone()
    await phone.take_invitation()
    await phone.authenticate()
    world.clock.advance(days=300)

    assert await world.renewal.sweep() == 0


async def test_renewal_waits_for_the_next_ca_where_the_present_one_ends_with_the_certificate(world: World) -> None:
    """Renewing towards the CA's end gains ever less: it would be tried more and more often, by all devices at once."""
    await give_authority(world, "Ending CA", lifetime=timedelta(days=100))
    phone = await world.enrolled()
    world.clock.advance(days=80)

    assert [await world.renewal.sweep() for _ in range(3)] == [0, 0, 0]

    await give_authority(world, "Next CA")
    world.clock.advance(days=1)
    assert await world.renewal.sweep() == 1
    delivery = await phone.idle()
    assert delivery is not None
    await phone.renew_by(delivery)
    assert load_device_certificate(phone.certificate).not_after > world.clock() + timedelta(days=364)


async def test_renewal_that_cannot_be_made_keeps_no_other_command_back(
    storage: Storage, keys: Path, clock: FakeClock
) -> None:
    """A TLS key that does not belong to its certificate: the profile cannot be signed."""
    good = rsa_key("tls")
    certificate = create_signer_certificate(good, not_before=START, not_after=START + timedelta(days=4000))
    key = good
    world = await open_world(
        storage, keys, clock, profile_signer=lambda: ProfileSigner(certificate=certificate, key=key)
    )
    await give_authority(world)
    phone = await world.enrolled()
    await due(world, phone)
    await world.renewal.sweep()
    await world.fleet.enqueue("C1", phone.id)
    await world.fleet.enqueue("C2", phone.id)
    key = rsa_key("tls of another")

    first = await phone.idle()
    assert first is not None
    second = await phone.answer(first)
    assert second is not None
    nothing = await phone.answer(second)
    key = good
    renewal = await phone.idle()

    assert (first.uuid, second.uuid, nothing) == ("C1", "C2", None)
    assert await world.fleet.states(phone.id) == {
        "C1": ItemState.ACKNOWLEDGED,
        "C2": ItemState.ACKNOWLEDGED,
        (renewal or pytest.fail("no renewal")).uuid: ItemState.SENT,
    }
