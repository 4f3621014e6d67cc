"""What APNs may say to a push: every status with its reasons, as Apple's table has them, and what else may happen."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

import msgspec

from mdmserver.simulator.apns_frames import ErrorCode

_REASONS: Mapping[int, tuple[str, ...]] = {
    400: (
        "BadCollapseId",
        "BadDeviceToken",
        "BadExpirationDate",
        "BadMessageId",
        "BadPriority",
        "BadTopic",
        "DeviceTokenNotForTopic",
        "DuplicateHeaders",
        "IdleTimeout",
        "InvalidPushType",
        "MissingDeviceToken",
        "MissingTopic",
        "PayloadEmpty",
        "TopicDisallowed",
    ),
    403: (
        "BadCertificate",
        "BadCertificateEnvironment",
        "BadEnvironmentKeyIdInToken",
        "ExpiredProviderToken",
        "Forbidden",
        "InvalidProviderToken",
        "MissingProviderToken",
        "UnrelatedKeyIdInToken",
    ),
    404: ("BadPath",),
    405: ("MethodNotAllowed",),
    410: ("ExpiredToken", "Unregistered"),
    413: ("PayloadTooLarge",),
    429: ("TooManyProviderTokenUpdates", "TooManyRequests"),
    500: ("InternalServerError",),
    503: ("ServiceUnavailable", "Shutdown"),
}
STATUS_OF: Mapping[str, int] = {reason: status for status, reasons in _REASONS.items() for reason in reasons}
"""The status that goes with each reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer; `timestamp` goes with 410, since when the token is no more."""

    status: int
    reason: str | None = None
    timestamp: datetime | None = None

    @property
    def body(self) -> bytes:
        """The JSON that says why; nothing where the push was accepted."""
        if self.reason is None:
            return b""
        said: dict[str, str | int] = {"reason": self.reason}
        if self.timestamp is not None:
            said["timestamp"] = int(self.timestamp.timestamp() * 1000)
        return msgspec.json.encode(said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """The stream ends with RST_STREAM instead of an answer."""

    code: ErrorCode = ErrorCode.INTERNAL_ERROR


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """No answer, ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hangup:
    """GOAWAY with this reason, and the connection ends at once with all that was in flight on it."""

    reason: str = "InternalServerError"


Treatment = Answer | Reset | Silence | Hangup
"""What becomes of a push."""

ACCEPTED = Answer(status=HTTPStatus.OK)


def refusal(reason: str, *, timestamp: datetime | None = None) -> Answer:
    """The answer with this reason; KeyError for one that APNs does not know."""
    return Answer(status=STATUS_OF[reason], reason=reason, timestamp=timestamp)
