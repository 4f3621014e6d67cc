"""Is a whole topic refused, or just single tokens? Pure: the last outcomes of a topic, and what they say together.

A production certificate used on the sandbox, or another topic's, makes APNs refuse every token as bad. Believing that
would give up devices that are well, so many alike refusals in a row halt the topic and are held against no device.
"""

from collections import Counter, deque
from dataclasses import dataclass
from datetime import datetime, timedelta

from mdmserver.devices.model import EnrollmentRow
from mdmserver.push.model import RETRIED_DAILY, STOPS_TOKEN, Due, Outcome

WINDOW = 50
TOLERATED = WINDOW // 5
LONG_SILENT = timedelta(days=30)
"""A token refused for a device that was silent so long tells of that device, not of the topic."""
RECONNECT_FIRST, RECONNECT_LONGEST = timedelta(seconds=1), timedelta(seconds=30)
SUSPECT_PUSHES = 8

_HINTS = {
    "BadDeviceToken": "production and sandbox are mixed up: [apns] host does not fit the enrollments",
    "DeviceTokenNotForTopic": "the devices enrolled with another topic than this certificate's",
    "BadCertificateEnvironment": "the certificate is for the other of production and sandbox",
    "BadCertificate": "APNs does not accept the certificate: it was revoked or has expired",
    "Forbidden": "APNs does not accept the certificate",
    "BadTopic": "the certificate is not for this topic",
    "TopicDisallowed": "the certificate is not for this topic",
    "Unregistered": "the devices are enrolled elsewhere, or the certificate is not the one they enrolled with",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """Why a topic is pushed no more, and whose refusals say so: they are to be spared."""

    reason: str
    spared: tuple[EnrollmentRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How many may be pushed on a topic now; those beyond that are looked at again at this time."""

    number: int
    again_at: datetime


class TopicHealth:
    """One topic's recent outcomes, and whether APNs can be reached on it."""

    def __init__(self) -> None:
        self._recent: deque[tuple[EnrollmentRow, str | None]] = deque(maxlen=WINDOW)
        self._unanswered = 0
        self.not_before: datetime | None = None
        """Until then nothing is sent: APNs did not answer, and trying faster would look like an attack."""
        self.silence: str | None = None
        """Why the last push had no answer; None if it had one."""

    @property
    def is_suspect(self) -> bool:
        """Whether the last thing known is that APNs does not answer: only a few pushes then try."""
        return self._unanswered > 0

    def rests(self, at: datetime) -> bool:
        """Whether nothing is to be sent now."""
        return self.not_before is not None and at < self.not_before

    def room(self, at: datetime, *, in_flight: int, most: int) -> Room:
        """How many more may be pushed now, where at most `most` are when all is well."""
        if self.not_before is not None and self.rests(at):
            return Room(number=0, again_at=self.not_before)
        if self.is_suspect:
            return Room(number=max(0, SUSPECT_PUSHES - in_flight), again_at=at + RECONNECT_FIRST)
        return Room(number=most, again_at=at)

    def note(self, due: Due, outcome: Outcome, *, at: datetime, jitter: float) -> Halt | None:
        """Take an outcome in; a Halt when the window is now full of one refusal."""
        if outcome.status is None:
            self.silence = outcome.reason or "no answer"
            self._note_silence(at, jitter)
            return None
        self._unanswered, self.not_before, self.silence = 0, None, None
        refusal = _refusal_of(due, outcome, at)
        self._recent.append((due.enrollment, refusal))
        if refusal is None:
            return None
        alike = tuple(dict.fromkeys(row for row, reason in self._recent if reason == refusal))
        number = Counter(reason for _, reason in self._recent)[refusal]
        if number <= TOLERATED:
            return None
        self._recent.clear()
        hint = _HINTS.get(outcome.reason or "", "see what APNs says of it")
        reason = f"{number} of the last {WINDOW} pushes were answered {refusal}: {hint}"
        return Halt(reason=reason, spared=alike)

    def _note_silence(self, at: datetime, jitter: float) -> None:
        if self.rests(at):
            return  # This one was on its way when the silence was noticed.
        self._unanswered += 1
        doublings: int = 2 ** min(self._unanswered - 1, 10)
        self.not_before = at + min(RECONNECT_FIRST * doublings, RECONNECT_LONGEST) * (0.5 + jitter / 2)


def _refusal_of(due: Due, outcome: Outcome, at: datetime) -> str | None:
    if outcome.status is None or outcome.status // 100 != 4 or outcome.status == 429:
        return None
    is_of_token = outcome.status == STOPS_TOKEN or outcome.reason in RETRIED_DAILY
    if is_of_token and (due.last_seen_at is None or due.last_seen_at < at - LONG_SILENT):
        return None
    return f"{outcome.status} {outcome.reason or ''}".strip()
