"""What the server answers a device, without HTTP: `web/device` knows which status that is."""

from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto


class Answer(Enum):
    """The kinds of answer. None of them is ever a 401: a device may unenroll on that."""

    EMPTY = auto()
    """Well received; nothing to say."""
    PLIST = auto()
    JSON = auto()
    USER_DECLINED = auto()
    """UserAuthenticate: this user is not managed in this login session (410)."""
    BAD_REQUEST = auto()
    """The message is understood and asks for what does not exist, such as an unknown token service (400)."""
    NOT_FOUND = auto()
    """A declaration that is not there (404)."""
    LATER = auto()
    """Too often; try again later (503)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer and its body, empty unless the kind has one."""

    answer: Answer
    body: bytes = field(default=b"", repr=False)


EMPTY = Reply(answer=Answer.EMPTY)


class UserAuthentication(StrEnum):
    """What UserAuthenticate is answered: decline (410), or a zero-length digest challenge that lets the user in."""

    DECLINE = "decline"
    ZERO_DIGEST = "zero_digest"
