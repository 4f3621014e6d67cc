"""What one check of `mdmserver doctor` found."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """ok; warning: works, but look at it; failure: the server cannot do its work."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the report."""

    check: str
    verdict: Verdict
    text: str


def ok(check: str, text: str) -> Finding:
    """As it should be."""
    return Finding(check=check, verdict=Verdict.OK, text=text)


def warning(check: str, text: str) -> Finding:
    """Works, but look at it."""
    return Finding(check=check, verdict=Verdict.WARNING, text=text)


def failure(check: str, text: str) -> Finding:
    """The server cannot do its work."""
    return Finding(check=check, verdict=Verdict.FAILURE, text=text)
