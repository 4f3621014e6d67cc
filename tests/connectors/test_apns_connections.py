"""What connections to APNs live through: how they end, and what comes after."""

import asyncio

import pytest
from h2.errors import ErrorCodes

from mdmserver.connectors.apns import APNsGateway
from tests.connectors.apns_server import ScriptedAPNs, accept, stay_silent
from tests.connectors.conftest import TOPIC, MakeGateway, notification, pushes, soon


async def test_a_graceful_goaway_lets_what_it_names_finish(gateway: APNsGateway, apns: ScriptedAPNs) -> None:
    apns.script = stay_silent
    storm = pushes(gateway, 10)
    await apns.until(lambda: len(apns.pushes) == 10)
    apns.script = accept

    apns.connections[0].go_away(last_stream=apns.pushes[5].stream)
    refused = await soon(asyncio.gather(*storm[6:]))
    later = await soon(gateway.push(TOPIC, notification(99)))
    for push in apns.pushes[:6]:
        push.accept()
    finished = await soon(asyncio.gather(*storm[:6]))

    assert {outcome.reason for outcome in refused} == {"not sent (APNs ends the connection: NO_ERROR)"}
    assert later.is_accepted
    assert all(outcome.is_accepted for outcome in finished)
    assert len(apns.connections) == 2
    await apns.until(lambda: apns.lost == 1)


async def test_an_announced_goaway_refuses_nothing_that_is_out(gateway: APNsGateway, apns: ScriptedAPNs) -> None:
    apns.script = stay_silent
    storm = pushes(gateway, 5)
    await apns.until(lambda: len(apns.pushes) == 5)

    apns.connections[0].go_away(last_stream=2**31 - 1)
    for push in apns.pushes[:]:
        push.accept()

    assert all(outcome.is_accepted for outcome in await soon(asyncio.gather(*storm)))


async def test_a_goaway_that_is_not_graceful_gives_its_reason(gateway: APNsGateway, apns: ScriptedAPNs) -> None:
    await soon(gateway.push(TOPIC, notification()))
    apns.script = stay_silent
    storm = pushes(gateway, 10)
    await apns.until(lambda: len(apns.pushes) == 11)

    connection = apns.connections[0]
    connection.go_away(apns.pushes[6].stream, ErrorCodes.ENHANCE_YOUR_CALM, "BadDeviceToken")
    connection.transport.close()
    outcomes = await soon(asyncio.gather(*storm))
    apns.script = accept
    later = await soon(gateway.push(TOPIC, notification(99)))

    assert {outcome.status for outcome in outcomes} == {None}
    assert {outcome.reason for outcome in outcomes[:6]} == {"connection ended by APNs (BadDeviceToken)"}
    assert {outcome.reason for outcome in outcomes[6:]} == {"not sent (APNs ends the connection: BadDeviceToken)"}
    assert later.is_accepted


async def test_goaway_storms_reach_nobody_as_exceptions(gateway: APNsGateway, apns: ScriptedAPNs) -> None:
    def go_away_at_times(push: object) -> None:
        newest = apns.pushes[-1]
        if len(apns.pushes) % 50 == 0:
            newest.connection.go_away(newest.stream)
        newest.accept()

    apns.script = go_away_at_times
    waiting = set(range(1, 501))
    async with asyncio.timeout(30):
        while waiting:
            numbers = sorted(waiting)
            outcomes = await asyncio.gather(*(gateway.push(TOPIC, notification(number)) for number in numbers))
            assert {outcome.status for outcome in outcomes} <= {200, None}
            waiting -= {number for number, outcome in zip(numbers, outcomes, strict=True) if outcome.is_accepted}

    assert len(apns.connections) >= 5


async def test_a_lost_connection_is_an_outcome_and_the_next_push_connects_again(
    gateway: APNsGateway, apns: ScriptedAPNs
) -> None:
    await soon(gateway.push(TOPIC, notification()))
    apns.script = stay_silent
    storm = pushes(gateway, 10)
    await apns.until(lambda: len(apns.pushes) == 11)

    apns.connections[0].transport.abort()
    outcomes = await soon(asyncio.gather(*storm))
    apns.script = accept
    later = await soon(gateway.push(TOPIC, notification(99)))

    assert {outcome.status for outcome in outcomes} == {None}
    assert all((outcome.reason or "").startswith("connection lost") for outcome in outcomes)
    assert later.is_accepted


async def test_while_apns_is_away_pushes_fail_fast_and_connects_are_few(
    make_gateway: MakeGateway, apns: ScriptedAPNs
) -> None:
    gateway = make_gateway(reconnect_seconds=30)
    await apns.stop()
    loop = asyncio.get_running_loop()
    began = loop.time()

    outcomes = [await soon(gateway.push(TOPIC, notification(number))) for number in range(200)]

    await apns.start()
    still_waiting = await soon(gateway.push(TOPIC, notification()))
    assert loop.time() - began < 5
    assert {outcome.status for outcome in outcomes} == {None}
    assert {outcome.reason for outcome in outcomes} == {still_waiting.reason}
    assert (still_waiting.reason or "").startswith("not sent: cannot connect: ")
    assert apns.connections == []


