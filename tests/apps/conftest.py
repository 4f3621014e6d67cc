"""An office on every engine: a server with a CA and PingID in its catalogue, and no device yet."""

from pathlib import Path

import pytest

from mdmserver.transaction import Storage
from tests.apps.office import Office
from tests.enrollment.world import give_authority, open_world
from tests.fleet import FakeClock


@pytest.fixture
async def office(storage: Storage, keys: Path, clock: FakeClock) -> Office:
    """PingID is in the catalogue, for nobody."""
    world = await open_world(storage, keys, clock)
    await give_authority(world)
    await world.services.apps.add_built_in()
    return Office(world=world)
