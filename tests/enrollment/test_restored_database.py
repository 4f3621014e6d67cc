"""A database that was put back from a copy knows the devices whose certificates are newer than the copy."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from certs import PKIStatus, enrollment_id_of
from mdmserver.commands.model import ItemState
from mdmserver.devices.model import EnrollmentState
from mdmserver.errors import IdentityRefused
from mdmserver.storage.migration import migrate
from mdmserver.storage.sqlite import SQLiteStorage
from mdmserver.storage.vault_keys import add_wrapping_key
from tests.enrollment.device import Applicant
from tests.enrollment.world import Phone, World, give_authority, open_world, unrecorded
from tests.fleet import FakeClock


class Machine:
    """A server whose database file is copied and put back. SQLite's; other engines restore in their own way."""

    def __init__(self, folder: Path, clock: FakeClock) -> None:
        self._folder = folder
        self._clock = clock
        self._storage: SQLiteStorage | None = None

    async def start(self) -> World:
        """Open the database."""
        self._storage = SQLiteStorage(self._folder / "mdmserver.sqlite")
        await migrate(self._storage, "sqlite", clock=self._clock)
        return await open_world(self._storage, self._folder / "keys", self._clock)

    async def stop(self) -> None:
        """Close it; nothing is left beside the file."""
        assert self._storage is not None
        await self._storage.close()

    async def back_up(self, *phones: Phone) -> None:
        """Copy the file."""
        await self.stop()
        shutil.copyfile(self._folder / "mdmserver.sqlite", self._folder / "copy.sqlite")
        await self._meet(phones)

    async def restore(self, *phones: Phone) -> None:
        """Put the copy back."""
        await self.stop()
        shutil.copyfile(self._folder / "copy.sqlite", self._folder / "mdmserver.sqlite")
        await self._meet(phones)

    async def _meet(self, phones: tuple[Phone, ...]) -> None:
        world = await self.start()
        for phone in phones:
            phone.world = world


@pytest.fixture
async def machine(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Machine]:
    """A server that is not started."""
    add_wrapping_key(tmp_path / "keys")
    machine = Machine(tmp_path, clock)
    yield machine
    await machine.stop()


@pytest.fixture
async def phone(machine: Machine) -> Phone:
    """A phone that enrolled with a server with a CA, of which there is a copy from that moment."""
    world = await machine.start()
    await give_authority(world)
    phone = await world.enrolled()
    await machine.back_up(phone)
    return phone


async def renew(phone: Phone, *, by_days: float = 30) -> bytes:
    """Renew after this time; the old certificate."""
    phone.world.clock.advance(days=by_days)
    old = phone.certificate
    applicant = Applicant(services=phone.world.services, key=phone.key)
    reply = await applicant.apply(None, at=phone.world.clock(), signer_der=old)
    assert reply.status is PKIStatus.SUCCESS
    phone.certificate = reply.certificates[0]
    return old


async def test_device_with_a_newer_certificate_goes_on_where_it_was(machine: Machine, phone: Phone) -> None:
    old = await renew(phone)
    await phone.idle()
    await machine.restore(phone)
    await phone.world.fleet.enqueue("C1", phone.id)

    delivery = await phone.idle()

    assert delivery is not None
    assert delivery.uuid == "C1"
    device = await phone.show()
    assert (device.life, device.state) == (1, EnrollmentState.ENROLLED)
    assert await phone.identity_states() == {old: "superseded", phone.certificate: "active"}
    assert await phone.world.count("SELECT count(*) FROM issued_certificate WHERE certificate = ?", phone.certificate)


async def test_its_authenticate_and_token_update_are_those_of_a_renewal(machine: Machine, phone: Phone) -> None:
    await renew(phone)
    await machine.restore(phone)
    await phone.world.fleet.enqueue("C1", phone.id)

    await phone.authenticate()
    await phone.token_update()

    assert (await phone.show()).life == 1
    assert await phone.world.fleet.states(phone.id) == {"C1": ItemState.QUEUED}