async def test_after_apns_was_away_pushes_go_through_again(gateway: APNsGateway, apns: ScriptedAPNs) -> None:
    await soon(gateway.push(TOPIC, notification()))
    await apns.stop()
    away = await soon(gateway.push(TOPIC, notification()))
    await apns.start()

    await soon(_accepted(gateway, 2))

    assert away.status is None
    assert apns.pushes[-1].token[-1] == 2


async def test_connections_that_answer_nothing_are_opened_ever_more_slowly(
    make_gateway: MakeGateway, apns: ScriptedAPNs
) -> None:
    gateway = make_gateway(reconnect_seconds=30)
    apns.script = lambda push: push.connection.transport.abort()

    first = await soon(gateway.push(TOPIC, notification()))
    others = await soon(asyncio.gather(*pushes(gateway, 50)))

    assert (first.reason or "").startswith("connection lost")
    assert {outcome.reason for outcome in others} == {f"not sent: {first.reason}"}
    assert len(apns.connections) == 1


async def test_an_idle_connection_is_asked_for_a_sign_of_life_and_kept(
    make_gateway: MakeGateway, apns: ScriptedAPNs
) -> None:
    gateway = make_gateway(ping_after_seconds=0.05)
    await soon(gateway.push(TOPIC, notification()))
    (connection,) = apns.connections
    await apns.until(lambda: connection.pings >= 3)

    assert (await soon(gateway.push(TOPIC, notification()))).is_accepted
    assert len(apns.connections) == 1


async def test_a_connection_without_a_sign_of_life_is_left(make_gateway: MakeGateway, apns: ScriptedAPNs) -> None:
    gateway = make_gateway(answer_seconds=0.2, ping_seconds=0.2)
    await soon(gateway.push(TOPIC, notification()))
    apns.connections[0].transport.pause_reading()

    silent = await soon(gateway.push(TOPIC, notification()))
    await soon(_accepted(gateway))

    assert silent.reason == "timed out"
    assert len(apns.connections) == 2


async def _accepted(gateway: APNsGateway, number: int = 1) -> None:
    while not (await gateway.push(TOPIC, notification(number))).is_accepted:
        await _turn()


async def _turn() -> None:
    """One turn of the loop: a push that fails at once gives way to nobody."""
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("greeting", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(100), "the server broke HTTP/2"),
        (b"\xff\xff\xff\x04\x00\x00\x00\x00\x00" + bytes(1000), "a frame is too long"),
        (b"\x00\x00\x08\x06\x00\x00\x00\x00\x00" + bytes(8), "the first frame is no SETTINGS"),
        (bytes.fromhex("000000040000000000") + b"\x00\x00\x00\x05\x04\x00\x00\x00\x01", "a push promise"),
    ],
)
async def test_a_server_that_speaks_something_else_is_left(
    gateway: APNsGateway, apns: ScriptedAPNs, greeting: bytes, words: str
) -> None:
    apns.greeting = greeting

    outcome = await soon(gateway.push(TOPIC, notification()))

    assert outcome.status is None
    assert words in (outcome.reason or "")


async def test_a_server_that_says_nothing_is_left_in_time(make_gateway: MakeGateway, apns: ScriptedAPNs) -> None:
    gateway = make_gateway(connect_seconds=0.3)
    apns.greeting = b""

    outcome = await soon(gateway.push(TOPIC, notification()))

    assert (outcome.status, outcome.reason) == (None, "not sent: cannot connect: timed out")


async def test_closing_ends_everything_under_load(gateway: APNsGateway, apns: ScriptedAPNs) -> None:
    apns.max_streams = 100
    apns.script = stay_silent
    storm = pushes(gateway, 600)
    await apns.until(lambda: len(apns.pushes) >= 100)

    await soon(gateway.close())
    outcomes = await soon(asyncio.gather(*storm))
    afterwards = await soon(gateway.push(TOPIC, notification()))

    assert {outcome.status for outcome in outcomes} == {None}
    assert {outcome.reason for outcome in outcomes} == {"connection closed", "not sent: closed"}
    assert afterwards.reason == "not sent: closed"
    await apns.until(lambda: apns.lost == len(apns.connections))
    assert apns.connections[0].went_away


async def test_closing_while_connecting_ends_at_once(make_gateway: MakeGateway, apns: ScriptedAPNs) -> None:
    apns.greeting = b""
    gateway = make_gateway()
    (push,) = pushes(gateway, 1)
    await apns.until(lambda: len(apns.connections) == 1)

    await soon(gateway.close())

    assert (await soon(push)).reason == "not sent: closed"
    await apns.until(lambda: apns.lost == 1)
