"""S3: distinct in, distinct out: no id that a device chooses makes two enrollments meet in storage."""

import asyncio
import tempfile
from functools import partial
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mdmserver.devices.model import EnrollmentFilter
from mdmserver.protocol import EnrollmentID, EnrollmentType
from mdmserver.storage.devices import SQLDeviceStore
from mdmserver.storage.migration import migrate
from mdmserver.storage.sqlite import SQLiteStorage
from mdmserver.storage.vault import Vault
from mdmserver.transaction import Transaction
from tests.fleet import START, FakeClock

USER_CHANNELS = {EnrollmentType.USER, EnrollmentType.USER_ENROLLMENT, EnrollmentType.SHARED_IPAD}
# Few letters, so that parts of different ids often read alike; and texts that look like keys of other types.
DEVICES = st.text(alphabet="aA-1", min_size=1, max_size=3) | st.sampled_from(["ue", "ipad", "ueuser"])
USERS = st.text(alphabet="aA:/1é é", min_size=1, max_size=4) | st.sampled_from(["ue/a", "ipad/a:1", "a:1", "1"])


@st.composite
def ids(draw: st.DrawFn) -> EnrollmentID:
    kind = draw(st.sampled_from(EnrollmentType))
    return EnrollmentID(kind, draw(DEVICES), draw(USERS) if kind in USER_CHANNELS else None)


async def _stored(wanted: list[EnrollmentID], folder: Path) -> list[EnrollmentID]:
    storage, devices = SQLiteStorage(folder / "ids.sqlite"), SQLDeviceStore(Vault({1: b"k" * 32}, fingerprint_key=b"f"))

    async def insert(tx: Transaction) -> None:
        for id in wanted:
            known = await devices.identify(tx, id.parent, b"none")
            device = known.device.row if known.device is not None else None
            if device is None:
                device = await devices.insert_enrollment(tx, id.parent, parent=None, life=1, at=START)
            channel = (await devices.identify(tx, id, b"none")).channel
            if channel is None:
                await devices.insert_enrollment(tx, id, parent=device, life=1, at=START)

    await migrate(storage, "sqlite", clock=FakeClock())
    await storage.run(insert)
    listed = await storage.read(partial(devices.enrollments, filter=EnrollmentFilter(), after=None, limit=1000))
    for record in listed:
        assert (await storage.read(partial(devices.find, reference=record.id.key))) == [record.row]
    await storage.close()
    return [record.id for record in listed]


@given(wanted=st.lists(ids(), min_size=2, max_size=25, unique=True))
@settings(max_examples=40, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
def test_distinct_ids_stay_distinct_and_come_back_as_they_were(wanted: list[EnrollmentID]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        stored = asyncio.run(_stored(wanted, Path(folder)))

    assert len(set(stored)) == len(stored)
    assert set(stored) == set(wanted) | {id.parent for id in wanted}


async def test_ids_that_differ_in_case_alone_are_two_devices() -> None:
    with tempfile.TemporaryDirectory() as folder:
        pair = [EnrollmentID(EnrollmentType.DEVICE, text) for text in ("abcdef12", "ABCDEF12")]

        assert await _stored(pair, Path(folder)) == pair
