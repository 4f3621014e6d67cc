"""The times of use of API keys, when storage is down for a while."""

from functools import partial

import pytest

from mdmserver.access.model import Scope
from mdmserver.access.service import AccessService
from mdmserver.errors import Unavailable
from mdmserver.storage.access import SQLAccessStore
from mdmserver.storage.audit import SQLAuditStore
from mdmserver.transaction import Body, Storage, T
from tests.fleet import ADMIN, FakeClock


class Moody:
    """A storage that can be told to be unavailable for writing."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.is_down = False

    async def run(self, body: Body[T]) -> T:
        if self.is_down:
            raise Unavailable("down")
        return await self._storage.run(body)

    async def read(self, body: Body[T]) -> T:
        return await self._storage.read(body)


async def test_uses_that_could_not_be_written_are_written_the_next_time(storage: Storage, clock: FakeClock) -> None:
    moody = Moody(storage)
    access = AccessService(storage=moody, access=SQLAccessStore(), audit=SQLAuditStore(), clock=clock)
    create = partial(access.create_key, scopes=[Scope.AUDIT_READ], expires_at=None, actor=ADMIN)
    texts = [(await create(name=name))[1].reveal() for name in ("first", "second")]
    for text in texts:
        await access.authenticate(text)
    used = clock.now
    moody.is_down = True
    with pytest.raises(Unavailable):
        await access.flush_last_used()
    clock.advance(minutes=1)
    await access.authenticate(texts[0])

    moody.is_down = False
    await access.flush_last_used()

    assert {key.name: key.last_used_at for key in await access.list_keys()} == {"first": clock.now, "second": used}
