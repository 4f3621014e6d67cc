"""The stand-in for APNs over the wire: what it answers, and how it goes wrong on demand."""

import asyncio
import ssl
from datetime import UTC, datetime
from typing import Any

import pytest
from h2.errors import ErrorCodes

from mdmserver.simulator.apns import APNsStandIn, open_stand_in
from mdmserver.simulator.apns_answers import Hangup, Reset, Silence, refusal
from mdmserver.simulator.apns_behaviour import Behaviour
from mdmserver.simulator.apns_credentials import APNsFiles
from tests.simulator.apns_sending import HEADERS, OTHER_TOKEN, TOKEN, TOPIC, sending_to

APNS_ID = "6e0a3b52-54d6-4b5a-9d3c-0a1b2c3d4e5f"


async def test_a_push_is_accepted_and_its_id_comes_back(apns: APNsStandIn) -> None:
    async with sending_to(apns) as sender:
        stream = sender.send(headers=[*HEADERS.items(), ("apns-id", APNS_ID)])
        await sender.until(lambda: stream in sender.ended)

    assert sender.headers[stream] == {":status": "200", "apns-id": APNS_ID}
    assert stream not in sender.bodies
    (push,) = apns.deliveries
    assert (push.topic, push.token, push.magic, push.apns_id) == (TOPIC, TOKEN, "MAGIC", APNS_ID)
    assert (push.priority, push.expiration) == (10, 4_000_000_000)


async def test_a_push_without_an_id_gets_one(apns: APNsStandIn) -> None:
    async with sending_to(apns) as sender:
        stream = sender.send()
        await sender.until(lambda: stream in sender.ended)

    assert sender.headers[stream]["apns-id"] == apns.deliveries[0].apns_id


async def test_what_is_wrong_is_answered_with_its_reason_and_an_id(apns: APNsStandIn) -> None:
    async with sending_to(apns) as sender:
        stream = sender.send("abc")
        await sender.until(lambda: stream in sender.ended)

    assert sender.answer(stream) == (400, "BadDeviceToken")
    assert len(sender.headers[stream]["apns-id"]) == 36
    assert apns.counts.refused == {"BadDeviceToken": 1}
    assert not apns.deliveries


async def test_too_long_a_payload_is_refused_however_long_it_is(apns: APNsStandIn) -> None:
    async with sending_to(apns) as sender:
        answers = [await sender.push(body=b"x" * length) for length in (4097, 60_000)]

        assert answers == [(413, "PayloadTooLarge")] * 2
        assert await sender.push() == (200, None)


async def test_a_thousand_pushes_at_once_are_all_answered(apns: APNsStandIn) -> None:
    async with sending_to(apns) as sender:
        streams = [sender.send(f"{number:064x}") for number in range(1000)]
        await sender.until(lambda: len(sender.ended) == 1000)

    assert {sender.answer(stream) for stream in streams} == {(200, None)}
    assert len(apns.counts.tokens) == 1000


async def test_a_dead_token_gets_410_with_the_time_in_milliseconds(apns: APNsStandIn) -> None:
    since = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    apns.behaviour.treat(TOKEN, refusal("Unregistered", timestamp=since))

    async with sending_to(apns) as sender:
        assert await sender.push() == (410, "Unregistered")
        assert await sender.push(OTHER_TOKEN) == (200, None)
        apns.behaviour.forgive(TOKEN)
        assert await sender.push() == (200, None)

    assert f'"timestamp":{int(since.timestamp())}000'.encode() in sender.bodies[1]


async def test_only_registered_tokens_are_known_where_that_is_enforced(apns: APNsStandIn) -> None:
    apns.behaviour.knows_only = {TOKEN: TOPIC, OTHER_TOKEN: "com.apple.mgmt.External.other"}

    async with sending_to(apns) as sender:
        answers = [await sender.push(token) for token in (TOKEN, OTHER_TOKEN, "0c" * 32)]

    assert answers == [(200, None), (400, "DeviceTokenNotForTopic"), (400, "BadDeviceToken")]


@pytest.mark.parametrize(
    ("reason", "status"),
    [("TooManyRequests", 429), ("InternalServerError", 500), ("Shutdown", 503), ("Forbidden", 403)],
)
async def test_the_next_pushes_can_be_told_anything(apns: APNsStandIn, reason: str, status: int) -> None:
    apns.behaviour.treat_next(refusal(reason), 2)

    async with sending_to(apns) as sender:
        answers = [await sender.push() for _ in range(3)]

    assert answers == [(status, reason), (status, reason), (200, None)]


async def test_a_stream_can_be_reset_and_the_others_go_on(apns: APNsStandIn) -> None:
    apns.behaviour.treat_next(Reset())

    async with sending_to(apns) as sender:
        stream = sender.send()
        assert await sender.push() == (200, None)

    assert sender.resets == {stream: ErrorCodes.INTERNAL_ERROR}


