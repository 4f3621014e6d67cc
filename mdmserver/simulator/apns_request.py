"""What a push looks like to APNs, and which fault it answers with what. Pure; who is known to it is `apns`."""

import re
from collections.abc import Mapping

import msgspec

from mdmserver.simulator.apns_answers import Answer, refusal
from mdmserver.simulator.apns_streams import Headers

LONGEST_PAYLOAD = 4096
PUSH_TYPE = "mdm"
_PATH = "/3/device/"
# Apple: the length of a token may change; today it is 32 bytes.
_TOKEN = re.compile(r"(?:[0-9A-Fa-f]{2}){32,100}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TOPIC = re.compile(r"[A-Za-z0-9.-]+")
_PRIORITIES = frozenset({"1", "5", "10"})


class Push(msgspec.Struct, frozen=True, kw_only=True):
    """A push that was accepted, as the feed has it: `at` and `expiration` in seconds since 1970, token in hexadecimal.

    `expiration` 0: for a device that listens now or never.
    """

    at: float
    topic: str
    token: str
    magic: str
    apns_id: str
    priority: int
    expiration: int


class _Payload(msgspec.Struct, frozen=True):
    mdm: str


_payload = msgspec.json.Decoder(_Payload)


def push_in(headers: Headers, body: bytes, *, topic: str | None, at: float, apns_id: str) -> Push | Answer:
    """The push that a request asks for, or the answer to what is wrong with it.

    `topic` is the one that the client's certificate is for; `apns_id` is given to a push that names none.
    """
    fields = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
    path = fields.get(":path", "")
    fault = _fault_of_target(fields.get(":method"), path) or _fault_of_headers(headers, fields, topic)
    if fault is None:
        fault = _fault_of_token(path[len(_PATH) :]) or _fault_of_length(body)
    if fault is not None:
        return refusal(fault)
    try:
        magic = _payload.decode(body).mdm
    except (msgspec.DecodeError, UnicodeDecodeError):
        return refusal("PayloadEmpty")
    return Push(
        at=at,
        topic=fields["apns-topic"],
        token=path[len(_PATH) :].lower(),
        magic=magic,
        apns_id=fields.get("apns-id", apns_id),
        priority=int(fields.get("apns-priority", "10")),
        expiration=int(fields.get("apns-expiration", "0")),
    )


def apns_id_in(headers: Headers) -> str | None:
    """The id that the client gave its push; None for none and for what is no id."""
    given = next((value for name, value in headers if name == b"apns-id"), b"").decode("latin-1")
    return given if _UUID.fullmatch(given) else None


def _fault_of_target(method: str | None, path: str) -> str | None:
    if not path.startswith(_PATH):
        return "BadPath"
    if method != "POST":
        return "MethodNotAllowed"
    return "MissingDeviceToken" if path == _PATH else None


def _fault_of_headers(headers: Headers, fields: Mapping[str, str], topic: str | None) -> str | None:
    if len(fields) < len(headers) and _has_duplicates(headers):
        return "DuplicateHeaders"
    if "apns-id" in fields and not _UUID.fullmatch(fields["apns-id"]):
        return "BadMessageId"
    if not _is_number(fields.get("apns-expiration", "0")):
        return "BadExpirationDate"
    if fields.get("apns-priority", "10") not in _PRIORITIES:
        return "BadPriority"
    # Apple's servers guess a missing type; one that is asked for by name in our protocol is missed here.
    if fields.get("apns-push-type") != PUSH_TYPE:
        return "InvalidPushType"
    return _fault_of_topic(fields.get("apns-topic"), topic)


def _fault_of_topic(named: str | None, allowed: str | None) -> str | None:
    if not named:
        return "MissingTopic"
    if named == allowed:
        return None
    return "TopicDisallowed" if _TOPIC.fullmatch(named) else "BadTopic"


def _fault_of_token(token: str) -> str | None:
    return None if _TOKEN.fullmatch(token) else "BadDeviceToken"


def _fault_of_length(body: bytes) -> str | None:
    if not body:
        return "PayloadEmpty"
    return "PayloadTooLarge" if len(body) > LONGEST_PAYLOAD else None


def _has_duplicates(headers: Headers) -> bool:
    names = [name for name, _ in headers if name.startswith(b"apns-")]
    return len(set(names)) < len(names)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 15
