"""The DeviceStore's contract: certificates, releases, finding and listing."""

from datetime import timedelta
from functools import partial

import pytest

from mdmserver.devices.identity import IdentityState, PresentedIdentity
from mdmserver.devices.model import DeviceFacts, EnrollmentFilter, EnrollmentRow, EnrollmentState
from mdmserver.protocol import EnrollmentID, EnrollmentType
from mdmserver.storage.devices import SQLDeviceStore
from mdmserver.transaction import Storage
from tests.fleet import START, TOPIC, certificate, device_id, user_id

LATER = START + timedelta(hours=1)


class Bench:
    """The store, its storage, and short ways to fill it."""

    def __init__(self, storage: Storage, devices: SQLDeviceStore) -> None:
        self.storage = storage
        self.devices = devices

    async def insert(
        self, id: EnrollmentID, parent: EnrollmentRow | None = None, *, serial: str | None = None, enabled: bool = False
    ) -> EnrollmentRow:
        row = await self.storage.run(partial(self.devices.insert_enrollment, id=id, parent=parent, life=1, at=START))
        facts = DeviceFacts(serial_number=serial)
        await self.storage.run(partial(self.devices.set_facts, row=row, facts=facts, topic=TOPIC, at=START))
        if enabled:
            await self.storage.run(lambda tx: tx.execute("UPDATE enrollment SET enabled = 1 WHERE id = ?", row))
        return row

    async def end(self, row: EnrollmentRow) -> None:
        await self.storage.run(partial(self.devices.end_life, row=row, at=LATER))

    async def bind(self, row: EnrollmentRow, presented: PresentedIdentity) -> None:
        await self.storage.run(partial(self.devices.bind_identity, device=row, presented=presented, at=START))

    async def state_of(self, presented: PresentedIdentity) -> tuple[EnrollmentRow, IdentityState] | None:
        known = await self.storage.read(
            partial(self.devices.identify, id=device_id(1), fingerprint=presented.fingerprint)
        )
        return None if known.identity is None else (known.identity.enrollment, known.identity.state)

    async def found(self, reference: str) -> list[EnrollmentRow]:
        return await self.storage.read(partial(self.devices.find, reference=reference))

    async def listed(self, **wanted: object) -> list[EnrollmentRow]:
        filter = EnrollmentFilter(**wanted)  # type: ignore[arg-type]  # each test names fields of the filter
        page = await self.storage.read(partial(self.devices.enrollments, filter=filter, after=None, limit=99))
        return [enrollment.row for enrollment in page]


@pytest.fixture
def bench(storage: Storage, devices: SQLDeviceStore) -> Bench:
    """An empty store."""
    return Bench(storage, devices)


async def test_nothing_is_known_of_a_stranger(bench: Bench) -> None:
    known = await bench.storage.read(partial(bench.devices.identify, id=user_id(1), fingerprint=b"none"))

    assert (known.device, known.channel, known.identity) == (None, None, None)


async def test_a_user_channel_is_identified_with_its_device(bench: Bench) -> None:
    device = await bench.insert(device_id(1))
    user = await bench.insert(user_id(1), device)
    await bench.bind(device, certificate(1))

    known = await bench.storage.read(
        partial(bench.devices.identify, id=user_id(1), fingerprint=certificate(1).fingerprint)
    )

    assert known.device is not None
    assert known.channel is not None
    assert known.identity is not None
    assert (known.device.row, known.channel.row, known.channel.device) == (device, user, device)
    assert (known.identity.enrollment, known.identity.state) == (device, IdentityState.ACTIVE)


async def test_a_user_that_is_not_there_is_identified_by_its_device_alone(bench: Bench) -> None:
    device = await bench.insert(device_id(1))

    known = await bench.storage.read(partial(bench.devices.identify, id=user_id(1), fingerprint=b"none"))

    assert known.channel is None
    assert known.device is not None
    assert known.device.row == device


async def test_a_new_certificate_supersedes_the_one_before(bench: Bench) -> None:
    device = await bench.insert(device_id(1))
    await bench.bind(device, certificate(1))

    await bench.bind(device, certificate(1, version=2))

    assert await bench.state_of(certificate(1)) == (device, IdentityState.SUPERSEDED)
    assert await bench.state_of(certificate(1, version=2)) == (device, IdentityState.ACTIVE)


async def test_binding_the_active_certificate_again_keeps_it_active(bench: Bench) -> None:
    device = await bench.insert(device_id(1))
    await bench.bind(device, certificate(1))

    await bench.bind(device, certificate(1))

    assert await bench.state_of(certificate(1)) == (device, IdentityState.ACTIVE)


async def test_a_superseded_certificate_is_not_revived_by_binding_it_again(bench: Bench) -> None:
    device = await bench.insert(device_id(1))
    await bench.bind(device, certificate(1))
    await bench.bind(device, certificate(1, version=2))

    await bench.bind(device, certificate(1))

    assert await bench.state_of(certificate(1)) == (device, IdentityState.SUPERSEDED)


async def test_pending_re_enrollments_are_counted_and_listed_oldest_first(bench: Bench) -> None:
    for number in (1, 2):
        await bench.insert(device_id(number))
    note = bench.devices.note_pending

    firsts = [
        await bench.storage.run(
            partial(note, id=device_id(number), presented=certificate(number, 2), serial_number="S", at=at)
        )
        for number, at in ((2, START), (1, LATER), (2, LATER))
    ]

    pending = await bench.storage.read(bench.devices.pending)
    assert firsts == [True, True, False]
    assert [(one.id, one.first_at, one.last_at, one.attempts) for one in pending] == [
        (device_id(2), START, LATER, 2),
        (device_id(1), LATER, LATER, 1),
    ]
    assert (pending[0].fingerprint, pending[0].serial_number) == (certificate(2, 2).fingerprint, "S")


