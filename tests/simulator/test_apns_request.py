"""Which fault of a push is answered with what: Apple's table, read from requests without a network."""

from typing import Any

import pytest

from mdmserver.simulator.apns_answers import STATUS_OF, Answer
from mdmserver.simulator.apns_request import Push, apns_id_in, push_in

TOPIC = "com.apple.mgmt.External.1"
TOKEN = "Ab" * 32
APNS_ID = "6e0a3b52-54d6-4b5a-9d3c-0a1b2c3d4e5f"
GOOD = {
    ":method": "POST",
    ":path": f"/3/device/{TOKEN}",
    "apns-topic": TOPIC,
    "apns-push-type": "mdm",
    "apns-priority": "10",
    "apns-expiration": "1800000000",
    "apns-id": APNS_ID,
}


def headers_of(changes: dict[str, str | None], twice: str | None = None) -> list[tuple[bytes, bytes]]:
    named = [(name, value) for name, value in (GOOD | changes).items() if value is not None]
    if twice is not None:
        named.append((twice, GOOD.get(twice, "x")))
    return [(name.encode(), value.encode("utf-8")) for name, value in named]


def asked(
    changes: dict[str, str | None] | None = None,
    body: bytes = b'{"mdm":"M"}',
    *,
    twice: str | None = None,
    topic: str | None = TOPIC,
) -> Any:
    return push_in(headers_of(changes or {}, twice), body, topic=topic, at=5.0, apns_id="made")


def test_a_push_in_order_is_read_as_the_feed_has_it() -> None:
    assert asked() == Push(
        at=5.0, topic=TOPIC, token=TOKEN.lower(), magic="M", apns_id=APNS_ID, priority=10, expiration=1_800_000_000
    )


def test_what_may_be_left_out_has_apples_defaults() -> None:
    push = asked({"apns-id": None, "apns-priority": None, "apns-expiration": None})

    assert (push.apns_id, push.priority, push.expiration) == ("made", 10, 0)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({":path": "/"}, "BadPath"),
        ({":path": f"/3/devices/{TOKEN}"}, "BadPath"),
        ({":path": None}, "BadPath"),
        ({":path": "/3/device/"}, "MissingDeviceToken"),
        ({":path": f"/3/device/{TOKEN}a"}, "BadDeviceToken"),
        ({":path": f"/3/device/{TOKEN[:-2]}"}, "BadDeviceToken"),
        ({":path": f"/3/device/{TOKEN[:-2]}zz"}, "BadDeviceToken"),
        ({":path": f"/3/device/{TOKEN}\n"}, "BadDeviceToken"),
        ({":path": f"/3/device/{TOKEN}?x=1"}, "BadDeviceToken"),
        ({":path": f"/3/device/{TOKEN * 7}"}, "BadDeviceToken"),
        ({":method": "GET"}, "MethodNotAllowed"),
        ({":method": "PUT"}, "MethodNotAllowed"),
        ({"apns-topic": None}, "MissingTopic"),
        ({"apns-topic": ""}, "MissingTopic"),
        ({"apns-topic": "com.apple.mgmt.External.2"}, "TopicDisallowed"),
        ({"apns-topic": "no topic"}, "BadTopic"),
        ({"apns-push-type": "alert"}, "InvalidPushType"),
        ({"apns-push-type": None}, "InvalidPushType"),
        ({"apns-priority": "11"}, "BadPriority"),
        ({"apns-priority": "high"}, "BadPriority"),
        ({"apns-expiration": "tomorrow"}, "BadExpirationDate"),
        ({"apns-expiration": "-1"}, "BadExpirationDate"),
        ({"apns-expiration": "1.5"}, "BadExpirationDate"),
        ({"apns-expiration": ""}, "BadExpirationDate"),
        ({"apns-id": "1"}, "BadMessageId"),
        ({"apns-id": APNS_ID.upper()}, "BadMessageId"),
    ],
)
def test_a_fault_in_the_headers_has_its_reason(changes: dict[str, str | None], reason: str) -> None:
    assert asked(changes) == Answer(status=STATUS_OF[reason], reason=reason)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "PayloadEmpty"),
        (b"{}", "PayloadEmpty"),
        (b"[]", "PayloadEmpty"),
        (b'{"mdm":1}', "PayloadEmpty"),
        (b'{"aps":{}}', "PayloadEmpty"),
        (b'{"mdm":"M"', "PayloadEmpty"),
        (b'{"mdm":"\xff"}', "PayloadEmpty"),
        (b'{"mdm":"%s"}' % (b"M" * 4087), "PayloadTooLarge"),
    ],
)
def test_a_fault_in_the_payload_has_its_reason(body: bytes, reason: str) -> None:
    assert asked(body=body) == Answer(status=STATUS_OF[reason], reason=reason)


def test_the_longest_payload_is_4096_bytes() -> None:
    assert isinstance(asked(body=b'{"mdm":"%s"}' % (b"M" * 4086)), Push)


def test_a_header_of_apns_given_twice_is_refused_and_others_are_not() -> None:
    assert asked(twice="apns-topic") == Answer(status=400, reason="DuplicateHeaders")
    assert isinstance(asked({"cookie": "a"}, twice="cookie"), Push)


def test_a_certificate_without_a_topic_pushes_nothing() -> None:
    assert asked(topic=None).reason == "TopicDisallowed"


def test_the_id_of_a_push_is_found_even_where_the_rest_is_wrong() -> None:
    assert apns_id_in(headers_of({":path": "/"})) == APNS_ID
    assert apns_id_in(headers_of({"apns-id": "x"})) is None
    assert apns_id_in([]) is None
