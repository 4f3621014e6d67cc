"""The DeviceStore's contract: lives, facts, secrets, timeline, last seen."""

from datetime import timedelta
from functools import partial

import pytest

from mdmserver.devices.identity import IdentityState
from mdmserver.devices.model import DeviceFacts, Enrollment, EnrollmentRow, EventKind, PushInfo
from mdmserver.protocol import EnrollmentID
from mdmserver.secret import Secret
from mdmserver.storage.devices import SQLDeviceStore
from mdmserver.transaction import Storage
from tests.fleet import START, TOPIC, certificate, device_id, user_id

LATER = START + timedelta(hours=1)
PUSH = PushInfo(topic=TOPIC, token=Secret(b"token"), magic=Secret("magic"))


class Bench:
    """The store, its storage, and one device with one user."""

    def __init__(self, storage: Storage, devices: SQLDeviceStore) -> None:
        self.storage = storage
        self.devices = devices
        self.device = self.user = EnrollmentRow(0)

    async def insert(self, id: EnrollmentID, parent: EnrollmentRow | None = None) -> EnrollmentRow:
        return await self.storage.run(partial(self.devices.insert_enrollment, id=id, parent=parent, life=1, at=START))

    async def push(
        self,
        id: EnrollmentID,
        row: EnrollmentRow,
        *,
        unlock: bytes | None = None,
        awaiting: bool | None = None,
        names: tuple[str | None, str | None] = (None, None),
    ) -> int:
        return await self.storage.run(
            partial(
                self.devices.set_push_info,
                id=id,
                row=row,
                push=PUSH,
                unlock_token=None if unlock is None else Secret(unlock),
                awaiting_configuration=awaiting,
                user_short_name=names[0],
                user_long_name=names[1],
                at=START,
            )
        )

    async def record(self, row: EnrollmentRow) -> Enrollment:
        found = await self.storage.read(partial(self.devices.enrollment, row=row))
        assert found is not None
        return found

    async def sealed(self, row: EnrollmentRow) -> set[str]:
        names = ("push_token", "push_magic", "unlock_token", "bootstrap_token")
        columns = ", ".join(f"{name}_sealed IS NOT NULL" for name in names)
        found = await self.storage.read(lambda tx: tx.fetch_one(f"SELECT {columns} FROM enrollment WHERE id = ?", row))
        assert found is not None
        return {name for name, is_there in zip(names, found, strict=True) if is_there}


@pytest.fixture
async def bench(storage: Storage, devices: SQLDeviceStore) -> Bench:
    """An enrolled device with every secret, and a user that is logged in."""
    bench = Bench(storage, devices)
    bench.device = await bench.insert(device_id(1))
    bench.user = await bench.insert(user_id(1), bench.device)
    await bench.push(device_id(1), bench.device, unlock=b"unlock", awaiting=True)
    await bench.push(user_id(1), bench.user)
    await storage.run(partial(devices.set_bootstrap_token, device=device_id(1), token=Secret(b"bootstrap")))
    return bench


async def test_a_new_enrollment_is_neither_enabled_nor_ended(bench: Bench) -> None:
    record = await bench.record(await bench.insert(device_id(2)))

    assert (record.id, record.enabled, record.ended_at, record.life, record.token_update_tally) == (
        device_id(2), False, None, 1, 0,
    )  # fmt: skip
    assert (record.created_at, record.enrolled_at, record.has_push_token) == (START, None, False)


async def test_a_token_update_enables_and_counts(bench: Bench) -> None:
    tallies = [await bench.push(device_id(1), bench.device) for _ in range(2)]

    record = await bench.record(bench.device)
    assert tallies == [2, 3]
    assert (record.enabled, record.token_update_tally, record.topic, record.has_push_token) == (True, 3, TOPIC, True)


async def test_what_a_token_update_does_not_say_stays(bench: Bench) -> None:
    await bench.push(user_id(1), bench.user, names=("short", "long"))

    await bench.push(device_id(1), bench.device)
    await bench.push(user_id(1), bench.user)

    assert (await bench.record(bench.device)).awaiting_configuration is True
    assert "unlock_token" in await bench.sealed(bench.device)
    user = await bench.record(bench.user)
    assert (user.user_short_name, user.user_long_name) == ("short", "long")


async def test_push_information_comes_back_as_it_was(bench: Bench) -> None:
    assert await bench.storage.read(partial(bench.devices.push_info, id=device_id(1))) == PUSH


async def test_a_new_life_drops_every_secret_and_ends_the_users(bench: Bench) -> None:
    await bench.storage.run(partial(bench.devices.begin_life, device=bench.device, life=2, at=LATER))

    device, user = await bench.record(bench.device), await bench.record(bench.user)
    assert (device.life, device.enabled, device.ended_at, device.token_update_tally) == (2, False, None, 0)
    assert (device.awaiting_configuration, device.enrolled_at) == (False, None)
    assert (user.life, user.enabled, user.ended_at) == (1, False, LATER)
    assert await bench.sealed(bench.device) == await bench.sealed(bench.user) == set()
    assert await bench.storage.read(partial(bench.devices.push_info, id=device_id(1))) is None


