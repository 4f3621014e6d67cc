"""Why a command is not there yet, in words a person can act on. Pure: from the item, its enrollment and the time."""

from dataclasses import dataclass
from datetime import datetime

from mdmserver.commands.model import ItemState, QueueItem
from mdmserver.devices.model import Enrollment, EnrollmentState, TimelineEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """`code` is stable for programs, `text` is for people."""

    code: str
    text: str


def explain(item: QueueItem, enrollment: Enrollment, *, ahead: int, at: datetime) -> Explanation:
    """What the item waits for, or how it ended. `ahead` counts the open items that go before it."""
    if item.state.is_final:
        return _ended(item)
    if enrollment.state is EnrollmentState.ENROLLING:
        return Explanation(
            code="not_enrolled_yet",
            text="the device has begun to enroll but has not sent its first TokenUpdate",
        )
    return _waiting(item, enrollment, ahead=ahead, at=at)


def _waiting(item: QueueItem, enrollment: Enrollment, *, ahead: int, at: datetime) -> Explanation:
    if item.state is ItemState.WITHDRAWN:
        return Explanation(
            code="withdrawn",
            text=f"{item.withdrawn_as} while it was out at the device: a result that is on its way decides, "
            "the device's next connect ends it",
        )
    if item.not_before is not None and item.not_before > at:
        return Explanation(code="not_before", text=f"it is held back until {item.not_before.isoformat()}")
    if item.expires_at is not None and item.expires_at <= at:
        return Explanation(code="expiring", text="its time ran out; it is about to be marked expired")
    if item.state is ItemState.NOT_NOW:
        return Explanation(
            code="not_now",
            text=f"the device put it off {item.not_now_count} times (locked or busy) and will be offered it again",
        )
    if item.state is ItemState.SENT:
        return Explanation(
            code="sent",
            text=f"handed to the device {item.deliveries} times, last at {_time(item.sent_at)}; no answer yet",
        )
    if ahead:
        return Explanation(code="behind_others", text=f"{ahead} commands go before it")
    if not enrollment.has_push_token:
        return Explanation(
            code="no_push_token", text="the device sent no usable push token and has not connected by itself"
        )
    return Explanation(
        code="device_not_connected",
        text=f"waiting for the device to connect; it was last seen {_time(enrollment.last_seen_at)}",
    )


def _ended(item: QueueItem) -> Explanation:
    because = f": {item.reason}" if item.reason else ""
    return Explanation(code=item.state.value, text=f"{item.state.value} at {_time(item.finished_at)}{because}")


def timeline_of(item: QueueItem, life: int) -> list[TimelineEntry]:
    """What is known to have happened to the item, oldest first."""
    moments = [
        (item.queued_at, "queued", item.request_type),
        (item.first_sent_at, "sent", "first delivery"),
        (item.not_now_at, "not_now", f"put off {item.not_now_count} times, last then"),
        (item.sent_at if item.deliveries > 1 else None, "sent", f"delivery {item.deliveries}"),
        (item.finished_at, item.state.value, item.reason or ""),
    ]
    known = [
        TimelineEntry(at=at, kind=kind, detail=detail, life=life) for at, kind, detail in moments if at is not None
    ]
    return sorted(known, key=lambda entry: entry.at)


def _time(at: datetime | None) -> str:
    return at.isoformat(timespec="seconds") if at is not None else "never"
