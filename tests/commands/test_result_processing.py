"""Working through results when a handler fails: one failure stops nobody else and loses nothing."""

from datetime import timedelta
from functools import partial

import pytest

from mdmserver.commands.model import NewCommand, ReportedResult, StoredResult
from mdmserver.commands.results import Change, ResultHandler, ResultProcessor
from mdmserver.commands.store import CommandStore
from mdmserver.errors import Unavailable
from mdmserver.protocol import CommandUUID, MessageMalformed, Status
from mdmserver.storage.commands import SQLCommandStore
from mdmserver.storage.devices import SQLDeviceStore
from mdmserver.storage.vault import Vault
from mdmserver.transaction import Storage, Transaction
from tests.fleet import START, FakeClock, device_id

DEVICES = 3
LEASE = timedelta(minutes=1)


class Applied:
    """A handler whose change fails for one device as often as it is told to, and what the others had applied."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.bodies: list[bytes] = []

    def __call__(self, result: StoredResult) -> Change:
        async def change(tx: Transaction) -> None:
            if result.body == b"device 1" and self.failures:
                self.failures -= 1
                raise Unavailable("not now")
            self.bodies.append(result.body)

        return change


@pytest.fixture
def commands(vault: Vault) -> CommandStore:
    """The command store."""
    return SQLCommandStore(vault)


@pytest.fixture
async def answered(storage: Storage, vault: Vault, commands: CommandStore) -> Storage:
    """Three devices have answered a command, and nobody has looked at what they said."""
    command = NewCommand(uuid=CommandUUID("A"), request_type="SecurityInfo", body=b"body", content_hash=b"hash")

    async def body(tx: Transaction) -> None:
        row = await commands.insert_command(tx, command, created_by="me", at=START)
        assert row is not None
        for number in range(DEVICES):
            device = await SQLDeviceStore(vault).insert_enrollment(tx, device_id(number), parent=None, life=1, at=START)
            await commands.enqueue(tx, row, [device], at=START)
            [item] = await commands.open_items(tx, device, limit=None)
            result = ReportedResult(status=Status.ACKNOWLEDGED, body=b"device %d" % number)
            await commands.store_result(tx, item, result, needs_processing=True, at=START)

    await storage.run(body)
    return storage


def processor(storage: Storage, commands: CommandStore, clock: FakeClock, handler: ResultHandler) -> ResultProcessor:
    return ResultProcessor(storage=storage, commands=commands, clock=clock, handlers={"SecurityInfo": handler})


async def test_a_result_that_cannot_be_applied_is_tried_again_when_its_lease_ends(
    answered: Storage, commands: CommandStore, clock: FakeClock
) -> None:
    applied = Applied(failures=1)
    results = processor(answered, commands, clock, applied)

    first = await results.work_through()
    too_early = await results.work_through()
    clock.advance(minutes=1)
    second = await results.work_through()

    assert (first, too_early, second) == (2, 0, 1)
    assert applied.bodies == [b"device 0", b"device 2", b"device 1"]


async def test_a_result_that_no_handler_can_read_is_not_tried_for_ever(
    answered: Storage, commands: CommandStore, clock: FakeClock
) -> None:
    def unreadable(result: StoredResult) -> Change | None:
        raise MessageMalformed("not what it should be")

    results = processor(answered, commands, clock, unreadable)

    assert await results.work_through() == DEVICES
    clock.advance(hours=1)
    assert await results.work_through() == 0


async def test_what_a_handler_learns_nothing_from_is_done(
    answered: Storage, commands: CommandStore, clock: FakeClock
) -> None:
    results = processor(answered, commands, clock, lambda result: None)

    assert await results.work_through() == DEVICES
    assert await answered.run(partial(commands.claim_results, at=START + LEASE, until=START, limit=9)) == []


async def test_a_processor_says_which_request_types_it_handles(
    storage: Storage, commands: CommandStore, clock: FakeClock
) -> None:
    assert processor(storage, commands, clock, lambda result: None).request_types == {"SecurityInfo"}
