"""What is sent to APNs, and what its answers become."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from mdmserver.connectors.apns import APNsGateway
from mdmserver.secret import Secret
from tests.connectors.apns_server import Push, ScriptedAPNs
from tests.connectors.conftest import NOW, TOPIC, notification


async def test_a_push_is_what_apple_describes(gateway: APNsGateway, apns: ScriptedAPNs) -> None:
    outcome = await gateway.push(TOPIC, notification(7, priority=5))

    (push,) = apns.pushes
    assert outcome.is_accepted
    assert push.headers == {
        ":method": "POST",
        ":scheme": "https",
        ":authority": "localhost",
        ":path": "/3/device/" + "0" * 63 + "7",
        "apns-topic": TOPIC,
        "apns-push-type": "mdm",
        "apns-priority": "5",
        "apns-expiration": str(int((NOW + timedelta(days=7)).timestamp())),
        "apns-id": "00000000-0000-0000-0000-000000000007",
    }
    assert push.body == b'{"mdm":"magic-7"}'


async def test_an_accepted_push_has_the_id_that_apns_says(gateway: APNsGateway, apns: ScriptedAPNs) -> None:
    apns.script = lambda push: push.connection.answer(push.stream, 200, {"apns-id": "its-own"}, b"")

    outcome = await gateway.push(TOPIC, notification())

    assert (outcome.status, outcome.apns_id, outcome.reason) == (200, "its-own", None)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, "BadDeviceToken"),
        (400, "DeviceTokenNotForTopic"),
        (403, "BadCertificate"),
        (404, "BadPath"),
        (413, "PayloadTooLarge"),
        (429, "TooManyRequests"),
        (500, "InternalServerError"),
        (503, "ServiceUnavailable"),
    ],
)
async def test_a_refusal_has_its_status_and_reason(
    gateway: APNsGateway, apns: ScriptedAPNs, status: int, reason: str
) -> None:
    apns.script = lambda push: push.refuse(status, reason)

    outcome = await gateway.push(TOPIC, notification())

    assert (outcome.status, outcome.reason, outcome.timestamp) == (status, reason, None)
    assert outcome.apns_id == notification().apns_id


async def test_a_dead_token_has_the_time_since_when(gateway: APNsGateway, apns: ScriptedAPNs) -> None:
    apns.script = lambda push: push.refuse(410, "Unregistered", timestamp=1_700_000_000_500)

    outcome = await gateway.push(TOPIC, notification())

    assert outcome.status == 410
    assert outcome.timestamp == datetime(2023, 11, 14, 22, 13, 20, 500_000, tzinfo=UTC)


@pytest.mark.parametrize("timestamp", [10**30, -(10**30), 1.5, None])
async def test_a_timestamp_that_is_no_time_harms_nothing(
    gateway: APNsGateway, apns: ScriptedAPNs, timestamp: object
) -> None:
    apns.script = lambda push: push.refuse(410, "Unregistered", timestamp=timestamp)

    outcome = await gateway.push(TOPIC, notification())

    assert (outcome.status, outcome.reason) == (410, "Unregistered")


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"\xff\xfe", b'{"reason": 7}', b'{"a":' * 2000, b"{}"])
async def test_a_body_that_is_no_refusal_still_has_a_status(
    gateway: APNsGateway, apns: ScriptedAPNs, body: bytes
) -> None:
    apns.script = lambda push: push.connection.answer(push.stream, 503, {}, body)

    outcome = await gateway.push(TOPIC, notification())

    assert (outcome.status, outcome.reason) == (503, None)


async def test_a_reason_is_short_and_printable(gateway: APNsGateway, apns: ScriptedAPNs) -> None:
    apns.script = lambda push: push.refuse(400, "Bad\n\x1b[31m\u202e" + "x" * 500)

    outcome = await gateway.push(TOPIC, notification())

    assert outcome.reason == "Bad[31m" + "x" * 90


async def test_an_answer_without_end_is_given_up(gateway: APNsGateway, apns: ScriptedAPNs) -> None:
    apns.script = _answer_at_length

    outcome = await gateway.push(TOPIC, notification())

    assert (outcome.status, outcome.reason) == (None, "stream reset (the answer is too long)")


def _answer_at_length(push: Push) -> None:
    h2 = push.connection.h2
    h2.send_headers(push.stream, [(":status", "400")])
    for _ in range(3):
        h2.send_data(push.stream, bytes(16_000))
    push.connection.flush()


async def test_a_topic_that_is_not_in_use_is_said(gateway: APNsGateway, apns: ScriptedAPNs) -> None:
    outcome = await gateway.push("com.apple.mgmt.External.other", notification())

    assert (outcome.status, outcome.reason) == (None, "not sent: topic not in use")
    assert apns.connections == []


async def test_what_apns_could_not_take_is_not_sent(gateway: APNsGateway, apns: ScriptedAPNs) -> None:
    long_token = await gateway.push(TOPIC, notification(token=Secret(bytes(5_000))))
    long_magic = await gateway.push(TOPIC, notification(magic=Secret("m" * 5_000)))
    expired = await gateway.push(TOPIC, notification(expires_at=NOW))

    assert long_token.reason == long_magic.reason == "not sent: the token or the push magic is too long"
    assert expired.reason == "not sent: expired"
    assert apns.pushes == []


async def test_tokens_and_magics_of_any_kind_arrive(gateway: APNsGateway, apns: ScriptedAPNs) -> None:
    for token, magic in ((bytes(100), 'é\u2028"\\'), (bytes(1000), "m" * 1000), (b"", "")):
        await gateway.push(TOPIC, notification(token=Secret(token), magic=Secret(magic)))

        assert apns.pushes[-1].token == token
        assert json.loads(apns.pushes[-1].body) == {"mdm": magic}


async def test_three_thousand_refusals_do_not_stall(gateway: APNsGateway, apns: ScriptedAPNs) -> None:
    apns.script = lambda push: push.refuse(410, "Unregistered", timestamp=1_700_000_000_000)

    async with asyncio.timeout(60):
        outcomes = await asyncio.gather(*(gateway.push(TOPIC, notification(number)) for number in range(3_000)))

    assert {(outcome.status, outcome.reason) for outcome in outcomes} == {(410, "Unregistered")}
    assert len(apns.connections) == 1


async def test_many_long_refusals_do_not_stall(gateway: APNsGateway, apns: ScriptedAPNs) -> None:
    apns.script = lambda push: push.refuse(400, "BadTopic", filler="x" * 10_000)

    async with asyncio.timeout(60):
        outcomes = await asyncio.gather(*(gateway.push(TOPIC, notification(number)) for number in range(500)))

    assert {outcome.reason for outcome in outcomes} == {"BadTopic"}
