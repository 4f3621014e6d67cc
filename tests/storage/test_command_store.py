"""The CommandStore's contract: commands, the ways of a queue item, and lists of them."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from mdmserver.commands.model import CommandRow, ItemState, NewCommand, OpenItem, QueueItem
from mdmserver.commands.store import CommandStore, ItemFilter
from mdmserver.devices.model import EnrollmentRow
from mdmserver.protocol import CommandUUID, EnrollmentType
from mdmserver.storage.devices import SQLDeviceStore
from mdmserver.transaction import Storage
from tests.fleet import START, device_id, user_id

LATER = START + timedelta(hours=1)
DEVICES = 3


def new_command(uuid: str) -> NewCommand:
    return NewCommand(
        uuid=CommandUUID(uuid), request_type="ProfileList", body=b"body of " + uuid.encode(), content_hash=b"hash"
    )


class Bench:
    """The store, its storage, three devices and short ways to move an item."""

    def __init__(self, storage: Storage, commands: CommandStore, devices: list[EnrollmentRow]) -> None:
        self.storage = storage
        self.commands = commands
        self.devices = devices

    async def insert(self, command: NewCommand) -> CommandRow | None:
        return await self.storage.run(partial(self.commands.insert_command, command=command, created_by="me", at=START))

    async def queue(self, uuid: str, *targets: int, **options: object) -> CommandRow:
        command = replace(new_command(uuid), **options)  # type: ignore[arg-type]  # each test names fields of a command
        row = await self.insert(command)
        assert row is not None
        rows = [self.devices[target] for target in targets or (0,)]
        await self.storage.run(partial(self.commands.enqueue, command=row, targets=rows, at=START))
        return row

    async def open(self, device: int = 0, limit: int | None = None) -> list[OpenItem]:
        return await self.storage.read(partial(self.commands.open_items, enrollment=self.devices[device], limit=limit))

    async def offered(self, device: int = 0) -> list[str]:
        return [item.command_uuid for item in await self.open(device)]

    async def sent(self, uuid: str) -> None:
        item = next(item for item in await self.open() if item.command_uuid == uuid)
        await self.storage.run(partial(self.commands.mark_sent, item=item.row, at=START))

    async def put_off(self, uuid: str) -> None:
        item = next(item for item in await self.open() if item.command_uuid == uuid)
        await self.storage.run(partial(self.commands.mark_not_now, item=item.row, at=START))

    async def withdraw(self, command: CommandRow, targets: Iterable[int] | None = None) -> int:
        rows = None if targets is None else [self.devices[target] for target in targets]
        return await self.storage.run(
            partial(
                self.commands.withdraw,
                command=command,
                targets=rows,
                ending=ItemState.CANCELLED,
                reason="not needed",
                at=LATER,
            )
        )

    async def items(self, **wanted: object) -> list[QueueItem]:
        filter = ItemFilter(**wanted)  # type: ignore[arg-type]  # each test names fields of the filter
        return await self.storage.read(partial(self.commands.items, filter=filter, after=None, limit=99))

    async def states(self) -> dict[str, ItemState]:
        return {item.command_uuid: item.state for item in await self.items(enrollment=self.devices[0])}


@pytest.fixture
async def bench(storage: Storage, commands: CommandStore, devices: SQLDeviceStore) -> Bench:
    """Three devices and empty queues."""
    insert = partial(devices.insert_enrollment, parent=None, life=1, at=START)
    rows = [await storage.run(partial(insert, id=device_id(number))) for number in range(DEVICES)]
    return Bench(storage, commands, rows)


async def test_a_command_comes_back_without_its_body_and_the_body_by_itself(bench: Bench) -> None:
    command = replace(
        new_command("A"), idempotency_key="key", not_before=START, expires_at=LATER, priority=7, content_hash=b"#"
    )
    row = await bench.insert(command)
    assert row is not None

    record = await bench.storage.read(partial(bench.commands.command, uuid=command.uuid))
    by_key = await bench.storage.read(partial(bench.commands.command_by_idempotency_key, key="key"))

    assert record is not None
    assert record == by_key
    assert (record.row, record.uuid, record.priority, record.not_before, record.expires_at) == (
        row, "A", 7, START, LATER,
    )  # fmt: skip
    assert (record.created_by, record.created_at, record.content_hash) == ("me", START, b"#")
    assert await bench.storage.read(partial(bench.commands.body, command=row)) == b"body of A"


async def test_what_is_unknown_is_none(bench: Bench) -> None:
    assert await bench.storage.read(partial(bench.commands.command, uuid=CommandUUID("A"))) is None
    assert await bench.storage.read(partial(bench.commands.command_by_idempotency_key, key="key")) is None


async def test_a_taken_uuid_or_key_is_refused_without_an_error(bench: Bench) -> None:
    await bench.insert(replace(new_command("A"), idempotency_key="key"))

    assert await bench.insert(new_command("A")) is None
    assert await bench.insert(replace(new_command("B"), idempotency_key="key")) is None


async def test_commands_are_listed_newest_first_and_by_request_type(bench: Bench) -> None:
    rows = [await bench.insert(replace(new_command(f"C{n}"), request_type="AB"[n % 2])) for n in range(5)]
    listed = partial(bench.commands.commands, limit=2)

    page = await bench.storage.read(partial(listed, request_type=None, before=None))
    next_page = await bench.storage.read(partial(listed, request_type=None, before=rows[3]))
    of_type = await bench.storage.read(partial(listed, request_type="B", before=None))

    assert [record.uuid for record in page] == ["C4", "C3"]
    assert [record.uuid for record in next_page] == ["C2", "C1"]
    assert [record.uuid for record in of_type] == ["C3", "C1"]


async def test_a_target_has_a_command_once(bench: Bench) -> None:
    command = await bench.queue("A", 0, 1)

    number = await bench.storage.run(partial(bench.commands.enqueue, command=command, targets=bench.devices, at=LATER))

    assert number == 1
    assert [item.queued_at for item in await bench.items(command=command)] == [START, START, LATER]


async def test_an_ended_target_is_skipped(bench: Bench, devices: SQLDeviceStore) -> None:
    await bench.storage.run(partial(devices.end_life, row=bench.devices[1], at=START))

    command = await bench.queue("A", 0, 1, 2)

    assert [item.enrollment for item in await bench.items(command=command)] == [bench.devices[0], bench.devices[2]]


async def test_queueing_for_all_takes_the_enabled_ones_in_chunks(bench: Bench, devices: SQLDeviceStore) -> None:
    user = await bench.storage.run(
        partial(devices.insert_enrollment, id=user_id(0), parent=bench.devices[0], life=1, at=START)
    )
    for row in (bench.devices[0], bench.devices[2], user):
        await bench.storage.run(lambda tx, row=row: tx.execute("UPDATE enrollment SET enabled = 1 WHERE id = ?", row))  # type: ignore[misc]  # a default binds the loop's value
    command = await bench.insert(new_command("A"))
    assert command is not None
    chunk = partial(
        bench.commands.enqueue_all, command=command, limit=1, types=frozenset({EnrollmentType.DEVICE}), at=START
    )

    first = await bench.storage.run(partial(chunk, after=EnrollmentRow(0)))
    second = await bench.storage.run(partial(chunk, after=bench.devices[0]))
    third = await bench.storage.run(partial(chunk, after=bench.devices[2]))

    assert [first, second, third] == [(1, bench.devices[0]), (1, bench.devices[2]), (0, None)]


async def test_open_items_come_in_the_order_in_which_they_are_offered(bench: Bench) -> None:
    await bench.queue("plain 1")
    await bench.queue("urgent", priority=5)
    await bench.queue("patient", priority=-5)
    await bench.queue("plain 2")

    assert await bench.offered() == ["urgent", "plain 1", "plain 2", "patient"]
    assert [item.command_uuid for item in await bench.open(limit=2)] == ["urgent", "plain 1"]


async def test_an_item_out_five_times_without_an_answer_goes_behind_the_others(bench: Bench) -> None:
    await bench.queue("stubborn", priority=5)
    await bench.queue("plain")

    for _ in range(4):
        await bench.sent("stubborn")
    before = await bench.offered()
    await bench.sent("stubborn")

    assert (before, await bench.offered()) == (["stubborn", "plain"], ["plain", "stubborn"])


async def test_sending_and_putting_off_are_counted(bench: Bench) -> None:
    await bench.queue("A", not_before=START, expires_at=LATER, priority=3)

    await bench.sent("A")
    await bench.sent("A")
    await bench.put_off("A")

    [item] = await bench.items(enrollment=bench.devices[0])
    assert (item.state, item.deliveries, item.not_now_count) == (ItemState.NOT_NOW, 2, 1)
    assert (item.first_sent_at, item.sent_at, item.not_now_at) == (START, START, START)
    assert (item.not_before, item.expires_at, item.priority, item.enrollment_id) == (START, LATER, 3, device_id(0))
    [open_item] = await bench.open()
    assert (open_item.deliveries, open_item.not_now_count, open_item.not_before, open_item.expires_at) == (
        2, 1, START, LATER,
    )  # fmt: skip


async def test_a_finished_item_is_no_longer_open(bench: Bench) -> None:
    await bench.queue("A")
    [item] = await bench.open()

    await bench.storage.run(partial(bench.commands.finish, item=item.row, state=ItemState.ERROR, at=LATER, reason="no"))

    assert await bench.open() == []
    assert (
        await bench.storage.read(partial(bench.commands.open_item, enrollment=bench.devices[0], uuid=CommandUUID("A")))
        is None
    )
    [finished] = await bench.items()
    assert (finished.state, finished.finished_at, finished.reason) == (ItemState.ERROR, LATER, "no")


async def test_withdrawing_ends_what_waits_and_keeps_what_is_out_open(bench: Bench) -> None:
    commands = {uuid: await bench.queue(uuid) for uuid in ("waits", "out", "put off")}
    await bench.sent("out")
    await bench.sent("put off")
    await bench.put_off("put off")

    numbers = [await bench.withdraw(command) for command in commands.values()]

    assert numbers == [1, 1, 1]
    assert await bench.states() == {
        "waits": ItemState.CANCELLED, "out": ItemState.WITHDRAWN, "put off": ItemState.CANCELLED,
    }  # fmt: skip
    assert {item.reason for item in await bench.items()} == {"not needed"}
    assert [item.withdrawn_as for item in await bench.open()] == [ItemState.CANCELLED]


async def test_withdrawing_again_changes_nothing(bench: Bench) -> None:
    command = await bench.queue("A")
    await bench.sent("A")
    await bench.withdraw(command)

    assert await bench.withdraw(command) == 0


async def test_withdrawing_reaches_only_the_targets_that_are_named(bench: Bench) -> None:
    command = await bench.queue("A", 0, 1, 2)

    assert await bench.withdraw(command, targets=[]) == 0
    assert await bench.withdraw(command, targets=[1, 2]) == 2
    assert [item.enrollment for item in await bench.items(states=frozenset({ItemState.QUEUED}))] == [bench.devices[0]]


async def test_withdrawing_all_of_one_enrollment_leaves_the_others(bench: Bench) -> None:
    await bench.queue("A", 0, 1)
    await bench.queue("B", 0)

    number = await bench.storage.run(
        partial(
            bench.commands.withdraw_all,
            enrollment=bench.devices[0],
            ending=ItemState.CANCELLED,
            reason="cleared",
            at=LATER,
        )
    )

    assert (number, await bench.offered(0), await bench.offered(1)) == (2, [], ["A"])


async def test_an_idle_device_ends_what_was_withdrawn_as_what_it_was_withdrawn(bench: Bench) -> None:
    for uuid in ("cancelled", "expired"):
        await bench.queue(uuid, expires_at=LATER if uuid == "expired" else None)
        await bench.sent(uuid)
    await bench.queue("waits")
    record = await bench.storage.read(partial(bench.commands.command, uuid=CommandUUID("cancelled")))
    assert record is not None
    await bench.withdraw(record.row)
    await bench.storage.run(partial(bench.commands.expire_due, at=LATER, limit=9))

    number = await bench.storage.run(partial(bench.commands.finish_withdrawn, enrollment=bench.devices[0], at=LATER))

    assert number == 2
    assert await bench.states() == {
        "cancelled": ItemState.CANCELLED, "expired": ItemState.EXPIRED, "waits": ItemState.QUEUED,
    }  # fmt: skip


async def test_expiry_takes_what_is_due_up_to_its_limit(bench: Bench) -> None:
    for number in range(4):
        await bench.queue(f"C{number}", expires_at=START + timedelta(hours=1 + number))
    expire = partial(bench.commands.expire_due, at=START + timedelta(hours=3))

    numbers = [await bench.storage.run(partial(expire, limit=2)) for _ in range(3)]

    assert numbers == [2, 1, 0]
    assert await bench.offered() == ["C3"]


async def test_clearing_a_queue_ends_all_that_is_open_users_too_where_wanted(
    bench: Bench, devices: SQLDeviceStore
) -> None:
    user = await bench.storage.run(
        partial(devices.insert_enrollment, id=user_id(0), parent=bench.devices[0], life=1, at=START)
    )
    bench.devices.append(user)
    await bench.queue("A", 0, 1, 3)
    await bench.sent("A")
    clear = partial(bench.commands.clear_queue, device=bench.devices[0], reason="gone", at=LATER)

    alone = await bench.storage.run(partial(clear, users=False))
    with_users = await bench.storage.run(partial(clear, users=True))

    assert (alone, with_users) == (1, 1)
    assert [(item.enrollment, item.state, item.reason) for item in await bench.items()] == [
        (bench.devices[0], ItemState.CANCELLED, "gone"),
        (bench.devices[1], ItemState.QUEUED, None),
        (user, ItemState.CANCELLED, "gone"),
    ]


async def test_progress_and_counts_are_by_state(bench: Bench) -> None:
    command = await bench.queue("A", 0, 1, 2)
    await bench.queue("B", 0)
    await bench.sent("A")
    await bench.withdraw(command, targets=[1])

    progress = await bench.storage.read(partial(bench.commands.progress, command=command))

    assert progress.counts == {ItemState.SENT: 1, ItemState.CANCELLED: 1, ItemState.QUEUED: 1}
    assert (progress.total, progress.finished) == (3, 1)
    assert await bench.storage.read(bench.commands.counts) == {ItemState.SENT: 1, ItemState.QUEUED: 2}


async def test_items_ahead_are_those_that_would_be_offered_first(bench: Bench) -> None:
    await bench.queue("stubborn", priority=9)
    await bench.queue("urgent", priority=5)
    await bench.queue("plain 1")
    await bench.queue("plain 2")
    withdrawn = await bench.queue("withdrawn", priority=7)
    await bench.sent("withdrawn")
    await bench.withdraw(withdrawn)
    for _ in range(5):
        await bench.sent("stubborn")

    ahead = {
        str(item.command_uuid): await bench.storage.read(partial(bench.commands.items_ahead, item=item))
        for item in await bench.items(states=frozenset({ItemState.QUEUED, ItemState.SENT}))
    }

    assert ahead == {"urgent": 0, "plain 1": 1, "plain 2": 2, "stubborn": 3}


async def test_oversized_results_are_counted_for_open_items_alone(bench: Bench) -> None:
    command = await bench.queue("A")
    count = partial(bench.commands.count_oversized, enrollment=bench.devices[0])

    counted = [await bench.storage.run(partial(count, uuid=CommandUUID(uuid))) for uuid in ("A", "A", "B")]
    await bench.withdraw(command)

    assert counted == [1, 2, 0]
    assert await bench.storage.run(partial(count, uuid=CommandUUID("A"))) == 0
