"""Last-seen times between memory and storage."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial

import pytest

from mdmserver.devices.model import EnrollmentRow
from mdmserver.devices.presence import Presence
from mdmserver.errors import Unavailable
from mdmserver.storage.devices import SQLDeviceStore
from mdmserver.storage.vault import Vault
from mdmserver.transaction import Body, Storage, T
from tests.fleet import START, device_id

LATER = START + timedelta(minutes=5)


class Moody:
    """A storage that can be told to be unavailable."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.is_down = False

    async def run(self, body: Body[T]) -> T:
        if self.is_down:
            raise Unavailable("down")
        return await self._storage.run(body)

    async def read(self, body: Body[T]) -> T:
        return await self._storage.read(body)


@pytest.fixture
def moody(storage: Storage) -> Moody:
    """The storage, up."""
    return Moody(storage)


@pytest.fixture
def devices(vault: Vault) -> SQLDeviceStore:
    """The device store."""
    return SQLDeviceStore(vault)


@pytest.fixture
async def rows(storage: Storage, devices: SQLDeviceStore) -> list[EnrollmentRow]:
    """Two devices."""
    insert = partial(devices.insert_enrollment, parent=None, life=1, at=START)
    return [await storage.run(partial(insert, id=device_id(number))) for number in (1, 2)]


async def written(
    storage: Storage, devices: SQLDeviceStore, rows: list[EnrollmentRow]
) -> Mapping[int, datetime | None]:
    found = [await storage.read(partial(devices.enrollment, row=row)) for row in rows]
    return {record.row: record.last_seen_at for record in found if record is not None}


async def test_what_was_seen_is_known_at_once_and_written_at_the_flush(
    moody: Moody, devices: SQLDeviceStore, rows: list[EnrollmentRow]
) -> None:
    presence = Presence(storage=moody, devices=devices)
    for row in reversed(rows):
        presence.saw(row, LATER)
    known = presence.last_seen(rows[0])
    before = await written(moody, devices, rows)

    flushed = await presence.flush()

    assert known == LATER
    assert list(flushed.items()) == [(row, LATER) for row in rows]
    assert before == dict.fromkeys(rows)
    assert await written(moody, devices, rows) == dict.fromkeys(rows, LATER)
    assert presence.last_seen(rows[0]) is None


async def test_a_flush_of_nothing_writes_nothing(moody: Moody, devices: SQLDeviceStore) -> None:
    moody.is_down = True

    assert await Presence(storage=moody, devices=devices).flush() == {}


async def test_what_could_not_be_written_is_written_the_next_time(
    moody: Moody, devices: SQLDeviceStore, rows: list[EnrollmentRow]
) -> None:
    presence = Presence(storage=moody, devices=devices)
    for row in rows:
        presence.saw(row, LATER)
    moody.is_down = True
    with pytest.raises(Unavailable):
        await presence.flush()
    newer = LATER + timedelta(minutes=5)
    presence.saw(rows[0], newer)

    moody.is_down = False
    await presence.flush()

    assert await written(moody, devices, rows) == {rows[0]: newer, rows[1]: LATER}