async def test_the_end_of_a_device_is_the_end_of_its_users(bench: Bench) -> None:
    await bench.storage.run(partial(bench.devices.end_life, row=bench.device, at=LATER))

    for row in (bench.device, bench.user):
        record = await bench.record(row)
        assert (record.enabled, record.ended_at) == (False, LATER)
        assert await bench.sealed(row) == set()


async def test_the_end_of_a_user_is_the_users_alone(bench: Bench) -> None:
    await bench.storage.run(partial(bench.devices.end_life, row=bench.user, at=LATER))

    assert (await bench.record(bench.user)).ended_at == LATER
    assert (await bench.record(bench.device)).enabled is True


async def test_a_user_that_is_there_again_begins_anew(bench: Bench) -> None:
    await bench.push(user_id(1), bench.user, awaiting=True)
    await bench.storage.run(partial(bench.devices.end_life, row=bench.user, at=LATER))

    await bench.storage.run(partial(bench.devices.begin_user_life, user=bench.user, life=4))

    user = await bench.record(bench.user)
    assert (user.life, user.enabled, user.ended_at, user.token_update_tally) == (4, False, None, 0)
    assert (user.awaiting_configuration, user.enrolled_at) == (False, None)


async def test_facts_that_were_not_said_stay(bench: Bench) -> None:
    first = DeviceFacts(serial_number="C01", model="Mac15,3", os_version="15.1")
    await bench.storage.run(partial(bench.devices.set_facts, row=bench.device, facts=first, topic="other", at=LATER))

    await bench.storage.run(
        partial(bench.devices.update_facts, row=bench.device, facts=DeviceFacts(os_version="15.2", device_name="Mac"))
    )

    record = await bench.record(bench.device)
    assert record.facts == DeviceFacts(serial_number="C01", model="Mac15,3", os_version="15.2", device_name="Mac")
    assert (record.topic, record.last_seen_at) == ("other", LATER)


async def test_a_bootstrap_token_is_kept_replaced_and_deleted(bench: Bench) -> None:
    read = partial(bench.devices.bootstrap_token, device=device_id(1))
    assert await bench.storage.read(read) == Secret(b"bootstrap")

    await bench.storage.run(partial(bench.devices.set_bootstrap_token, device=device_id(1), token=Secret(b"other")))
    assert await bench.storage.read(read) == Secret(b"other")

    await bench.storage.run(partial(bench.devices.set_bootstrap_token, device=device_id(1), token=None))
    assert await bench.storage.read(read) is None


async def test_the_timeline_is_read_newest_first(bench: Bench) -> None:
    for kind in (EventKind.ENROLLMENT_BEGAN, EventKind.ENROLLED, EventKind.CONFIGURED):
        await bench.storage.run(
            partial(bench.devices.add_event, row=bench.device, kind=kind, detail=f"{kind} now", life=3, at=LATER)
        )

    newest = await bench.storage.read(partial(bench.devices.timeline, row=bench.device, limit=2))

    assert [(entry.kind, entry.detail, entry.life, entry.at) for entry in newest] == [
        ("configured", "configured now", 3, LATER),
        ("enrolled", "enrolled now", 3, LATER),
    ]


async def test_events_are_counted_by_kind_and_time(bench: Bench) -> None:
    kind = EventKind.BOOTSTRAP_TOKEN_RETURNED
    for minutes in range(3):
        at = START + timedelta(minutes=minutes)
        await bench.storage.run(partial(bench.devices.add_event, row=bench.device, kind=kind, detail="", life=1, at=at))

    since = START + timedelta(minutes=1)
    count = partial(bench.devices.events_since, since=since)
    assert await bench.storage.read(partial(count, row=bench.device, kind=kind)) == 2
    assert await bench.storage.read(partial(count, row=bench.device, kind=EventKind.ENROLLED)) == 0
    assert await bench.storage.read(partial(count, row=bench.user, kind=kind)) == 0


async def test_last_seen_moves_forward_where_it_is_worth_writing(bench: Bench) -> None:
    async def flush(seconds: int) -> None:
        seen = {bench.device: START + timedelta(seconds=seconds)}
        await bench.storage.run(partial(bench.devices.flush_last_seen, seen=seen, worth_writing=timedelta(minutes=1)))

    moved = []
    for seconds in (30, 90, 60, -500):
        await flush(seconds)
        moved.append((await bench.record(bench.device)).last_seen_at)

    assert moved == [START, *[START + timedelta(seconds=90)] * 3]


async def test_identities_of_a_device_all_change_their_state_together(bench: Bench) -> None:
    await bench.storage.run(
        partial(bench.devices.bind_identity, device=bench.device, presented=certificate(1), at=START)
    )

    await bench.storage.run(
        partial(bench.devices.set_identity_state, device=bench.device, state=IdentityState.REVOKED, at=LATER)
    )

    known = await bench.storage.read(
        partial(bench.devices.identify, id=device_id(1), fingerprint=certificate(1).fingerprint)
    )
    assert known.identity is not None
    assert known.identity.state is IdentityState.REVOKED