async def test_a_release_forgets_what_was_pending_and_holds_until_the_next_life(bench: Bench) -> None:
    device = await bench.insert(device_id(1))
    await bench.storage.run(
        partial(bench.devices.note_pending, id=device_id(1), presented=certificate(1, 2), serial_number=None, at=START)
    )
    is_released = partial(bench.devices.is_released, device=device)
    before = await bench.storage.read(is_released)

    await bench.storage.run(partial(bench.devices.release, device=device, at=START))
    after = await bench.storage.read(is_released)
    await bench.storage.run(partial(bench.devices.begin_life, device=device, life=2, at=LATER))

    assert (before, after, await bench.storage.read(is_released)) == (False, True, False)
    assert await bench.storage.read(bench.devices.pending) == []


async def test_an_enrollment_is_found_by_id_and_else_by_serial_number(bench: Bench) -> None:
    device = await bench.insert(device_id(1), serial="C01")
    user = await bench.insert(user_id(1), device, serial="C01")
    twin = await bench.insert(device_id(2), serial="C01")

    assert await bench.found(str(device_id(1))) == [device]
    assert await bench.found(str(user_id(1))) == [user]
    assert await bench.found("C01") == [device, twin]
    assert await bench.found("nothing") == []


async def test_an_ended_device_is_not_found_by_its_serial_number(bench: Bench) -> None:
    await bench.end(await bench.insert(device_id(1), serial="C01"))

    assert await bench.found("C01") == []


async def test_an_id_wins_over_the_same_text_as_a_serial_number(bench: Bench) -> None:
    await bench.insert(device_id(1), serial=device_id(2).device)
    meant = await bench.insert(device_id(2))

    assert await bench.found(device_id(2).device) == [meant]


async def test_many_are_found_at_once_with_whether_they_live(bench: Bench) -> None:
    live = await bench.insert(device_id(1), serial="C01")
    ended = await bench.insert(device_id(2))
    await bench.end(ended)
    references = [str(device_id(1)), str(device_id(2)), "unknown", "C01"]

    targets = await bench.storage.read(partial(bench.devices.find_many, references=references))

    assert {reference: (target.row, target.is_live) for reference, target in targets.items()} == {
        str(device_id(1)): (live, True),
        str(device_id(2)): (ended, False),
    }


async def test_a_device_that_calls_itself_as_another_is_called_does_not_take_its_place(bench: Bench) -> None:
    victim = await bench.insert(device_id(1), enabled=True)
    impostor_id = EnrollmentID(EnrollmentType.USER_ENROLLMENT_DEVICE, device_id(1).device)
    impostor = await bench.insert(impostor_id, enabled=True)

    by_name = await bench.storage.read(partial(bench.devices.find_many, references=[str(device_id(1))]))
    by_key = await bench.storage.read(partial(bench.devices.find_many, references=[impostor_id.key]))
    await bench.end(victim)
    after_its_end = await bench.storage.read(partial(bench.devices.find_many, references=[str(device_id(1))]))

    assert by_name[str(device_id(1))].row == victim
    assert by_key[impostor_id.key].row == impostor
    assert after_its_end[str(device_id(1))].is_live is False


async def test_a_name_that_two_enrollments_bear_and_none_owns_finds_neither(bench: Bench) -> None:
    for kind in (EnrollmentType.USER_ENROLLMENT, EnrollmentType.SHARED_IPAD):
        parent = await bench.insert(EnrollmentID(kind, "A", "user").parent)
        await bench.insert(EnrollmentID(kind, "A", "user"), parent)

    targets = await bench.storage.read(partial(bench.devices.find_many, references=["A:user", "ipad/A:user"]))

    assert list(targets) == ["ipad/A:user"]
    assert len(await bench.found("A:user")) == 2


async def test_enrollments_are_listed_by_state_type_serial_and_device(bench: Bench) -> None:
    device = await bench.insert(device_id(1), serial="C01", enabled=True)
    user = await bench.insert(user_id(1), device)
    other = await bench.insert(device_id(2), serial="C02")
    await bench.end(other)

    assert await bench.listed() == [device, user, other]
    assert await bench.listed(state=EnrollmentState.ENROLLED) == [device]
    assert await bench.listed(state=EnrollmentState.ENROLLING) == [user]
    assert await bench.listed(state=EnrollmentState.ENDED) == [other]
    assert await bench.listed(types=frozenset({"User", "User Enrollment"})) == [user]
    assert await bench.listed(serial_number="C02") == [other]
    assert await bench.listed(device=device_id(1).device) == [device, user]
    assert await bench.listed(device=device_id(1).device, types=frozenset({"Device"})) == [device]


async def test_a_list_goes_on_after_any_row(bench: Bench) -> None:
    rows = [await bench.insert(device_id(number)) for number in range(5)]

    page = await bench.storage.read(
        partial(bench.devices.enrollments, filter=EnrollmentFilter(), after=rows[1], limit=2)
    )

    assert [enrollment.row for enrollment in page] == rows[2:4]


async def test_states_are_counted_and_those_without_any_are_zero(bench: Bench) -> None:
    await bench.insert(device_id(1), enabled=True)
    await bench.end(await bench.insert(device_id(2)))
    await bench.end(await bench.insert(device_id(3)))

    assert await bench.storage.read(bench.devices.counts) == {
        "enrolled": 1, "enrolling": 0, "erased": 0, "ended": 2,
    }  # fmt: skip
