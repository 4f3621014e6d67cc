"""S2: what an Authenticate may do follows from where its certificate came from; here with the built-in CA's own."""

from dataclasses import replace

import pytest

from mdmserver.commands.model import ItemState
from mdmserver.devices.model import EnrollmentState
from mdmserver.errors import IdentityRefused
from mdmserver.protocol import CheckinMessage, SetBootstrapToken, Status
from tests.enrollment.device import presented
from tests.enrollment.world import ME, Delivery, Phone, World, unrecorded
from tests.fleet import TOPIC, authenticate, device_id, user_id


async def renewal_of(phone: Phone) -> Delivery:
    """Begin the phone's renewal and hand it out."""
    phone.world.clock.advance(days=300)
    await phone.world.renewal.sweep()
    delivery = await phone.idle()
    assert delivery is not None
    return delivery


async def say(phone: Phone, message: CheckinMessage) -> None:
    await phone.world.services.checkin.answer(message, phone.identity)


async def test_a_unknown_device_enrolls_by_its_invitation(world: World) -> None:
    phone = await world.enrolled(user_name="Ada")

    device = await phone.show()
    assert (device.state, device.life, device.user_name) == (EnrollmentState.ENROLLED, 1, "Ada")
    assert await phone.kinds() == ["enrollment_began", "enrolled"]


async def test_a_device_whose_enrollment_ended_begins_a_new_life(world: World) -> None:
    phone = await world.enrolled(user_name="Ada")
    await phone.check_out()

    await phone.enroll(user_name="Grace")

    device = await phone.show()
    assert (device.state, device.life, device.user_name) == (EnrollmentState.ENROLLED, 2, "Grace")


async def test_a_invitation_for_a_serial_number_lets_no_other_device_in(world: World) -> None:
    phone = world.phone()
    await phone.take_invitation(serial_number="C0OTHER")

    with pytest.raises(IdentityRefused):
        await phone.authenticate()
    assert await world.count("SELECT count(*) FROM enrollment") == 0


async def test_a_device_that_does_not_say_its_serial_number_is_let_in(world: World) -> None:
    phone = world.phone()
    await phone.take_invitation(serial_number="C00001")

    await phone.authenticate(serial_number=None)

    assert (await phone.show()).state is EnrollmentState.ENROLLING


@pytest.mark.parametrize(
    "invitation", [{"serial_number": "C00001"}, {"user_name": "Ada"}, {"allow_reenroll": True}], ids=str
)
async def test_b_live_device_begins_a_new_life_where_the_invitation_is_for_it(
    world: World, invitation: dict[str, str | bool]
) -> None:
    phone = await world.enrolled(user_name="Ada")
    await world.fleet.enqueue("C1", phone.id)
    old = phone.certificate

    await phone.enroll(**invitation)

    assert (await phone.show()).life == 2
    assert await world.fleet.states(phone.id) == {"C1": ItemState.CANCELLED}
    assert (await phone.identity_states())[old] == "superseded"


@pytest.mark.parametrize("invitation", [{}, {"user_name": "Grace"}], ids=str)
async def test_b_live_device_waits_where_the_invitation_is_for_nobody_or_another(
    world: World, invitation: dict[str, str | bool]
) -> None:
    phone = await world.enrolled(user_name="Ada")
    await world.fleet.enqueue("C1", phone.id)
    before = phone.certificate
    await phone.take_invitation(**invitation)

    for _ in range(2):
        with pytest.raises(IdentityRefused):
            await phone.authenticate()

    pending = await world.services.devices.pending()
    assert [(one.id, one.fingerprint, one.attempts) for one in pending] == [(phone.id, phone.identity.fingerprint, 2)]
    assert (await phone.show()).life == 1
    assert await world.fleet.states(phone.id) == {"C1": ItemState.QUEUED}
    phone.certificate = before
    assert (await phone.idle() or pytest.fail("the old certificate is refused")).uuid == "C1"


async def test_b_certificate_that_waits_may_not_say_anything_else(world: World) -> None:
    phone = await world.enrolled()
    await phone.take_invitation()
    with pytest.raises(IdentityRefused):
        await phone.authenticate()

    for message in (phone.token_update, phone.idle, phone.check_out):
        with pytest.raises(IdentityRefused):
            await message()


