"""A push as it goes out: aioapns' request with an exact time of expiry, its header block and its body.

Header blocks are written without a dynamic table (RFC 7541 §6.2.2), so that most of the bytes are the same for every
push of a topic; any server can read them, whatever size of table it allows.
"""

import json
from typing import Final

from aioapns import NotificationRequest, PushType

from mdmserver.push.model import Notification

LONGEST_BODY: Final = 4_096  # what APNs takes
LONGEST_TOKEN: Final = 1_024  # bytes; APNs' own are 32, and Apple says not to count on it

_METHOD_POST_SCHEME_HTTPS: Final = b"\x83\x87"
_AUTHORITY_NAME, _PATH_NAME = 1, 4
_NEVER_INDEXED: Final = 0x10


class PushRequest(NotificationRequest):
    """One MDM push, kept out of sight: the token and the magic are secrets."""

    __slots__ = ("body", "expiration")

    def __init__(self, topic: str, notification: Notification) -> None:
        """Raises ValueError, which says nothing secret, for what APNs could not take."""
        token = notification.token.reveal()
        message = {"mdm": notification.magic.reveal()}
        super().__init__(
            device_token=token.hex(),
            message=message,
            notification_id=notification.apns_id,
            priority=notification.priority,
            push_type=PushType.MDM,
            apns_topic=topic,
        )
        self.expiration = max(0, int(notification.expires_at.timestamp()))
        self.body = json.dumps(message, separators=(",", ":")).encode()
        if len(token) > LONGEST_TOKEN or len(self.body) > LONGEST_BODY:
            raise ValueError("the token or the push magic is too long")

    def __repr__(self) -> str:
        return f"<PushRequest {self.notification_id}>"


class HeaderWriter:
    """Header blocks of the pushes of one topic to one server."""

    def __init__(self, *, authority: str, topic: str) -> None:
        self._first = _METHOD_POST_SCHEME_HTTPS + _with_known_name(_AUTHORITY_NAME, 0, authority.encode())
        self._last = _literal(b"apns-topic", topic.encode()) + _literal(b"apns-push-type", PushType.MDM.value.encode())

    def block(self, request: PushRequest) -> bytes:
        """The whole header block of this push."""
        # The path holds the token: "never indexed" keeps it out of the table of whoever stands between, too.
        path = _with_known_name(_PATH_NAME, _NEVER_INDEXED, b"/3/device/" + request.device_token.encode())
        return (
            self._first
            + path
            + self._last
            + _literal(b"apns-priority", b"%d" % (request.priority or 10))
            + _literal(b"apns-expiration", b"%d" % request.expiration)
            + _literal(b"apns-id", request.notification_id.encode())
        )


def _literal(name: bytes, value: bytes) -> bytes:
    return b"\x00" + _string(name) + _string(value)


def _with_known_name(index: int, kind: int, value: bytes) -> bytes:
    return bytes((kind | index,)) + _string(value)


def _string(value: bytes) -> bytes:
    return _integer(len(value)) + value


def _integer(value: int) -> bytes:
    """RFC 7541 §5.1 with a prefix of 7 bits, the first bit 0: no Huffman code."""
    if value < 127:
        return bytes((value,))
    value -= 127
    octets = bytearray((127,))
    while value >= 128:
        octets.append(value & 127 | 128)
        value >>= 7
    octets.append(value)
    return bytes(octets)
