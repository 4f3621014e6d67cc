"""How fast to wake devices: as fast as those that come can be served. Pure, but for nothing: it is told the time.

Every device that is woken connects within seconds, so pushing faster than the server answers only builds a crowd that
times out and comes again. While answers are quick the rate doubles each second; when they become slow it falls to
what was really served.
"""

from collections import deque
from dataclasses import dataclass

QUICK_SECONDS, SLOW_SECONDS = 0.025, 0.1
LEAST_PER_SECOND = 20.0
FIRST_PER_SECOND = 250.0
BURST_SECONDS = 0.25
JUDGED_SECONDS = 1.0


@dataclass(slots=True, kw_only=True)
class Served:
    """What was answered since the last look: how many connects, and how long they waited for storage in all."""

    number: int = 0
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """One connect was answered after so long."""
        self.number += 1
        self.seconds += seconds

    def taken(self) -> "Served":
        """What came together; counting begins anew."""
        whole = Served(number=self.number, seconds=self.seconds)
        self.number, self.seconds = 0, 0.0
        return whole


class Pace:
    """Allows pushes: a bucket that fills at the present rate, and never more than the most in any one second.

    Times are seconds of any steady clock.
    """

    def __init__(self, *, most_per_second: float, at: float) -> None:
        self._most = most_per_second
        self.per_second = min(FIRST_PER_SECOND, most_per_second)
        self._allowance = self.per_second * BURST_SECONDS
        self._filled_at = self._judged_at = at
        self._spent: deque[tuple[float, int]] = deque()
        self._spent_lately = 0

    def allowed(self, at: float) -> int:
        """How many pushes may go now."""
        self._allowance += (at - self._filled_at) * self.per_second
        self._allowance = min(self._allowance, max(1.0, self.per_second * BURST_SECONDS))
        self._filled_at = at
        self._forget_spent(at)
        return max(0, int(min(self._allowance, self._most - self._spent_lately)))

    def spend(self, number: int, at: float) -> None:
        """So many went."""
        self._allowance -= number
        self._spent.append((at, number))
        self._spent_lately += number

    @property
    def worthwhile(self) -> int:
        """How many to take at a time: what may go in a fiftieth of a second."""
        return max(1, int(self.per_second / 50))

    def judge(self, counting: Served, at: float) -> None:
        """Once a second has passed: adapt the rate to how connects were answered in it."""
        elapsed = at - self._judged_at
        if elapsed < JUDGED_SECONDS:
            return
        self._judged_at = at
        served = counting.taken()
        mean = served.seconds / served.number if served.number else 0.0
        if mean >= SLOW_SECONDS:
            least = min(LEAST_PER_SECOND, self._most)
            self.per_second = max(least, min(self.per_second * 0.7, served.number / elapsed))
        elif mean <= QUICK_SECONDS:
            self.per_second = min(self._most, self.per_second * 2)

    def _forget_spent(self, at: float) -> None:
        # A full bucket and a second's filling together are more than the most: what went in the last second counts.
        while self._spent and self._spent[0][0] <= at - 1.0:
            self._spent_lately -= self._spent.popleft()[1]
