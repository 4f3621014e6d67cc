"""How devices leave: told to go, retired without being told, forgotten. One audit record each."""

import pytest

from mdmserver.checkin.gate import UnenrollDevice
from mdmserver.commands.model import ItemState
from mdmserver.devices.model import EnrollmentRow, EnrollmentState
from mdmserver.errors import Conflict, IdentityRefused, NotFound
from mdmserver.protocol import (
    CheckinMessage,
    DeclarativeManagement,
    GetBootstrapToken,
    GetToken,
    SetBootstrapToken,
    Status,
    parse_declarative_endpoint,
)
from tests.enrollment.world import ME, Phone, World
from tests.fleet import user_id


async def leave(phone: Phone, how: str) -> None:
    await getattr(phone.world.services.leaving, how)(await phone.world.row(phone.id), actor=ME)


async def say(phone: Phone, message: CheckinMessage) -> None:
    await phone.world.services.checkin.answer(message, phone.identity)


async def test_device_that_is_to_unenroll_is_told_so_at_every_message_until_it_checks_out(world: World) -> None:
    phone = await world.enrolled()
    await world.fleet.token_update(user_id(1), phone.identity)
    await world.fleet.enqueue("C1", phone.id, user_id(1))

    await leave(phone, "unenroll")

    id = phone.id
    for _ in range(2):
        for message in (phone.idle, phone.authenticate, phone.token_update):
            with pytest.raises(UnenrollDevice):
                await message()
        for checkin in (
            SetBootstrapToken(enrollment_id=id, bootstrap_token=b"b"),
            GetBootstrapToken(enrollment_id=id),
            DeclarativeManagement(enrollment_id=id, endpoint=parse_declarative_endpoint("tokens")),
            GetToken(enrollment_id=id, token_service_type="com.apple.maid"),
        ):
            with pytest.raises(UnenrollDevice):
                await say(phone, checkin)
        with pytest.raises(UnenrollDevice):
            await phone.report(Status.ACKNOWLEDGED, "C1")
        with pytest.raises(UnenrollDevice):
            await world.fleet.report(user_id(1), Status.IDLE, presented=phone.identity)
    assert await world.fleet.states(id) == {"C1": ItemState.CANCELLED}
    assert await world.fleet.states(user_id(1)) == {"C1": ItemState.CANCELLED}
    assert (await phone.show()).is_to_unenroll

    await phone.check_out()

    assert (await phone.show()).state is EnrollmentState.ENDED
    with pytest.raises(IdentityRefused) as refused:
        await phone.idle()
    assert not isinstance(refused.value, UnenrollDevice)
    assert (await phone.kinds())[-2:] == ["unenroll_requested", "checked_out"]


async def test_nobody_else_learns_that_a_device_is_to_unenroll(world: World) -> None:
    phone, other = await world.enrolled(1), await world.enrolled(2)
    await leave(phone, "unenroll")
    stranger = world.phone(1)
    stranger.certificate = other.certificate

    with pytest.raises(IdentityRefused) as refused:
        await stranger.idle()

    assert not isinstance(refused.value, UnenrollDevice)
    await other.idle()


async def test_device_that_was_to_unenroll_and_enrolls_again_stays(world: World) -> None:
    phone = await world.enrolled()
    await leave(phone, "unenroll")

    await phone.enroll()

    assert await phone.idle() is None
    assert not (await phone.show()).is_to_unenroll


async def test_retired_device_is_refused_and_not_told(world: World) -> None:
    phone = await world.enrolled()
    await world.fleet.enqueue("C1", phone.id)
    await phone.idle()

    await leave(phone, "retire")

    for message in (phone.idle, phone.authenticate, phone.token_update, phone.check_out):
        with pytest.raises(IdentityRefused) as refused:
            await message()
        assert not isinstance(refused.value, UnenrollDevice)
    assert await world.fleet.states(phone.id) == {"C1": ItemState.CANCELLED}
    assert (await phone.kinds())[-1] == "retired"


