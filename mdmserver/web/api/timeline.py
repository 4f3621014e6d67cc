"""Timelines as the API shows them: of an enrollment, and of a command for one."""

from collections.abc import Iterable
from datetime import datetime

from mdmserver.devices.model import TimelineEntry
from mdmserver.web.routes import Outgoing


class TimelineEntryView(Outgoing, frozen=True):
    """One thing that happened."""

    at: datetime
    kind: str
    detail: str
    life: int


def timeline_view(entries: Iterable[TimelineEntry]) -> list[TimelineEntryView]:
    """The entries in the order in which they come."""
    return [TimelineEntryView(at=entry.at, kind=entry.kind, detail=entry.detail, life=entry.life) for entry in entries]
