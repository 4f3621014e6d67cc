"""A server with a CA, on every engine."""

from pathlib import Path

import pytest

from mdmserver.transaction import Storage
from tests.enrollment.world import World, give_authority, open_world
from tests.fleet import FakeClock


@pytest.fixture
async def world(storage: Storage, keys: Path, clock: FakeClock) -> World:
    """The services, with a CA that issues."""
    world = await open_world(storage, keys, clock)
    await give_authority(world)
    return world
