"""The DeviceStore's contract: renewed certificates, ids in them, when renewal is due, leaving."""

from datetime import datetime, timedelta
from functools import partial

import pytest

from mdmserver.devices.identity import IdentityState, KnownIdentity
from mdmserver.devices.model import DeviceFacts, EnrollmentRow, EventKind, PushInfo
from mdmserver.devices.store import Channel, DueRenewal
from mdmserver.secret import Secret
from mdmserver.storage.devices import SQLDeviceStore
from mdmserver.transaction import Storage
from tests.fleet import START, TOPIC, certificate, device_id, user_id

DUE = START + timedelta(days=240)
RETRY = START + timedelta(days=2)
DAY = timedelta(days=1)


class Bench:
    """The store, its storage, and short ways to fill it."""

    def __init__(self, storage: Storage, devices: SQLDeviceStore) -> None:
        self.storage = storage
        self.devices = devices

    async def enrolled(self, number: int = 1, *, renew_at: datetime | None = DUE) -> EnrollmentRow:
        """A device that said TokenUpdate, its first certificate active."""
        row = await self.storage.run(
            partial(self.devices.insert_enrollment, id=device_id(number), parent=None, life=1, at=START)
        )
        await self.storage.run(
            partial(self.devices.bind_identity, device=row, presented=certificate(number), renew_at=renew_at, at=START)
        )
        push = PushInfo(topic=TOPIC, token=Secret(b"t"), magic=Secret("m"))
        await self.storage.run(
            partial(
                self.devices.set_push_info, id=device_id(number), row=row, push=push, unlock_token=None,
                awaiting_configuration=None, user_short_name=None, user_long_name=None, at=START,
            )
        )  # fmt: skip
        return row

    async def renew(self, row: EnrollmentRow, version: int, *, number: int = 1, at: datetime = START) -> None:
        """Bind a renewed certificate."""
        presented = certificate(number, version)
        await self.storage.run(
            partial(
                self.devices.bind_renewed, device=row, fingerprint=presented.fingerprint,
                certificate=presented.certificate, authority="ours", not_after=presented.not_after,
                renew_at=DUE, retry_at=at + 2 * DAY, at=at,
            )
        )  # fmt: skip

    async def confirm(self, row: EnrollmentRow, at: datetime = START) -> None:
        await self.storage.run(partial(self.devices.confirm_identity, device=row, at=at))

    async def states(self, number: int = 1, versions: int = 3) -> list[str | None]:
        """The states of the device's certificates, version by version."""
        known = [await self.known(certificate(number, version)) for version in range(1, versions + 1)]
        return [None if identity is None else identity.state.value for identity in known]

    async def known(self, presented: object) -> KnownIdentity | None:
        fingerprint = presented.fingerprint  # type: ignore[attr-defined]  # a PresentedIdentity
        found = await self.storage.read(partial(self.devices.identify, id=device_id(1), fingerprint=fingerprint))
        return found.identity

    async def channel(self, number: int = 1) -> Channel:
        found = await self.storage.read(partial(self.devices.identify, id=device_id(number), fingerprint=b""))
        assert found.device is not None
        return found.device

    async def due(self, at: datetime, limit: int = 99) -> list[DueRenewal]:
        return await self.storage.read(partial(self.devices.due_for_renewal, at=at, limit=limit))

    async def tried(self, row: EnrollmentRow, at: datetime, next_at: datetime) -> bool:
        return await self.storage.run(partial(self.devices.renewal_tried, device=row, at=at, next_at=next_at))


@pytest.fixture
def bench(storage: Storage, devices: SQLDeviceStore) -> Bench:
    """An empty store."""
    return Bench(storage, devices)


async def test_renewed_certificate_is_active_at_once_and_the_used_one_in_grace(bench: Bench) -> None:
    row = await bench.enrolled()

    await bench.renew(row, 2)

    assert await bench.states() == ["grace", "active", None]
    renewed = await bench.known(certificate(1, 2))
    assert renewed is not None
    assert renewed.is_first_use
    first = await bench.known(certificate(1))
    assert first is not None
    assert not first.is_first_use


