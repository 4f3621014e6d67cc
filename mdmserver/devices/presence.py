"""When each enrollment was last seen: kept in memory, written now and then, so that a connect writes nothing.

Up to one flush interval of it may be lost in a crash, and nothing else may be.
"""

from datetime import datetime, timedelta
from functools import partial

from mdmserver.devices.model import EnrollmentRow
from mdmserver.devices.store import DeviceStore
from mdmserver.transaction import Storage

_WORTH_WRITING = timedelta(minutes=1)


class Presence:
    """Last-seen times since the last flush."""

    def __init__(self, *, storage: Storage, devices: DeviceStore) -> None:
        self._storage = storage
        self._devices = devices
        self._seen: dict[EnrollmentRow, datetime] = {}

    def saw(self, enrollment: EnrollmentRow, at: datetime) -> None:
        """The enrollment spoke at this time."""
        self._seen[enrollment] = at

    def last_seen(self, enrollment: EnrollmentRow) -> datetime | None:
        """The time if it is not written yet; None sends the reader to the stored one."""
        return self._seen.get(enrollment)

    async def flush(self) -> dict[EnrollmentRow, datetime]:
        """Write what has come together, where it moves by more than a minute; who was seen, in order of row."""
        pending, self._seen = self._seen, {}
        seen = dict(sorted(pending.items()))
        if seen:
            flush = partial(self._devices.flush_last_seen, seen=seen, worth_writing=_WORTH_WRITING)
            try:
                await self._storage.run(flush)
            except Exception:
                # The next turn writes it; what was seen meanwhile is newer.
                self._seen = pending | self._seen
                raise
        return seen
