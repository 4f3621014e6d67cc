"""The CommandStore's contract: results, and working through them."""

import zlib
from datetime import timedelta
from functools import partial

import pytest

from mdmserver.commands.model import CommandRow, NewCommand, OpenItem, ReportedResult
from mdmserver.commands.store import CommandStore
from mdmserver.devices.model import EnrollmentRow
from mdmserver.protocol import CommandUUID, Status
from mdmserver.storage.devices import SQLDeviceStore
from mdmserver.transaction import Storage, Transaction
from tests.fleet import START, device_id

LEASE = timedelta(minutes=1)
DEVICES = 3


class Bench:
    """One command that is open for three devices."""

    def __init__(self, storage: Storage, commands: CommandStore) -> None:
        self.storage = storage
        self.commands = commands
        self.command = CommandRow(0)
        self.items: list[tuple[OpenItem, EnrollmentRow]] = []

    async def store(self, device: int, result: ReportedResult, *, needs_processing: bool = False) -> None:
        item, _ = self.items[device]
        await self.storage.run(
            partial(
                self.commands.store_result,
                item=item,
                result=result,
                needs_processing=needs_processing,
                at=START,
            )
        )

    async def claim(self, *, after: timedelta = timedelta(), limit: int = 9) -> list[bytes]:
        at = START + after
        claimed = await self.storage.run(partial(self.commands.claim_results, at=at, until=at + LEASE, limit=limit))
        return [result.body for result in claimed]


def answered(body: bytes, **options: bool) -> ReportedResult:
    return ReportedResult(status=Status.ACKNOWLEDGED, body=body, **options)


@pytest.fixture
async def bench(storage: Storage, commands: CommandStore, devices: SQLDeviceStore) -> Bench:
    """The open items of three devices."""
    bench = Bench(storage, commands)
    command = NewCommand(uuid=CommandUUID("A"), request_type="ProfileList", body=b"body", content_hash=b"hash")

    async def body(tx: Transaction) -> None:
        row = await commands.insert_command(tx, command, created_by="me", at=START)
        assert row is not None
        bench.command = row
        for number in range(DEVICES):
            device = await devices.insert_enrollment(tx, device_id(number), parent=None, life=1, at=START)
            await commands.enqueue(tx, row, [device], at=START)
            bench.items.append(((await commands.open_items(tx, device, limit=None))[0], device))

    await storage.run(body)
    return bench


async def test_a_result_comes_back_as_the_device_sent_it(bench: Bench) -> None:
    await bench.store(1, answered(b"said"))
    item, enrollment = bench.items[1]

    result = await bench.storage.read(partial(bench.commands.result, item=item.row))

    assert result is not None
    assert (result.item, result.enrollment, result.command_uuid, result.request_type) == (
        item.row, enrollment, "A", "ProfileList",
    )  # fmt: skip
    assert (result.status, result.received_at, result.body, result.is_readable) == (
        Status.ACKNOWLEDGED, START, b"said", True,
    )  # fmt: skip


async def test_an_item_without_a_result_has_none(bench: Bench) -> None:
    assert await bench.storage.read(partial(bench.commands.result, item=bench.items[0][0].row)) is None


async def test_a_deflated_result_comes_back_inflated(bench: Bench) -> None:
    await bench.store(0, answered(zlib.compress(b"said" * 1000), is_compressed=True, is_readable=False))

    result = await bench.storage.read(partial(bench.commands.result, item=bench.items[0][0].row))

    assert result is not None
    assert (result.body, result.is_readable) == (b"said" * 1000, False)


async def test_results_are_listed_in_order_and_read_on(bench: Bench) -> None:
    for device in (2, 0, 1):
        await bench.store(device, answered(b"device %d" % device))
    listed = partial(bench.commands.results, command=bench.command, limit=2)

    first = await bench.storage.read(partial(listed, after=None))
    rest = await bench.storage.read(partial(listed, after=first[-1].item))

    assert [result.body for result in first + rest] == [b"device 0", b"device 1", b"device 2"]


async def test_only_results_that_need_it_are_claimed(bench: Bench) -> None:
    await bench.store(0, answered(b"plain"))
    await bench.store(1, answered(b"telling"), needs_processing=True)

    assert await bench.claim() == [b"telling"]


async def test_a_claimed_result_is_nobody_elses_until_the_lease_ends(bench: Bench) -> None:
    for device in range(DEVICES):
        await bench.store(device, answered(b"device %d" % device), needs_processing=True)

    assert await bench.claim(limit=2) == [b"device 0", b"device 1"]
    assert await bench.claim(after=LEASE / 2) == [b"device 2"]
    assert await bench.claim(after=LEASE) == [b"device 0", b"device 1"]


async def test_a_processed_result_is_never_claimed_again(bench: Bench) -> None:
    await bench.store(0, answered(b"telling"), needs_processing=True)
    await bench.claim()

    await bench.storage.run(partial(bench.commands.result_processed, item=bench.items[0][0].row))

    assert await bench.claim(after=2 * LEASE) == []


async def test_of_deflated_results_one_is_claimed_at_a_time(bench: Bench) -> None:
    for number in range(DEVICES):
        await bench.store(number, answered(zlib.compress(b"%d" % number), is_compressed=True), needs_processing=True)

    assert await bench.claim() == [b"0"]
    assert await bench.claim() == [b"1"]