async def test_first_use_supersedes_the_one_before(bench: Bench) -> None:
    row = await bench.enrolled()
    await bench.renew(row, 2)

    await bench.confirm(row)

    assert await bench.states() == ["superseded", "active", None]
    renewed = await bench.known(certificate(1, 2))
    assert renewed is not None
    assert not renewed.is_first_use


async def test_renewed_certificate_that_was_never_used_makes_room_and_the_used_one_stays_in_grace(
    bench: Bench,
) -> None:
    row = await bench.enrolled()
    await bench.renew(row, 2)

    await bench.renew(row, 3, at=START + 3 * DAY)

    assert await bench.states() == ["grace", "superseded", "active"]
    first = await bench.known(certificate(1))
    assert first is not None
    assert first.changed_at == START + 3 * DAY


async def test_used_renewed_certificate_goes_into_grace_in_its_turn(bench: Bench) -> None:
    row = await bench.enrolled()
    await bench.renew(row, 2)
    await bench.confirm(row)

    await bench.renew(row, 3)

    assert await bench.states() == ["superseded", "grace", "active"]


async def test_ending_a_devices_certificates_ends_the_one_in_grace_too(bench: Bench) -> None:
    row = await bench.enrolled()
    await bench.renew(row, 2)

    await bench.storage.run(
        partial(bench.devices.set_identity_state, device=row, state=IdentityState.REVOKED, at=START)
    )

    assert await bench.states() == ["revoked", "revoked", None]


async def test_believed_are_active_ones_and_those_in_grace_of_live_devices(bench: Bench) -> None:
    row = await bench.enrolled(1)
    ended = await bench.enrolled(2)
    await bench.renew(row, 2)
    await bench.storage.run(partial(bench.devices.end_life, row=ended, at=START))

    async def believed(number: int, version: int) -> IdentityState | None:
        fingerprint = certificate(number, version).fingerprint
        found = await bench.storage.read(partial(bench.devices.believed, fingerprint=fingerprint))
        return None if found is None else found.state

    assert await believed(1, 1) is IdentityState.GRACE
    assert await believed(1, 2) is IdentityState.ACTIVE
    assert await believed(2, 1) is None
    await bench.confirm(row)
    assert await believed(1, 1) is None


async def test_active_certificate_is_given_as_it_is(bench: Bench) -> None:
    row = await bench.enrolled()
    await bench.renew(row, 2)

    active = partial(bench.devices.active_certificate, device=row)
    assert await bench.storage.read(active) == certificate(1, 2).certificate
    await bench.storage.run(
        partial(bench.devices.set_identity_state, device=row, state=IdentityState.REVOKED, at=START)
    )
    assert await bench.storage.read(active) is None


async def test_id_for_certificates_is_made_once_and_finds_its_device(bench: Bench) -> None:
    first, second = await bench.enrolled(1), await bench.enrolled(2)

    uids = [await bench.storage.run(partial(bench.devices.uid, device=row)) for row in (first, first, second)]

    assert uids[0] == uids[1] != uids[2]
    find = bench.devices.device_with_uid
    assert await bench.storage.read(partial(find, uid=uids[2])) == second
    assert await bench.storage.read(partial(find, uid="unknown")) is None


async def test_origin_replaces_id_and_user(bench: Bench) -> None:
    row = await bench.enrolled()
    for uid, name in (("first", "Ada"), ("second", None)):
        await bench.storage.run(partial(bench.devices.set_origin, device=row, uid=uid, user_name=name))

    assert await bench.storage.run(partial(bench.devices.uid, device=row)) == "second"
    enrollment = await bench.storage.read(partial(bench.devices.enrollment, row=row))
    assert enrollment is not None
    assert enrollment.user_name is None