async def test_recognised_certificate_can_be_renewed_and_is_put_on_the_crl_then(machine: Machine, phone: Phone) -> None:
    await renew(phone)
    await machine.restore(phone)
    await phone.idle()
    uid = enrollment_id_of(phone.certificate)

    recognised = await renew(phone)
    await phone.idle()

    assert enrollment_id_of(phone.certificate) == uid
    assert (await phone.identity_states())[recognised] == "superseded"
    assert phone.certificate != recognised


async def test_renewal_asked_for_again_after_the_restore_gives_the_recognised_certificate(
    machine: Machine, phone: Phone
) -> None:
    old = await renew(phone)
    await machine.restore(phone)
    await phone.idle()
    recognised, phone.certificate = phone.certificate, old

    with pytest.raises(IdentityRefused):
        await phone.idle()

    phone.certificate = recognised
    assert await phone.idle() is None


async def test_of_two_lost_certificates_the_older_one_does_not_replace_the_newer(
    machine: Machine, phone: Phone
) -> None:
    """The older one was superseded after the copy was made; perhaps it was stolen."""
    await renew(phone)
    older = phone.certificate
    await phone.idle()
    await renew(phone)
    await phone.idle()
    await machine.restore(phone)
    await phone.idle()
    newer, phone.certificate = phone.certificate, older

    for message in (phone.idle, phone.authenticate, phone.token_update, phone.check_out):
        with pytest.raises(IdentityRefused):
            await message()

    phone.certificate = newer
    assert await phone.idle() is None


async def test_lost_certificate_of_another_device_is_not_recognised(machine: Machine, phone: Phone) -> None:
    other = await phone.world.enrolled(2)
    await machine.back_up(phone, other)
    await renew(other)
    await machine.restore(phone, other)
    lost, phone.certificate = phone.certificate, other.certificate

    for message in (phone.idle, phone.authenticate, phone.token_update, phone.check_out):
        with pytest.raises(IdentityRefused):
            await message()

    phone.certificate = lost
    assert await phone.idle() is None
    assert await other.idle() is None


async def test_lost_certificate_of_a_known_device_enrolls_no_other_one(machine: Machine, phone: Phone) -> None:
    """It once ended as an error of the database: its id can stand only once."""
    await renew(phone)
    await machine.restore(phone)
    stranger = phone.world.phone(9)
    stranger.certificate = phone.certificate

    with pytest.raises(IdentityRefused):
        await stranger.authenticate()

    assert await phone.idle() is None


async def test_certificate_of_a_device_that_enrolled_after_the_copy_begins_nothing(
    machine: Machine, phone: Phone
) -> None:
    """Nobody knows any more whether it was retired since: it takes a new invitation."""
    late = await phone.world.enrolled(2)
    await machine.restore(phone, late)

    for message in (late.idle, late.authenticate):
        with pytest.raises(IdentityRefused):
            await message()

    await late.enroll()
    assert (await late.show()).state is EnrollmentState.ENROLLED


async def test_lost_certificate_does_not_revive_an_enrollment_that_ended(machine: Machine, phone: Phone) -> None:
    await renew(phone)
    newer = phone.certificate
    await machine.restore(phone)
    phone.certificate = next(iter(await phone.identity_states()))
    await phone.check_out()
    phone.certificate = newer

    for message in (phone.idle, phone.authenticate, phone.token_update):
        with pytest.raises(IdentityRefused):
            await message()
    assert (await phone.show()).state is EnrollmentState.ENDED


async def test_lost_certificate_that_expired_may_renew(machine: Machine, phone: Phone) -> None:
    await renew(phone)
    await machine.restore(phone)
    phone.world.clock.advance(days=400)
    await phone.world.renewal.sweep()

    delivery = await phone.idle()

    assert delivery is not None
    await phone.renew_by(delivery)
    assert (await phone.show()).life == 1


async def test_made_up_id_in_a_certificate_of_ours_is_nobodys(machine: Machine, phone: Phone) -> None:
    phone.world.clock.advance(days=1)
    phone.certificate = unrecorded(phone.world, "00000000-0000-4000-8000-00000000abcd")

    with pytest.raises(IdentityRefused):
        await phone.idle()
