"""Takes CPU work off the event loop: cryptography and large documents, milliseconds at a time."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Offload:
    """Runs functions on an executor; None is the event loop's own."""

    def __init__(self, executor: Executor | None = None) -> None:
        self._executor = executor

    async def __call__(self, function: Callable[P, T], *arguments: P.args, **keywords: P.kwargs) -> T:
        """What the function returns, or its error. Cancelling the caller does not stop work that has begun."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, lambda: function(*arguments, **keywords))