async def test_b_device_that_an_administrator_released_begins_a_new_life(world: World) -> None:
    phone = await world.enrolled()
    await phone.take_invitation()
    with pytest.raises(IdentityRefused):
        await phone.authenticate()

    await world.services.devices.allow_reenroll(phone.id.key, actor=ME)
    await phone.authenticate()
    await phone.token_update()

    assert (await phone.show()).life == 2
    assert await world.services.devices.pending() == []
    # The release was for one life.
    await phone.take_invitation()
    with pytest.raises(IdentityRefused):
        await phone.authenticate()


async def test_c_renewal_keeps_queue_tokens_users_and_facts(world: World) -> None:
    phone = await world.enrolled(user_name="Ada")
    await say(phone, SetBootstrapToken(enrollment_id=phone.id, bootstrap_token=b"bootstrap"))
    user = replace(authenticate(phone.id), enrollment_id=user_id(1))
    await world.fleet.token_update(user.enrollment_id, phone.identity)
    delivery = await renewal_of(phone)
    await world.fleet.enqueue("C1", phone.id, user_id(1))
    before = await phone.show()

    await phone.obtain(delivery.challenge)
    await phone.authenticate(serial_number=None, os_version="27.1")
    at_once = await phone.show()
    await phone.token_update()

    after = await phone.show()
    assert (at_once.enabled, at_once.has_push_token) == (True, True)
    assert (after.life, after.user_name, after.token_update_tally) == (1, "Ada", before.token_update_tally + 1)
    assert after.facts == replace(before.facts, os_version="27.1")
    states = await world.fleet.states(phone.id)
    assert (states.pop("C1"), list(states.values())) == (ItemState.QUEUED, [ItemState.SENT])
    assert await world.fleet.states(user_id(1)) == {"C1": ItemState.QUEUED}
    assert (await world.fleet.enrollment(user_id(1))).state is EnrollmentState.ENROLLED
    token = await world.storage.read(lambda tx: world.devices.bootstrap_token(tx, phone.id))
    assert token is not None
    assert token.reveal() == b"bootstrap"
    assert (await phone.kinds())[-1] == "certificate_renewed"


async def test_c_renewal_after_which_the_device_awaits_configuration_is_a_new_life(world: World) -> None:
    phone = await world.enrolled()
    await world.fleet.token_update(user_id(1), phone.identity)
    delivery = await renewal_of(phone)
    await world.fleet.enqueue("C1", phone.id, user_id(1))

    await phone.obtain(delivery.challenge)
    await phone.authenticate()
    await phone.token_update(awaiting_configuration=True)

    device = await phone.show()
    assert (device.life, device.state, device.awaiting_configuration) == (2, EnrollmentState.ENROLLED, True)
    assert (await world.fleet.states(phone.id))["C1"] is ItemState.CANCELLED
    assert (await world.fleet.enrollment(user_id(1))).state is EnrollmentState.ENDED
    assert await phone.idle() is None


async def test_d_active_certificate_again_is_news_of_its_facts_alone(world: World) -> None:
    phone = await world.enrolled(user_name="Ada")
    await world.fleet.enqueue("C1", phone.id)

    await phone.authenticate(os_version="27.1")

    device = await phone.show()
    assert (device.life, device.state, device.user_name) == (1, EnrollmentState.ENROLLED, "Ada")
    assert device.facts.os_version == "27.1"
    assert await world.fleet.states(phone.id) == {"C1": ItemState.QUEUED}
    assert (await phone.kinds())[-1] == "facts_updated"


async def test_d_replayed_authenticate_and_token_update_gain_nothing(world: World) -> None:
    """S6: the first messages of a device that was set up by Automated Device Enrollment, played again."""
    phone = world.phone()
    await phone.take_invitation()
    await phone.authenticate()
    await phone.token_update(awaiting_configuration=True)
    await world.fleet.enqueue("C1", phone.id)

    await phone.authenticate()
    await phone.token_update(awaiting_configuration=True)

    assert (await phone.show()).life == 1
    assert await world.fleet.states(phone.id) == {"C1": ItemState.QUEUED}


async def test_d_replay_of_a_whole_renewal_gains_nothing(world: World) -> None:
    phone = await world.enrolled()
    delivery = await renewal_of(phone)
    await phone.renew_by(delivery)
    await world.fleet.enqueue("C1", phone.id)

    await phone.authenticate()
    await phone.token_update(awaiting_configuration=True)

    assert (await phone.show()).life == 1
    assert await world.fleet.states(phone.id) == {"C1": ItemState.QUEUED, delivery.uuid: ItemState.ACKNOWLEDGED}


