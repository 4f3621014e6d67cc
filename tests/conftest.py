"""What tests of the core share: every engine, the vault, a clock moved by hand, and the services."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from mdmserver.bootstrap import open_services
from mdmserver.config import Config
from mdmserver.storage.migration import migrate
from mdmserver.storage.sqlite import SQLiteStorage
from mdmserver.storage.vault import Vault
from mdmserver.storage.vault_keys import add_wrapping_key, open_vault, read_wrapping_keys
from mdmserver.transaction import Storage
from mdmserver.web.services import Services
from tests.fleet import FakeClock, Fleet
from tests.push.fake_gateway import FakeGateway


@asynccontextmanager
async def _sqlite(folder: Path) -> AsyncIterator[Storage]:
    storage = SQLiteStorage(folder / "test.sqlite")
    yield storage
    await storage.close()


# An engine is one line here: its name (also of its migrations) and how to open it on an empty folder.
ENGINES: dict[str, Callable[[Path], AbstractAsyncContextManager[Storage]]] = {
    "sqlite": _sqlite,
}


@pytest.fixture
def clock() -> FakeClock:
    """A clock at START."""
    return FakeClock()


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """The name of each engine in turn."""
    return str(request.param)


@pytest.fixture
async def empty_storage(engine: str, tmp_path: Path) -> AsyncIterator[Storage]:
    """An engine on a database without a schema."""
    async with ENGINES[engine](tmp_path) as storage:
        yield storage


@pytest.fixture
async def storage(empty_storage: Storage, engine: str, clock: FakeClock) -> Storage:
    """An engine on a database with the present schema and nothing in it."""
    await migrate(empty_storage, engine, clock=clock)
    return empty_storage


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A folder with one key-encryption key."""
    add_wrapping_key(tmp_path / "keys")
    return tmp_path / "keys"


@pytest.fixture
async def vault(storage: Storage, keys: Path, clock: FakeClock) -> Vault:
    """The vault of `storage`."""
    return await open_vault(storage, read_wrapping_keys(keys), clock=clock)


@pytest.fixture
def push_gateway() -> FakeGateway:
    """What `services` take for APNs."""
    return FakeGateway()


@pytest.fixture
async def services(tmp_path: Path, keys: Path, clock: FakeClock, push_gateway: FakeGateway) -> AsyncIterator[Services]:
    """The whole server below the web, on a state directory of its own."""
    async with open_services(Config(), tmp_path, clock=clock, push_gateway=push_gateway) as services:
        yield services


@pytest.fixture
def fleet(services: Services) -> Fleet:
    """Devices that talk to `services`."""
    return Fleet(services)
