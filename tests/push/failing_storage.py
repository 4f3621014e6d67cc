"""A storage that cannot serve some steps for a while, as when a disk is full or a database restarts."""

from functools import partial
from typing import TypeVar

from mdmserver.errors import Unavailable
from mdmserver.transaction import Body, Storage

T = TypeVar("T")


def _name_of(body: object) -> str:
    function = body.func if isinstance(body, partial) else body
    return getattr(function, "__name__", "")


class FailingStorage(Storage):
    """The storage behind it, but the steps named in `fails` raise `error`; `refused` counts them."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.fails: set[str] = set()
        self.error: Exception = Unavailable("the database cannot serve: disk full")
        self.refused = 0

    async def run(self, body: Body[T]) -> T:
        """Run a body, if its step is not to fail."""
        if _name_of(body) in self.fails:
            self.refused += 1
            raise type(self.error)(*self.error.args)
        return await self._storage.run(body)

    async def read(self, body: Body[T]) -> T:
        """Reads never fail."""
        return await self._storage.read(body)
