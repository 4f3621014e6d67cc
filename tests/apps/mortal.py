"""A storage whose server dies at a given commit, just before it or just after it; and one that only counts."""

from typing import TypeVar

from mdmserver.transaction import Body, Storage

T = TypeVar("T")


class Killed(BaseException):
    """The process is gone: nothing catches this."""


class Mortal(Storage):
    """The storage behind it; after the death it was told of there is nobody to ask. `commits` counts since then."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._dies_at: int | None = None
        self._before_commit = False
        self._is_dead = False
        self.commits = 0

    def is_to_die(self, *, at: int | None, before_commit: bool) -> None:
        """Die at this commit, counted from now (None: never), just before it or right after it."""
        self._dies_at, self._before_commit, self.commits = at, before_commit, 0

    async def run(self, body: Body[T]) -> T:
        """Run a body; at its hour the server dies with it or right after it."""
        self._check()
        self.commits += 1
        if self.commits != self._dies_at:
            return await self._storage.run(body)
        self._is_dead = True
        if not self._before_commit:
            await self._storage.run(body)
        raise Killed

    async def read(self, body: Body[T]) -> T:
        """Run a body that reads."""
        self._check()
        return await self._storage.read(body)

    def _check(self) -> None:
        if self._is_dead:
            raise Killed
