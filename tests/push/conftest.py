"""The bench of the push core, on every engine."""

import pytest

from mdmserver.storage.vault import Vault
from mdmserver.transaction import Storage
from tests.fleet import FakeClock
from tests.push.bench import Bench


@pytest.fixture
def bench(storage: Storage, vault: Vault, clock: FakeClock) -> Bench:
    """The sender and what it works with."""
    return Bench(storage, vault, clock)