async def test_a_push_can_stay_without_an_answer(apns: APNsStandIn) -> None:
    apns.behaviour.treat_next(Silence())

    async with sending_to(apns) as sender:
        stream = sender.send()
        assert await sender.push() == (200, None)

    assert stream not in sender.ended
    assert apns.counts.silences == 1


async def test_a_graceful_goaway_answers_what_came_before_it_and_nothing_after(apns_files: APNsFiles) -> None:
    async with open_stand_in(apns_files, Behaviour(goaway_every=3)) as apns, sending_to(apns) as sender:
        for _ in range(5):
            sender.send()
        await sender.until_closed()

        assert sender.ended == {1, 3, 5}
        assert sender.goaway is not None
        assert (sender.goaway.last_stream_id, sender.goaway.error_code) == (5, ErrorCodes.NO_ERROR)
        assert sender.goaway.additional_data == b'{"reason":"Shutdown"}'
        assert apns.counts.accepted == 3


async def test_a_goaway_on_demand_waits_for_what_is_in_flight(apns_files: APNsFiles) -> None:
    async with open_stand_in(apns_files, Behaviour(delay_seconds=0.05)) as apns, sending_to(apns) as sender:
        stream = sender.send()
        await apns.until(lambda: apns.counts.requests == 1)
        apns.go_away()
        await sender.until_closed()

    assert sender.goaway is not None
    assert sender.answer(stream) == (200, None)


async def test_a_hangup_leaves_everything_in_flight_unanswered(apns: APNsStandIn) -> None:
    apns.behaviour.treat_next(Silence(), 2)
    apns.behaviour.treat_next(Hangup(reason="BadCertificate"))

    async with sending_to(apns) as sender:
        for _ in range(4):
            sender.send()
        await sender.until_closed()

    assert sender.ended == set()
    assert sender.goaway is not None
    assert sender.goaway.error_code == ErrorCodes.INTERNAL_ERROR
    assert sender.goaway.additional_data == b'{"reason":"BadCertificate"}'


async def test_an_outage_ends_connections_and_the_same_port_comes_back(apns: APNsStandIn) -> None:
    async with sending_to(apns) as sender:
        await apns.outage()
        await sender.until_closed()
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", apns.port)

    await apns.recover()

    async with sending_to(apns) as again:
        assert await again.push() == (200, None)


async def test_one_stream_at_a_time_is_announced_and_a_second_is_refused(apns_files: APNsFiles) -> None:
    async with open_stand_in(apns_files, Behaviour(max_streams=1)) as apns, sending_to(apns) as sender:
        assert sender.max_streams == 1
        assert await sender.push() == (200, None)  # by now our acknowledgement of the settings is there
        apns.behaviour.treat_next(Silence())
        sender.h2.remote_settings.max_concurrent_streams = 2  # a client that does not heed it
        sender.h2.remote_settings.acknowledge()
        sender.send()
        refused = sender.send()
        await sender.until(lambda: refused in sender.resets)

    assert sender.resets[refused] == ErrorCodes.REFUSED_STREAM


async def test_the_limit_of_streams_can_change_while_connections_are_open(apns: APNsStandIn) -> None:
    async with sending_to(apns) as sender:
        apns.limit_streams(1)
        await sender.until(lambda: sender.max_streams == 1)
        assert await sender.push() == (200, None)

        apns.limit_streams(500)
        await sender.until(lambda: sender.max_streams == 500)

    async with sending_to(apns) as another:
        assert another.max_streams == 500


async def test_without_a_client_certificate_there_is_no_connection(apns: APNsStandIn) -> None:
    context = ssl.create_default_context(cafile=apns.files.ca)
    context.set_alpn_protocols(["h2"])

    assert await is_refused(apns, context)
    assert apns.counts.connections == 0


async def test_client_certificates_can_be_refused_for_a_while(apns: APNsStandIn) -> None:
    apns.behaviour.refuses_certificates = True
    assert await is_refused(apns, apns.files.client_context())

    apns.behaviour.refuses_certificates = False
    assert not await is_refused(apns, apns.files.client_context())


async def test_a_client_that_does_not_speak_http_2_is_cut_off(apns: APNsStandIn) -> None:
    context = apns.files.client_context()
    context.set_alpn_protocols(["http/1.1"])

    assert await is_refused(apns, context)


async def is_refused(apns: APNsStandIn, context: ssl.SSLContext) -> bool:
    """Whether the connection ends before the first frame: in TLS 1.3 the client has no better way to know."""
    writer: Any = None
    try:
        async with asyncio.timeout(20):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", apns.port, ssl=context, server_hostname="localhost"
            )
            return not await reader.read(9)
    except OSError:
        return True
    finally:
        if writer is not None:
            writer.transport.abort()
