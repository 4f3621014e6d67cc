"""A command for many targets is queued in chunks; one that was cut off is completed by the same idempotency key."""

import asyncio
from contextlib import suppress
from functools import partial
from pathlib import Path

import aiohttp

from tests.durability.killable_server import killable_server
from tests.durability.states import add_enrollments, ask, init_state, is_intact, key_of, wait_until
from tests.journeys.api import Api

TARGETS = 5_000
TRIES = 8
_QUEUED = "SELECT count(*), count(DISTINCT enrollment_id) FROM queue_item q JOIN command c ON c.id = q.command_id "


async def test_an_enqueue_cut_off_by_a_kill_is_completed_with_each_target_exactly_once(tmp_path: Path) -> None:
    state = tmp_path / "state"
    init_state(state)
    targets = add_enrollments(state, TARGETS)
    cut_off = []

    async with killable_server(state) as server, aiohttp.ClientSession() as session:
        for number in range(TRIES):
            key = f"everyone-{number}"
            api = Api(session, await server.start(), key_of(state))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_cut_off(api, targets, key))
                await asyncio.to_thread(wait_until, partial(_is_begun, state, key))
                await server.kill()
            ((before, _),) = ask(state, f"{_QUEUED} WHERE c.idempotency_key = ?", key)
            cut_off.append(before)

            api = Api(session, await server.start(), key_of(state))
            uuid = await api.enqueue(*targets, idempotency_key=key)
            await server.kill()

            assert ask(state, f"{_QUEUED} WHERE c.uuid = ?", uuid) == [(TARGETS, TARGETS)]
            assert ask(state, "SELECT count(*) FROM command WHERE idempotency_key = ?", key) == [(1,)]
            if 0 < before < TARGETS:
                break

    assert any(0 < before < TARGETS for before in cut_off), f"no kill came in the middle: {cut_off}"
    assert is_intact(state)


async def _cut_off(api: Api, targets: list[str], key: str) -> None:
    with suppress(aiohttp.ClientError, OSError):
        await api.enqueue(*targets, idempotency_key=key)


def _is_begun(state: Path, key: str) -> bool:
    return ask(state, f"{_QUEUED} WHERE c.idempotency_key = ?", key) != [(0, 0)]
