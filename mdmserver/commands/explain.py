"""Why a command is not there yet, in words a person can act on. Pure: from the item, its enrollment and the time."""

from dataclasses import dataclass
from datetime import datetime

from mdmserver.commands.model import ItemState, QueueItem
from mdmserver.devices.model import Enrollment, EnrollmentState, PushStanding, TimelineEntry

_ACCEPTED = 200


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
    if enrollment.state is EnrollmentState.ERASED and item.state is ItemState.QUEUED:
        return Explanation(
            code="erased",
            text=f"the device acknowledged an erase at {_time(enrollment.erased_at)}: it is not woken, and gets this "
            "only if it connects after all",
        )
    return _waiting(item, enrollment, ahead=ahead, at=at)


def _waiting(item: QueueItem, enrollment: Enrollment, *, ahead: int, at: datetime) -> Explanation:
    if item.state is ItemState.WITHDRAWN:
        return Explanation(
            code="withdrawn",
            text=f"{item.withdrawn_as} while it was out at the device: a result that is on its way decides, "
            "the device's next connect ends it",
        )
    if item.held_at is not None:
        return Explanation(
            code="held",
            text=f"a restored backup brought it back at {_time(item.held_at)}: it is held until somebody releases it "
            "(mdmctl commands release) or its time runs out",
        )
    if item.not_before is not None and item.not_before > at:
        return Explanation(
            code="not_before",
            text=f"it is held back until {item.not_before.isoformat()}, and can be cancelled until then",
        )
    if item.expires_at is not None and item.expires_at <= at:
        return Explanation(code="expiring", text="its time ran out; it is about to be marked expired")
    if item.state is ItemState.NOT_NOW:
        return Explanation(
            code="not_now",
            text=f"the device put it off {item.not_now_count} times (locked or busy) and will be offered it again"
            + _pushed_next(enrollment.push, at),
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
    return _asleep(item, enrollment, at)


def _asleep(item: QueueItem, enrollment: Enrollment, at: datetime) -> Explanation:
    """Only the device is missing: what was done to wake it."""
    push = enrollment.push
    if push.stopped_at is not None:
        return Explanation(
            code="push_token_stopped",
            text=f"APNs called the device's push token dead at {_time(push.stopped_at)} ({_answer(push)}): it waits "
            "for the device to connect by itself or to send a new token",
        )
    offered_at = max(item.queued_at, item.not_before or item.queued_at)
    if push.pushed_at is None or push.pushed_at < offered_at:
        if push.next_at is not None:
            when = "now" if push.next_at <= at else f"at {_time(push.next_at)}"
            return Explanation(code="push_waiting", text=f"the device is to be pushed {when}; {_seen(enrollment)}")
        return Explanation(code="device_not_connected", text=f"waiting for the device to connect; {_seen(enrollment)}")
    if push.status == _ACCEPTED:
        return Explanation(
            code="device_not_connected",
            text=f"waiting for the device to connect; it was pushed at {_time(push.pushed_at)} "
            f"(apns-id {push.apns_id}); {_seen(enrollment)}{_pushed_next(push, at)}",
        )
    code = "push_unanswered" if push.status is None else "push_refused"
    return Explanation(
        code=code,
        text=f"the push at {_time(push.pushed_at)} was not accepted: {_answer(push)}; "
        f"{_seen(enrollment)}{_pushed_next(push, at)}",
    )


def _answer(push: PushStanding) -> str:
    if push.status is None:
        return f"no answer from APNs ({push.reason})" if push.reason else "no answer from APNs"
    return f"{push.status} {push.reason or ''}".strip()


def _pushed_next(push: PushStanding, at: datetime) -> str:
    if push.next_at is None:
        return ""
    return "; it is pushed again now" if push.next_at <= at else f"; it is pushed again at {_time(push.next_at)}"


def _seen(enrollment: Enrollment) -> str:
    return f"it was last seen {_time(enrollment.last_seen_at)}"


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
