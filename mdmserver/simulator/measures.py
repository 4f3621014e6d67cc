"""What a fleet did, counted: enrollments, connects, commands by status, faults by kind, times of requests."""

from collections import Counter, deque
from dataclasses import dataclass

from mdmserver.protocol import Status
from mdmserver.simulator.renewing import Mishap

KEPT_TIMES = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The counts of one run. Times are of the last 100,000 answered requests; None without any.

    `wakes` are pushes that devices heard; `ignored_pushes` those with a magic or topic that is not theirs.
    `enrolling_seconds` is how long it took until all devices had enrolled that were not.
    """

    devices: int
    enrolled: int
    connects: int
    wakes: int
    ignored_pushes: dict[str, int]
    requests: int
    commands: dict[str, int]
    lost_replies: int
    renewals: int
    mishaps: dict[str, int]
    errors: dict[str, int]
    p50_milliseconds: float | None
    p99_milliseconds: float | None
    enrolling_seconds: float
    seconds: float

    @property
    def delivered(self) -> int:
        """Results of every status that the server has taken."""
        return sum(self.commands.values())


class Tally:
    """Counts as it is told; an `Observer` of devices, and of what they hear from APNs."""

    def __init__(self) -> None:
        self.enrolled = 0
        self.connects = 0
        self.wakes = 0
        self.ignored_pushes: Counter[str] = Counter()
        self.lost_replies = 0
        self.enrolling_seconds = 0.0
        self.renewals = 0
        self.mishaps: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.commands: Counter[Status] = Counter()
        self._requests = 0
        self._times: deque[float] = deque(maxlen=KEPT_TIMES)

    def delivered(self, status: Status) -> None:
        """The server took the answer to a command."""
        self.commands[status] += 1

    def lost_reply(self) -> None:
        """A reply was lost on purpose."""
        self.lost_replies += 1

    def renewed(self) -> None:
        """A device checked in with a new identity."""
        self.renewals += 1

    def mishap(self, mishap: Mishap) -> None:
        """Something goes wrong in a renewal on purpose."""
        self.mishaps[mishap.value] += 1

    def heard_push(self) -> None:
        """A push for one of the devices."""
        self.wakes += 1

    def ignored_push(self, why: str) -> None:
        """A push that the device takes no notice of."""
        self.ignored_pushes[why] += 1

    def took(self, seconds: float) -> None:
        """A request was answered after so long."""
        self._requests += 1
        self._times.append(seconds)

    def summary(self, *, devices: int, seconds: float) -> Summary:
        """The counts up to now."""
        times = sorted(self._times)
        return Summary(
            devices=devices,
            enrolled=self.enrolled,
            connects=self.connects,
            wakes=self.wakes,
            ignored_pushes=dict(sorted(self.ignored_pushes.items())),
            requests=self._requests,
            commands={status.value: count for status, count in sorted(self.commands.items())},
            lost_replies=self.lost_replies,
            renewals=self.renewals,
            mishaps=dict(sorted(self.mishaps.items())),
            errors=dict(sorted(self.errors.items())),
            p50_milliseconds=_milliseconds(times, 0.50),
            p99_milliseconds=_milliseconds(times, 0.99),
            enrolling_seconds=round(self.enrolling_seconds, 3),
            seconds=round(seconds, 3),
        )


def _milliseconds(times: list[float], share: float) -> float | None:
    return round(times[min(len(times) - 1, int(share * len(times)))] * 1000, 2) if times else None