async def test_renewal_is_due_from_its_time_on_and_the_longest_due_come_first(bench: Bench) -> None:
    rows = [await bench.enrolled(number, renew_at=DUE - number * DAY if number < 4 else None) for number in range(1, 5)]

    assert await bench.due(DUE - 4 * DAY) == []
    due = await bench.due(DUE)
    assert [renewal.device for renewal in due] == [rows[2], rows[1], rows[0]]
    assert due[0] == DueRenewal(device=rows[2], id=device_id(3), life=1, attempts=0, not_after=certificate(3).not_after)
    assert len(await bench.due(DUE, limit=2)) == 2


async def test_unused_renewed_certificate_is_due_soon_and_a_used_one_in_its_time(bench: Bench) -> None:
    row = await bench.enrolled()
    await bench.renew(row, 2)

    assert [await bench.due(RETRY - DAY), len(await bench.due(RETRY))] == [[], 1]
    await bench.tried(row, RETRY, RETRY + DAY)
    await bench.confirm(row)

    assert await bench.due(DUE - DAY) == []
    assert [renewal.attempts for renewal in await bench.due(DUE)] == [0]


async def test_attempt_is_counted_and_looked_at_again_later(bench: Bench) -> None:
    row = await bench.enrolled()

    tried = [await bench.tried(row, at, DUE + DAY) for at in (DUE - DAY, DUE, DUE)]

    assert tried == [False, True, False]
    assert await bench.due(DUE) == []
    assert [renewal.attempts for renewal in await bench.due(DUE + DAY)] == [1]


@pytest.mark.parametrize("end", ["end_life", "request_unenroll"])
async def test_device_that_leaves_is_not_due_even_if_it_was_read_so_before(bench: Bench, end: str) -> None:
    row = await bench.enrolled()

    await bench.storage.run(lambda tx: getattr(bench.devices, end)(tx, row, at=DUE))

    assert await bench.due(DUE) == []
    assert await bench.tried(row, DUE, DUE + DAY) is False


async def test_request_to_unenroll_and_a_renewals_authenticate_are_remembered(bench: Bench) -> None:
    row = await bench.enrolled()
    before = await bench.channel()
    await bench.storage.run(partial(bench.devices.request_unenroll, device=row, at=START))
    await bench.storage.run(partial(bench.devices.note_reauthenticated, device=row, at=START))

    after = await bench.channel()
    await bench.storage.run(partial(bench.devices.begin_life, device=row, life=2, at=START))
    anew = await bench.channel()

    assert [(one.is_to_unenroll, one.has_reauthenticated) for one in (before, after, anew)] == [
        (False, False),
        (True, True),
        (False, False),
    ]


async def test_forgotten_device_keeps_its_row_and_its_certificates_alone(bench: Bench) -> None:
    row, other = await bench.enrolled(1), await bench.enrolled(2)
    user = await bench.storage.run(
        partial(bench.devices.insert_enrollment, id=user_id(1), parent=row, life=1, at=START)
    )
    facts = DeviceFacts(serial_number="S1", device_name="Ada's iPhone", imei="35")
    for one in (row, other, user):
        await bench.storage.run(partial(bench.devices.set_facts, row=one, facts=facts, topic=TOPIC, at=START))
        await bench.storage.run(
            partial(bench.devices.add_event, row=one, kind=EventKind.ENROLLED, detail="", life=1, at=START)
        )
    await bench.storage.run(partial(bench.devices.end_life, row=row, at=START))

    await bench.storage.run(partial(bench.devices.forget, device=row, at=START))

    for one in (row, user):
        left = await bench.storage.read(partial(bench.devices.enrollment, row=one))
        assert left is not None
        assert (left.facts, left.topic, left.last_seen_at) == (DeviceFacts(), None, None)
        assert await bench.storage.read(partial(bench.devices.timeline, row=one, limit=9)) == []
    assert await bench.states(versions=1) == ["active"]
    spared = await bench.storage.read(partial(bench.devices.enrollment, row=other))
    assert spared is not None
    assert spared.facts == facts
