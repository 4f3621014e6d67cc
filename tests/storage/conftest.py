"""The stores of every slice, on whichever engine a test is given."""

import pytest

from mdmserver.access.store import AccessStore
from mdmserver.audit.store import AuditStore
from mdmserver.commands.store import CommandStore
from mdmserver.outbox.store import OutboxStore
from mdmserver.storage.access import SQLAccessStore
from mdmserver.storage.audit import SQLAuditStore
from mdmserver.storage.commands import SQLCommandStore
from mdmserver.storage.devices import SQLDeviceStore
from mdmserver.storage.outbox import SQLOutboxStore
from mdmserver.storage.vault import Vault


@pytest.fixture
def devices(vault: Vault) -> SQLDeviceStore:
    """Enrollments."""
    return SQLDeviceStore(vault)


@pytest.fixture
def commands(vault: Vault) -> CommandStore:
    """Commands and queues."""
    return SQLCommandStore(vault)


@pytest.fixture
def outbox(vault: Vault) -> OutboxStore:
    """Events that wait."""
    return SQLOutboxStore(vault)


@pytest.fixture
def audit() -> AuditStore:
    """The audit chain."""
    return SQLAuditStore()


@pytest.fixture
def access() -> AccessStore:
    """API keys."""
    return SQLAccessStore()
