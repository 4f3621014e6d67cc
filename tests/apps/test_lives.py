"""Verified belongs to one life of an enrollment: what is proved is proved again after each, and by itself."""

from mdmserver.apps.model import PINGID_TOKEN
from mdmserver.assignments.model import TargetState
from mdmserver.protocol import Status
from tests.apps.handset import Handset
from tests.apps.office import APP, CONFIGURATION, Office, tokens
from tests.enrollment.world import ME, delivered
from tests.fleet import ADMIN, Fleet, allowed, authenticate, certificate, token_update, user_id


async def verified_phone(office: Office, number: int = 1) -> Handset:
    phone = await office.phone(number)
    await office.configure("token-1")
    await office.assign()
    await office.quiet()
    phone.forget()
    return phone


async def test_a_device_that_enrolls_again_begins_anew_and_becomes_verified_by_itself(office: Office) -> None:
    phone = await verified_phone(office)
    await office.configure("token-2")
    await office.work()

    await phone.enroll_again()

    for kind in (APP, CONFIGURATION):
        target = await office.target(phone, kind)
        assert (target.state, target.sent_revision, target.verified_at) == (TargetState.INTENDED, None, None)
        assert (target.command, target.observed, target.identifier) == (None, None, None)
    await office.quiet()
    assert phone.configuration == {PINGID_TOKEN: "token-2"}
    assert (await office.target(phone)).state is TargetState.VERIFIED


async def test_a_new_life_waits_for_the_device_to_be_enabled(office: Office) -> None:
    phone = await verified_phone(office)
    phone.identity = allowed(certificate(1, 2))
    await Fleet(office.services).authenticate(1, phone.identity)

    assert await office.work() == 0


async def test_an_answer_of_the_life_before_is_no_answer_of_this_one(office: Office) -> None:
    phone = await verified_phone(office)
    await office.configure("token-2")
    await office.work()
    settings = await phone.take()
    assert settings is not None
    await phone.answer(settings)  # Stored, not yet worked through.

    await phone.enroll_again()
    await office.services.results.work_through()

    assert (await office.target(phone)).state is TargetState.INTENDED
    assert (await office.target(phone)).sent_revision is None


async def test_a_renewal_clears_nothing(office: Office) -> None:
    enrolled = await office.world.enrolled(7)
    phone = Handset(services=office.services, number=7, id=enrolled.id, identity=enrolled.identity)
    office.handsets.append(phone)
    await phone.enroll()  # The same certificate again: the device says what it is, and nothing is cleared.
    await office.configure("token-1")
    await office.assign()
    await office.services.apps.again("pingid", actor=ADMIN)
    await office.quiet()
    office.clock.advance(minutes=15)
    await office.quiet()
    before = [await office.target(phone, kind) for kind in (APP, CONFIGURATION)]
    assert {target.state for target in before} == {TargetState.VERIFIED}
    phone.forget()

    office.clock.advance(days=300)
    await office.world.renewal.sweep()
    renewal = delivered(await office.world.fleet.report(phone.id, Status.IDLE, presented=enrolled.identity))
    while renewal is not None and renewal.request_type != "InstallProfile":
        renewal = delivered(await enrolled.report(Status.NOT_NOW, renewal.uuid))
    assert renewal is not None
    await enrolled.renew_by(renewal)
    phone.identity = enrolled.identity

    assert [await office.target(phone, kind) for kind in (APP, CONFIGURATION)] == before


async def test_a_device_that_checked_out_is_looked_at_no_more_and_comes_back_anew(office: Office) -> None:
    phone, other = await verified_phone(office), await office.phone(2)
    await office.quiet()
    await office.configure("token-2")
    await office.work()
    await Fleet(office.services).check_out(phone.id, phone.identity)
    phone.is_online = False

    await office.quiet()

    assert tokens([other]) == ["token-2"]
    assert "not enrolled" in await office.why(phone)
    assert sum((await office.counts()).values()) == 1
    assert await office.world.composed.reconciler.find_stalled() == 0

    phone.is_online = True
    await phone.enroll_again()
    await office.quiet()
    assert (await office.target(phone)).state is TargetState.VERIFIED
    assert sum((await office.counts()).values()) == 2


async def test_a_retired_and_a_forgotten_device_leave_no_targets_to_work_on(office: Office) -> None:
    retired, forgotten = await verified_phone(office, 1), await verified_phone(office, 2)
    for phone in (retired, forgotten):
        phone.is_online = False
    await office.configure("token-2")
    await office.work()

    await office.services.leaving.retire(await office.world.row(retired.id), actor=ME)
    await office.services.leaving.delete(await office.world.row(forgotten.id), actor=ME)

    assert await office.quiet() == 0
    assert await office.later(days=8) == 0
    assert await office.counts() == {}
    count = "SELECT count(*) FROM target_state JOIN enrollment e ON e.id = enrollment_id WHERE e.deleted_at IS NOT NULL"
    assert await office.world.count(count) == 0


async def test_a_forgotten_device_that_enrolls_again_gets_everything(office: Office) -> None:
    phone = await verified_phone(office)
    await office.services.leaving.delete(await office.world.row(phone.id), actor=ME)

    await phone.enroll_again()
    await office.quiet()

    assert (await office.target(phone)).state is TargetState.VERIFIED


async def test_the_token_update_of_a_user_does_not_touch_what_was_verified(office: Office) -> None:
    phone = await verified_phone(office)
    before = await office.target(phone)

    await office.services.checkin.answer(token_update(user_id(1)), phone.identity)
    await office.services.checkin.answer(token_update(phone.id), phone.identity)

    assert await office.quiet() == 0
    assert await office.target(phone) == before


async def test_the_same_authenticate_again_is_no_new_life_to_the_built_in_ca(office: Office) -> None:
    enrolled = await office.world.enrolled(8)
    await office.configure("token-1")
    await office.assign()
    await office.work()
    row = await office.world.row(enrolled.id)
    before = await office.services.app_progress.settings_of(row)

    await office.services.checkin.answer(authenticate(enrolled.id), enrolled.identity)

    assert await office.services.app_progress.settings_of(row) == before