async def test_deleted_device_leaves_nothing_but_refused_certificates(world: World) -> None:
    phone = await world.enrolled(user_name="Ada Lovelace")
    await world.fleet.token_update(user_id(1), phone.identity)
    await world.fleet.enqueue("C1", phone.id, user_id(1))
    await phone.idle()
    await phone.report(Status.ACKNOWLEDGED, "C1")
    await say(phone, SetBootstrapToken(enrollment_id=phone.id, bootstrap_token=b"b"))
    row = await world.row(phone.id)
    await world.services.presence.flush()

    await world.services.leaving.delete(row, actor=ME)

    for table in ("queue_item", "result", "enrollment_event", "pending_reenrollment"):
        assert await world.count(f"SELECT count(*) FROM {table}") == 0, table
    enrollments = await world.storage.read(lambda tx: tx.fetch_all("SELECT * FROM enrollment"))
    assert "Ada" not in repr(enrollments)
    assert "C00001" not in repr(enrollments)
    assert "Mac15,3" not in repr(enrollments)
    sealed = "push_token_sealed IS NULL AND push_magic_sealed IS NULL AND bootstrap_token_sealed IS NULL"
    assert await world.count(f"SELECT count(*) FROM enrollment WHERE {sealed}") == len(enrollments) == 2
    for message in (phone.idle, phone.authenticate, phone.token_update, phone.check_out):
        with pytest.raises(IdentityRefused):
            await message()


async def test_deleted_device_is_in_no_list_and_can_enroll_anew(world: World) -> None:
    phone = await world.enrolled(user_name="Ada")
    await leave(phone, "delete")

    with pytest.raises(NotFound):
        await phone.show()
    await phone.enroll()

    device = await phone.show()
    assert (device.state, device.user_name) == (EnrollmentState.ENROLLED, None)
    assert await phone.kinds() == ["new_life", "enrolled"]


async def test_device_that_ended_can_be_deleted(world: World) -> None:
    phone = await world.enrolled()
    await phone.check_out()

    await leave(phone, "delete")

    assert await world.count("SELECT count(*) FROM enrollment WHERE deleted_at IS NULL") == 0


@pytest.mark.parametrize("how", ["unenroll", "retire", "delete"])
async def test_each_way_has_one_audit_record_in_an_intact_chain(world: World, how: str) -> None:
    phone = await world.enrolled()

    await leave(phone, how)

    records = await world.audited(f"device.{how}")
    assert [(record.subject, record.actor) for record in records] == [(str(phone.id), ME)]
    assert (await world.services.audit.verify()).broken_at is None


@pytest.mark.parametrize("how", ["unenroll", "retire"])
async def test_enrollment_that_ended_cannot_end_again(world: World, how: str) -> None:
    phone = await world.enrolled()
    await phone.check_out()

    with pytest.raises(Conflict):
        await leave(phone, how)
    assert await world.audited(f"device.{how}") == []


@pytest.mark.parametrize("how", ["unenroll", "retire", "delete"])
async def test_user_channels_leave_with_their_device_alone(world: World, how: str) -> None:
    phone = await world.enrolled()
    await world.fleet.token_update(user_id(1), phone.identity)
    user = await world.row(user_id(1))

    with pytest.raises(Conflict, match="user channel"):
        await getattr(world.services.leaving, how)(user, actor=ME)
    with pytest.raises(NotFound):
        await getattr(world.services.leaving, how)(EnrollmentRow(999), actor=ME)


@pytest.mark.parametrize("how", ["retire", "delete"])
async def test_renewal_under_way_ends_with_the_device(world: World, how: str) -> None:
    phone = await world.enrolled()
    world.clock.advance(days=300)
    await world.renewal.sweep()
    delivery = await phone.idle()
    assert delivery is not None

    await leave(phone, how)

    with pytest.raises(AssertionError, match="FAILURE"):
        await phone.obtain(delivery.challenge)
    assert await world.renewal.sweep() == 0
    assert await world.count("SELECT count(*) FROM identity WHERE state IN ('active', 'grace')") == 0


async def test_renewed_certificate_that_was_never_used_is_revoked_with_the_device(world: World) -> None:
    phone = await world.enrolled()
    world.clock.advance(days=300)
    await world.renewal.sweep()
    delivery = await phone.idle()
    assert delivery is not None
    await phone.obtain(delivery.challenge)

    await leave(phone, "retire")

    with pytest.raises(IdentityRefused):
        await phone.authenticate()
