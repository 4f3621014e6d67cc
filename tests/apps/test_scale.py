"""One change for thousands of devices: told to them in pieces, resumed where it was left, and quick."""

import time
from functools import partial

from mdmserver.apps.explain import Progress
from mdmserver.apps.model import PINGID_TOKEN
from mdmserver.assignments.model import TargetState
from mdmserver.storage.assignments import SQLAssignmentStore
from mdmserver.transaction import Transaction
from tests.apps.office import APP, EVERYONE, Office
from tests.fleet import START, TOPIC, device_id

MANY = 5_000
PIECE = 1_000


async def enroll_many(office: Office, number: int) -> None:
    async def body(tx: Transaction) -> None:
        await tx.execute_many(
            "INSERT INTO enrollment (key, external_id, type, device_id, life, enabled, topic, product_name, "
            "created_at) VALUES (?, ?, 'Device', ?, 1, 1, ?, 'iPhone15,2', 0)",
            [(id.key, str(id), id.device, TOPIC) for id in map(device_id, range(10, number + 10))],
        )

    await office.world.storage.run(body)


async def told(office: Office) -> int:
    return await office.world.count("SELECT count(*) FROM reconcile WHERE due_at <= ?", 2**61)


async def spread(office: Office) -> bool:
    return await office.world.storage.run(partial(SQLAssignmentStore().spread, at=START, limit=PIECE))


async def test_a_change_for_thousands_is_told_in_pieces_and_resumed(office: Office) -> None:
    await enroll_many(office, MANY)
    await office.assign()
    for piece in range(1, 3):
        assert await spread(office)
        assert await told(office) == piece * PIECE
    assert await office.services.assignments.unsettled() == MANY  # Then the server stops, and is started again.

    began = time.monotonic()
    queued = await office.work()
    seconds = time.monotonic() - began

    assert queued == MANY
    assert await office.services.assignments.unsettled() == 0
    assert await office.counts(APP) == {Progress.WAITING: MANY}
    assert await office.work() == 0
    assert await office.world.count("SELECT count(*) FROM reconcile_scope") == 0
    assert seconds < 120


async def test_a_changed_value_reaches_each_of_many_once(office: Office) -> None:
    phones = [await office.phone(number) for number in range(1, 9)]
    await enroll_many(office, PIECE)
    await office.configure("token-1")
    await office.assign()
    await office.quiet()
    await office.configure("token-2")
    await office.configure("token-3")

    await office.quiet()

    assert await office.services.assignments.reach(EVERYONE) == PIECE + len(phones)
    for phone in phones:
        assert phone.configuration == {PINGID_TOKEN: "token-3"}
        assert (await office.target(phone)).state is TargetState.VERIFIED
        assert phone.request_types.count("Settings") == 1
