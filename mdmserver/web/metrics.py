"""What happened, counted since the process began. Showing it (and what storage counts) is `operations`.

Labels are members of enums, never text: what a device or caller says cannot become a label.
"""

from collections import Counter as Tally
from enum import StrEnum


class Counter(StrEnum):
    """What is counted; the value is the name in the exposition, after `mdmserver_`."""

    REQUESTS = "requests_total"
    DEVICE_REQUESTS = "device_requests_total"
    AUTHENTICATION_FAILURES = "authentication_failures_total"


class StatusClass(StrEnum):
    """The first digit of an answer's status."""

    OK = "2xx"
    REDIRECTED = "3xx"
    REFUSED = "4xx"
    FAILED = "5xx"


def class_of(status: int) -> StatusClass:
    """The class of a status; what is neither of the three others is well."""
    match status // 100:
        case 3:
            return StatusClass.REDIRECTED
        case 4:
            return StatusClass.REFUSED
        case 5:
            return StatusClass.FAILED
        case _:
            return StatusClass.OK


class Metrics:
    """The counters of one process; every listener counts into the same."""

    def __init__(self) -> None:
        self._counts: Tally[tuple[Counter, tuple[StrEnum, ...]]] = Tally()

    def count(self, counter: Counter, *labels: StrEnum) -> None:
        """One more; the label's name in the exposition is its enum's name."""
        if not all(isinstance(label, StrEnum) for label in labels):
            raise TypeError(f"a label of {counter} is not a member of an enum")
        self._counts[counter, labels] += 1

    def counts(self) -> dict[tuple[Counter, tuple[StrEnum, ...]], int]:
        """All that was counted, by counter and labels, in a stable order."""
        return dict(sorted(self._counts.items()))