async def test_f_superseded_certificate_is_refused_for_every_message(world: World) -> None:
    phone = await world.enrolled()
    old = phone.certificate
    await phone.renew_by(await renewal_of(phone))
    phone.certificate = old

    for message in (phone.authenticate, phone.token_update, phone.idle, phone.check_out):
        with pytest.raises(IdentityRefused):
            await message()
    assert (await phone.show()).life == 1


async def test_f_certificate_of_an_enrollment_that_ended_is_refused(world: World) -> None:
    phone = await world.enrolled()
    await phone.check_out()

    for message in (phone.authenticate, phone.token_update, phone.idle, phone.check_out):
        with pytest.raises(IdentityRefused):
            await message()
    assert (await phone.show()).state is EnrollmentState.ENDED


@pytest.mark.parametrize("victim", ["live", "ended", "unknown"])
async def test_f_certificate_of_another_device_is_refused(world: World, victim: str) -> None:
    hostile = await world.enrolled(1)
    other = world.phone(2)
    if victim != "unknown":
        await other.enroll(allow_reenroll=True)
    if victim == "ended":
        await other.check_out()
    other.certificate = hostile.certificate
    known = await world.count("SELECT count(*) FROM enrollment")

    for message in (other.authenticate, other.token_update, other.idle):
        with pytest.raises(IdentityRefused):
            await message()

    assert await world.count("SELECT count(*) FROM enrollment") == known
    assert (await hostile.show()).state is EnrollmentState.ENROLLED


async def test_f_renewed_certificate_begins_nothing_for_another_device(world: World) -> None:
    hostile = await world.enrolled(1)
    delivery = await renewal_of(hostile)
    await hostile.obtain(delivery.challenge)
    other = world.phone(2)
    other.certificate = hostile.certificate

    with pytest.raises(IdentityRefused):
        await other.authenticate()


async def test_certificate_that_enrolled_nothing_within_a_day_is_revoked_and_refused(world: World) -> None:
    late, present = world.phone(1), world.phone(2)
    await late.take_invitation()
    await present.enroll()
    world.clock.advance(hours=24)
    at_the_day = await world.composed.unused.revoke()
    world.clock.advance(seconds=1)

    revoked = [await world.composed.unused.revoke() for _ in range(2)]

    assert (at_the_day, revoked) == (0, [1, 0])
    assert len(await world.audited("certificates.revoke_unused")) == 1
    with pytest.raises(IdentityRefused):
        await late.authenticate()
    await present.idle()


async def test_certificate_that_waits_for_an_administrator_enrolled_nothing(world: World) -> None:
    phone = await world.enrolled()
    await phone.take_invitation()
    with pytest.raises(IdentityRefused):
        await phone.authenticate()
    world.clock.advance(hours=25)
    await world.composed.unused.revoke()

    await world.services.devices.allow_reenroll(phone.id.key, actor=ME)

    with pytest.raises(IdentityRefused):
        await phone.authenticate()


@pytest.mark.parametrize("uid", ["made-up", None])
async def test_certificate_of_ours_without_record_begins_nothing(world: World, uid: str | None) -> None:
    """As an imported CA may have signed for other purposes before: nobody invited its holder."""
    phone = world.phone()
    phone.certificate = unrecorded(world, uid)

    with pytest.raises(IdentityRefused):
        await phone.authenticate()
    assert await world.count("SELECT count(*) FROM enrollment") == 0


async def test_certificate_that_was_to_expire_before_the_authenticate_is_refused(world: World) -> None:
    phone = world.phone()
    await phone.take_invitation()
    world.clock.advance(days=366)

    with pytest.raises(IdentityRefused):
        await phone.authenticate()


async def test_user_channel_is_bound_to_its_device(world: World) -> None:
    phone = await world.enrolled(1)
    other = await world.enrolled(2)
    identity = presented(world.services, other.certificate, at=world.clock())

    with pytest.raises(IdentityRefused):
        await world.fleet.token_update(user_id(1), identity)
    with pytest.raises(IdentityRefused):
        await world.fleet.report(user_id(1), Status.IDLE, presented=identity)
    await world.fleet.token_update(user_id(1), phone.identity)
    assert (await world.fleet.enrollment(user_id(1))).topic == TOPIC
    assert device_id(1) == phone.id
