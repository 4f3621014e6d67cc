"""Times as a person types them and reads them: `2d`, `90s`, RFC 3339; `3 min ago`."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(?:\d+[smhdw])+")
_PART = re.compile(r"(\d+)([smhdw])")
_LONGEST_SECONDS = 100 * 366 * 86400
_STEPS = ((86400 * 365, "years"), (86400, "days"), (3600, "h"), (60, "min"), (1, "s"))


class Duration(click.ParamType[timedelta]):
    """`90s`, `15m`, `36h`, `2d`, `1w`, also put together: `1d12h`."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """The duration; fails the parameter for anything else."""
        if isinstance(value, timedelta):
            return value
        if (duration := _duration(value)) is None:
            self.fail(f"{value!r} is not a duration such as 90s, 15m, 36h or 2d", param, ctx)
        return duration


class Moment(click.ParamType[datetime | timedelta]):
    """A duration from now, or an RFC 3339 time with its offset; `rfc3339` turns it into what the API takes."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime | timedelta:
        """A timedelta for a duration, else an aware datetime; fails the parameter for anything else."""
        if isinstance(value, datetime | timedelta):
            return value
        if (duration := _duration(value)) is not None:
            return duration
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is neither a duration such as 2d nor a time such as 2030-01-31T08:00:00Z", param, ctx)
        if moment.tzinfo is None:
            self.fail(f"{value!r} has no offset; end it with Z for UTC", param, ctx)
        return moment


def rfc3339(moment: datetime | timedelta | None, *, now: datetime) -> str | None:
    """What `Moment` gave, as the API takes it."""
    if moment is None:
        return None
    at = now + moment if isinstance(moment, timedelta) else moment
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def ago(text: str | None, *, now: datetime) -> str:
    """`3 min ago`, `in 2 days`; a dash for None; the text itself when it is no time."""
    if text is None:
        return "–"
    try:
        seconds = (now - datetime.fromisoformat(text)).total_seconds()
    except (ValueError, TypeError):
        return text
    span = human_span(abs(seconds))
    if span is None:
        return "now"
    return f"{span} ago" if seconds > 0 else f"in {span}"


def human_span(seconds: float) -> str | None:
    """The largest unit that fits, once: `3 min`; None for less than a second."""
    for size, unit in _STEPS:
        if (number := int(seconds // size)) >= 1:
            return f"{number} {unit[:-1] if number == 1 and unit.endswith('s') and len(unit) > 1 else unit}"
    return None


def _duration(text: str) -> timedelta | None:
    if not _DURATION.fullmatch(text):
        return None
    seconds = sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    return timedelta(seconds=seconds) if seconds <= _LONGEST_SECONDS else None
