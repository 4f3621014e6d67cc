"""kill -9 at any moment loses nothing that was acknowledged and does nothing twice.

SIGKILL tests the order of commit and answer and the atomicity of each step. What the operating system had not written
to the disk survives it, so that a power cut is not tested here. `scripts/durability` runs it for longer.
"""

import asyncio
import os
from pathlib import Path
from random import Random

from tests.durability.killable_server import killable_server
from tests.durability.ledger import Ledger
from tests.durability.load import Load
from tests.durability.states import (
    audit_chain_holds,
    database_of,
    factory_of,
    init_state,
    is_intact,
    key_of,
    wait_until,
)

KILLS = int(os.environ.get("MDMSERVER_TEST_KILLS", "100"))
SEED = int(os.environ.get("MDMSERVER_TEST_SEED", "0")) or Random().randrange(2**32)


async def test_nothing_acknowledged_is_lost_or_done_twice_however_often_the_server_is_killed(tmp_path: Path) -> None:
    state, random = tmp_path / "state", Random(SEED)
    init_state(state)
    load = Load(factory_of(state), key_of(state), seed=SEED)
    ledger = load.ledger

    async with killable_server(state) as server:
        url = await server.start()
        await load.enroll(url)
        for kill in range(KILLS):
            async with load.running(url):
                await effects(ledger, random.randint(5, 100))
                await server.kill()
            url = await server.start()
            faults = ledger.faults_in(database_of(state))
            assert not faults, f"after kill {kill + 1} (seed {SEED}): {faults[:5]}"
        await load.drain(url)
        await server.kill()

    assert not ledger.faults_in(database_of(state))
    assert ledger.enqueued == ledger.results.keys() == ledger.served.keys()
    # Otherwise the kills did not hit work in progress.
    assert len(ledger.results) > 5 * KILLS
    assert ledger.unanswered > 2 * KILLS
    assert is_intact(state)
    assert audit_chain_holds(state)


async def effects(ledger: Ledger, number: int) -> None:
    """Wait until so many more changes were acknowledged."""
    wanted = ledger.effects + number
    await asyncio.to_thread(wait_until, lambda: ledger.effects >= wanted)
