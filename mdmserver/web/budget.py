"""How much memory the bodies of all requests in flight may take together (S18)."""

from types import TracebackType
from typing import Self

from mdmserver.errors import Unavailable


class BodyBudget:
    """Counts the bytes that are free. For one event loop, without locks."""

    def __init__(self, capacity: int) -> None:
        self._left = capacity

    @property
    def left(self) -> int:
        """Bytes that no request holds."""
        return self._left

    def take(self, size: int) -> None:
        """Raises Unavailable, and takes nothing, where not that much is left."""
        if size > self._left:
            raise Unavailable("the bodies of requests in flight fill their budget", code="bodies_over_budget")
        self._left -= size

    def give_back(self, size: int) -> None:
        """Return what was taken."""
        self._left += size


class BodyShare:
    """What one request holds of the budget; leaving the `with` block gives it back."""

    __slots__ = ("_budget", "_held")

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self._held = 0

    def hold(self, size: int) -> None:
        """Hold `size` bytes in all, if it was less before; raises Unavailable."""
        if size > self._held:
            self._budget.take(size - self._held)
            self._held = size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._budget.give_back(self._held)
