"""The queue as design.md section 4 and compatibility.md section 6 tell it, in memory: what the server is held against.

Written from those texts and not from the code; it knows nothing of windows, rows or transactions.
"""

from dataclasses import dataclass, field
from datetime import datetime

FINAL = frozenset({"acknowledged", "error", "format_error", "cancelled", "expired"})
ENDING = {"Acknowledged": "acknowledged", "Error": "error", "CommandFormatError": "format_error"}
DELIVERIES_UNTIL_BEHIND = 5


@dataclass(slots=True)
class ModelItem:
    """One command for one channel."""

    uuid: str
    place: int
    priority: int
    not_before: datetime | None
    expires_at: datetime | None
    state: str = "queued"
    deliveries: int = 0
    answered_not_now: int = 0
    ends_as: str | None = None

    @property
    def is_open(self) -> bool:
        return self.state not in FINAL

    def withdraw(self, ending: str) -> bool:
        """Cancel or expire it; whether that changed anything."""
        if self.state in ("queued", "not_now"):
            self.state = ending
        elif self.state == "sent":
            self.state, self.ends_as = "withdrawn", ending
        else:
            return False
        return True


@dataclass(slots=True)
class ModelQueue:
    """The queue of one channel."""

    items: dict[str, ModelItem] = field(default_factory=dict)

    def enqueue(self, uuid: str, *, priority: int, not_before: datetime | None, expires_at: datetime | None) -> None:
        """The command goes to the end of its priority; a channel has a command once."""
        if uuid not in self.items:
            self.items[uuid] = ModelItem(uuid, len(self.items), priority, not_before, expires_at)

    def report(self, status: str, uuid: str | None, at: datetime) -> str | None:
        """What the device is answered."""
        if status == "Idle":
            for item in self.items.values():
                if item.state == "withdrawn":
                    assert item.ends_as is not None
                    item.state = item.ends_as
        elif uuid in self.items and self.items[uuid].is_open:
            self._take(self.items[uuid], status)
        return self._serve(put_off_too=status != "NotNow", at=at)

    def cancel(self, uuid: str) -> bool:
        """Cancel the command here; whether that changed anything."""
        return uuid in self.items and self.items[uuid].withdraw("cancelled")

    def sweep(self, at: datetime) -> int:
        """Expire what ran out of time; how many."""
        due = [item for item in self.items.values() if item.expires_at is not None and item.expires_at <= at]
        return sum(item.withdraw("expired") for item in due)

    def clear(self) -> None:
        """The life is over."""
        for item in self.items.values():
            if item.is_open:
                item.state = "cancelled"

    def _take(self, item: ModelItem, status: str) -> None:
        if status != "NotNow":
            item.state = ENDING[status]
        elif item.state == "withdrawn":
            assert item.ends_as is not None
            item.state = item.ends_as
        else:
            item.state = "not_now"
            item.answered_not_now += 1

    def _serve(self, *, put_off_too: bool, at: datetime) -> str | None:
        offered = ("queued", "sent", "not_now") if put_off_too else ("queued", "sent")
        ready = [
            item
            for item in self.items.values()
            if item.state in offered
            and (item.not_before is None or item.not_before <= at)
            and (item.expires_at is None or item.expires_at > at)
        ]
        for wanted_stubborn in (False, True):
            group = [item for item in ready if _is_stubborn(item) is wanted_stubborn]
            if group:
                highest = max(item.priority for item in group)
                chosen = min((item for item in group if item.priority == highest), key=lambda item: item.place)
                chosen.state = "sent"
                chosen.deliveries += 1
                return chosen.uuid
        return None


def _is_stubborn(item: ModelItem) -> bool:
    return item.deliveries - item.answered_not_now >= DELIVERIES_UNTIL_BEHIND
