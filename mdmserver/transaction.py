"""The unit of work: a service composes steps of several stores in one `async def body(tx)` and gives it to `run`.

A body awaits nothing but its `tx` (and stores that take it): on SQLite it is driven on the writer thread, where
there is no event loop. Bind its arguments beforehand (`functools.partial`), since it runs later. Cancelling the
caller does not undo the work.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
Row = Sequence[Any]


class Transaction(Protocol):
    """SQL inside one transaction; `?` marks parameters, which are always bound."""

    async def fetch_one(self, sql: str, *parameters: Any) -> Row | None:
        """The first row, or None."""
        ...

    async def fetch_all(self, sql: str, *parameters: Any) -> list[Row]:
        """All rows, in order."""
        ...

    async def execute(self, sql: str, *parameters: Any) -> int:
        """Run a statement; the number of rows it changed."""
        ...

    async def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> int:
        """Run a statement once per row of parameters; the number of rows changed in all."""
        ...


Body = Callable[[Transaction], Awaitable[T]]


class Storage(Protocol):
    """An engine. Both methods raise Unavailable when the engine cannot serve, and let the body's own errors through."""

    async def run(self, body: Body[T]) -> T:
        """Run a body in a durable transaction: when this returns, its effect survives a crash."""
        ...

    async def read(self, body: Body[T]) -> T:
        """Run a body that only reads, on a connection of its own; a body that writes fails."""
        ...
