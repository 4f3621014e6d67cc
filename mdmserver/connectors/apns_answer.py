"""What APNs says in a body, as aioapns' result and as the Outcome of push. Anything may be in it."""

from datetime import UTC, datetime

import msgspec
from aioapns.common import NotificationResult

from mdmserver.connectors.h2_client import Answered
from mdmserver.push.model import Outcome


def result_of(event: Answered, apns_id: str) -> NotificationResult:
    """The answer to the push with this id, which counts where APNs does not repeat it."""
    refusal = _refusal(event.body) if event.body else _Refusal()
    return NotificationResult(
        event.apns_id or apns_id,
        str(event.status),
        refusal.reason or None,
        None if refusal.timestamp is None else int(refusal.timestamp),
    )


def reason_in(body: bytes) -> str:
    """The reason that a body gives, short and printable; empty where there is none."""
    return _refusal(body).reason


def outcome_of(result: NotificationResult) -> Outcome:
    """What push hears of this result."""
    return Outcome(
        status=int(result.status),
        apns_id=result.notification_id,
        reason=result.description,
        timestamp=_moment(result.timestamp),
    )


def _moment(milliseconds: float | None) -> datetime | None:
    try:
        return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, tz=UTC)
    except (OverflowError, ValueError, OSError):
        return None


class _Refusal(msgspec.Struct):
    reason: str = ""
    timestamp: float | None = None


def _refusal(body: bytes) -> _Refusal:
    """What a body says, or nothing where it cannot be read."""
    try:
        refusal = msgspec.json.decode(body, type=_Refusal)
    except (msgspec.MsgspecError, RecursionError):
        return _Refusal()
    return _Refusal(reason=_printable(refusal.reason), timestamp=refusal.timestamp)


def _printable(text: str) -> str:
    return "".join(character for character in text[:100] if character.isprintable())
