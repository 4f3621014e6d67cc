"""Hints between slices: "there is work of this kind". A lost hint loses nothing, since all work is found in storage."""

import asyncio
from enum import StrEnum


class Hint(StrEnum):
    """What there may be work for."""

    RESULTS = "results"
    COMMANDS_QUEUED = "commands_queued"
    RECONCILE = "reconcile"


class Hints:
    """Wakes those who wait for a kind of work; a hint given while nobody waits is remembered once."""

    def __init__(self) -> None:
        self._events: dict[Hint, asyncio.Event] = {hint: asyncio.Event() for hint in Hint}

    def give(self, hint: Hint) -> None:
        """Say that there may be work; never blocks, never fails."""
        self._events[hint].set()

    async def wait(self, hint: Hint, *, at_most_seconds: float) -> bool:
        """Whether a hint came in time; either way the caller looks into storage next."""
        event = self._events[hint]
        try:
            async with asyncio.timeout(at_most_seconds):
                await event.wait()
        except TimeoutError:
            return False
        event.clear()
        return True
