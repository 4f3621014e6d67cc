"""What pushes have to do with a command for one enrollment: its place in the timeline, and in the reason it waits."""

from collections.abc import Iterable

from mdmserver.commands.explain import Explanation
from mdmserver.commands.model import QueueItem
from mdmserver.devices.model import Enrollment, TimelineEntry
from mdmserver.push.model import Attempt
from mdmserver.web.api.push_standing import Topics, answer_of, push_problems

_WAITS_FOR_THE_DEVICE = frozenset({"device_not_connected", "push_waiting", "push_refused", "push_unanswered"})
_OF_THE_TOPIC = frozenset({"no_push_certificate", "push_halted"})


def explained(explanation: Explanation, enrollment: Enrollment, topics: Topics) -> Explanation:
    """The same, or where only the device is missing, what is wrong with its topic: then no push will come."""
    if explanation.code not in _WAITS_FOR_THE_DEVICE:
        return explanation
    wrong = next((each for each in push_problems(enrollment, topics) if each.code in _OF_THE_TOPIC), None)
    if wrong is None:
        return explanation
    seen = enrollment.last_seen_at
    last = "never" if seen is None else seen.isoformat(timespec="seconds")
    text = f"waiting for the device to connect by itself: {wrong.text}; it was last seen {last}"
    return Explanation(code=wrong.code, text=text)


def pushes_of(item: QueueItem, attempts: Iterable[Attempt], *, life: int) -> list[TimelineEntry]:
    """The pushes between its queueing and its end."""
    return [
        _entry(attempt, life)
        for attempt in attempts
        if item.queued_at <= attempt.at and (item.finished_at is None or attempt.at <= item.finished_at)
    ]


def _entry(attempt: Attempt, life: int) -> TimelineEntry:
    outcome = attempt.outcome
    if outcome.is_accepted:
        return TimelineEntry(at=attempt.at, kind="push_accepted", detail=f"apns-id {outcome.apns_id}", life=life)
    kind = "push_unanswered" if outcome.status is None else "push_refused"
    return TimelineEntry(at=attempt.at, kind=kind, detail=answer_of(outcome.status, outcome.reason), life=life)
