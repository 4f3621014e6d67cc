"""A server, or an `init`, that is killed before it was ready leaves nothing that the next one cannot start from."""

import asyncio
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import aiohttp

from mdmserver.protocol import EnrollmentID, EnrollmentType
from mdmserver.storage.migration import migrations
from tests.durability.killable_server import ROOT, killable_server
from tests.durability.states import ask, database_of, factory_of, init_state, is_intact, key_of, wait_until
from tests.journeys.api import Api
from tests.journeys.devices import Device, signed_by

STARTS = 25
INITS = 6


async def test_a_server_killed_while_it_makes_its_database_starts_afterwards(tmp_path: Path) -> None:
    state, random = tmp_path / "state", Random(20260101)
    init_state(state)
    device_id = EnrollmentID(EnrollmentType.DEVICE, "A" * 40)
    unfinished = 0

    async with killable_server(state) as server, aiohttp.ClientSession() as session:
        for _ in range(STARTS):
            for path in state.glob("mdmserver.sqlite*"):
                path.unlink()
            server.begin_start()
            await asyncio.to_thread(wait_until, database_of(state).exists)
            await asyncio.sleep(random.uniform(0, 0.03))
            await server.kill()
            unfinished += _is_unfinished(state)
        url = await server.start()
        device = Device(session, url, device_id, signed_by(factory_of(state).identity()))
        await device.enroll()
        await server.kill()

    assert unfinished > 0, "every kill came too late"
    assert ask(state, "SELECT name FROM schema_migration ORDER BY number") == [
        (migration.name,) for migration in migrations("sqlite")
    ]
    assert ask(state, "SELECT purpose, count(*) FROM vault_key GROUP BY 1") == [("fingerprint", 1), ("seal", 1)]
    assert is_intact(state)


async def test_a_server_killed_at_every_stage_of_its_start_keeps_what_it_had(tmp_path: Path) -> None:
    state, random = tmp_path / "state", Random(20260102)
    init_state(state)
    device_id = EnrollmentID(EnrollmentType.DEVICE, "B" * 40)

    async with killable_server(state) as server, aiohttp.ClientSession() as session:
        url = await server.start()
        await Device(session, url, device_id, signed_by(factory_of(state).identity())).enroll()
        uuid = await Api(session, url, key_of(state)).enqueue(str(device_id))
        await server.kill()
        for _ in range(STARTS):
            server.begin_start()
            await asyncio.sleep(random.uniform(0, 0.12))
            await server.kill()
        api = Api(session, await server.start(), key_of(state))

        assert await api.state_of(uuid, str(device_id)) == "queued"
        assert (await api.enrollment(str(device_id)))["state"] == "enrolled"
    assert is_intact(state)


def test_an_init_that_was_killed_is_completed_by_the_next_one(tmp_path: Path) -> None:
    random = Random(20260103)
    command = [sys.executable, "-m", "mdmserver", "init", "--yes", "--simulator-ca", "--state"]
    for number in range(INITS):
        state = tmp_path / f"state-{number}"
        killed = subprocess.Popen(
            [*command, str(state)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(state.exists)
        time.sleep(random.uniform(0, 0.05))
        killed.kill()
        killed.wait()

        subprocess.run([*command, str(state)], cwd=ROOT, check=True, capture_output=True)

        assert key_of(state).startswith("mdm_")
        assert ask(state, "SELECT count(*) FROM api_key WHERE revoked_at IS NULL") in ([(1,)], [(2,)])
        assert is_intact(state)


def _is_unfinished(state: Path) -> bool:
    try:
        return not ask(state, "SELECT 1 FROM vault_key")
    except sqlite3.Error:
        return True
