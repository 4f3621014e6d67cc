"""Streams to APNs: as many as are allowed, each ending for itself, and none leaked."""

import asyncio

from h2.errors import ErrorCodes

from mdmserver.connectors.apns import APNsGateway
from tests.connectors.apns_server import Push, ScriptedAPNs, accept, stay_silent
from tests.connectors.conftest import TOPIC, MakeGateway, notification, pushes, soon


async def test_one_connection_carries_many_pushes(gateway: APNsGateway, apns: ScriptedAPNs) -> None:
    await soon(asyncio.gather(*pushes(gateway, 300)))
    await soon(asyncio.gather(*pushes(gateway, 300)))

    assert len(apns.connections) == 1
    assert len({push.token for push in apns.pushes}) == 300


async def test_a_stream_that_apns_resets_is_an_outcome_and_frees_its_place(
    gateway: APNsGateway, apns: ScriptedAPNs
) -> None:
    apns.max_streams = 1
    apns.script = lambda push: push.reset(ErrorCodes.REFUSED_STREAM)
    refused = [await soon(gateway.push(TOPIC, notification(number))) for number in range(20)]
    apns.script = accept
    accepted = await soon(gateway.push(TOPIC, notification()))

    assert {(outcome.status, outcome.reason) for outcome in refused} == {(None, "stream reset (REFUSED_STREAM)")}
    assert accepted.is_accepted
    assert len(apns.connections) == 1


async def test_a_push_that_is_not_answered_times_out_and_frees_its_place(
    make_gateway: MakeGateway, apns: ScriptedAPNs
) -> None:
    gateway = make_gateway(answer_seconds=0.2)
    apns.max_streams = 1
    apns.script = stay_silent
    silent = await soon(gateway.push(TOPIC, notification(1)))
    apns.script = accept
    answered = await soon(gateway.push(TOPIC, notification(2)))

    assert (silent.status, silent.reason) == (None, "timed out")
    assert answered.is_accepted
    assert len(apns.connections) == 1
    assert apns.connections[0].resets == 1


async def test_an_answer_after_the_time_out_harms_nobody(make_gateway: MakeGateway, apns: ScriptedAPNs) -> None:
    gateway = make_gateway(answer_seconds=0.2)
    apns.script = stay_silent
    await soon(gateway.push(TOPIC, notification(1)))
    late = apns.pushes[0]
    # By hand: h2 would not send on a stream that was reset.
    late.connection.transport.write(b"\x00\x00\x01\x01\x05" + late.stream.to_bytes(4) + b"\x88")
    apns.script = accept

    outcomes = await soon(asyncio.gather(*pushes(gateway, 20)))

    assert all(outcome.is_accepted for outcome in outcomes)
    assert len(apns.connections) == 1


async def test_a_push_that_finds_no_stream_in_time_says_so(make_gateway: MakeGateway, apns: ScriptedAPNs) -> None:
    gateway = make_gateway(answer_seconds=0.2)
    apns.max_streams = 0

    outcome = await soon(gateway.push(TOPIC, notification()))

    assert (outcome.status, outcome.reason) == (None, "not sent: no stream was free in time")


async def test_a_cancelled_push_harms_no_other_and_leaks_no_place(gateway: APNsGateway, apns: ScriptedAPNs) -> None:
    apns.max_streams = 50
    apns.script = stay_silent
    storm = pushes(gateway, 400)
    await apns.until(lambda: len(apns.pushes) >= 50)

    # Half are cancelled, among them some that were sent and some that wait; the others are answered at last.
    for task in storm[::2]:
        task.cancel()
    apns.script = accept
    for push in apns.pushes[:]:
        push.accept()
    kept = await soon(asyncio.gather(*storm[1::2]))

    assert all(outcome.is_accepted for outcome in kept)
    assert apns.faults == []
    assert all(outcome.is_accepted for outcome in await soon(asyncio.gather(*pushes(gateway, 300, 1000))))
    assert max(connection.peak for connection in apns.connections) <= 50


async def test_a_push_cancelled_while_connecting_harms_no_other(gateway: APNsGateway, apns: ScriptedAPNs) -> None:
    first, second = pushes(gateway, 2)
    await asyncio.sleep(0)
    first.cancel()

    assert (await soon(second)).is_accepted
    assert [push.token[-1] for push in apns.pushes] == [2]


async def test_never_more_than_the_bound_are_in_flight(make_gateway: MakeGateway, apns: ScriptedAPNs) -> None:
    gateway = make_gateway(concurrency=25)
    apns.script = _accept_a_turn_later

    outcomes = await soon(asyncio.gather(*pushes(gateway, 500)))

    assert all(outcome.is_accepted for outcome in outcomes)
    assert 1 < sum(connection.peak for connection in apns.connections) <= 25


def _accept_a_turn_later(push: Push) -> None:
    asyncio.get_running_loop().call_soon(push.accept)


async def test_the_stream_limit_is_obeyed_down_and_up(make_gateway: MakeGateway, apns: ScriptedAPNs) -> None:
    gateway = make_gateway(reconnect_seconds=60)
    apns.max_streams = 1
    apns.script = stay_silent
    storm = pushes(gateway, 200)

    await apns.until(lambda: len(apns.pushes) == 1)
    (connection,) = apns.connections
    apns.pushes[0].accept()
    await apns.until(lambda: len(apns.pushes) == 2)
    connection.allow(100)
    await apns.until(lambda: len(apns.pushes) == 101)
    connection.allow(3)
    for push in apns.pushes[1:]:
        push.accept()
    await apns.until(lambda: len(apns.pushes) == 104)
    connection.allow(1000)
    await apns.until(lambda: len(apns.pushes) == 200)
    for push in apns.pushes:
        push.accept()

    assert all(outcome.is_accepted for outcome in await soon(asyncio.gather(*storm)))
    assert connection.peak == 100
    assert len(apns.connections) == 1


async def test_a_limit_of_one_stream_is_met_with_a_few_connections(gateway: APNsGateway, apns: ScriptedAPNs) -> None:
    apns.max_streams = 1

    outcomes = await soon(asyncio.gather(*pushes(gateway, 300)))

    assert all(outcome.is_accepted for outcome in outcomes)
    assert len(apns.connections) <= 4
    assert {connection.peak for connection in apns.connections} == {1}


async def test_all_streams_taken_opens_four_connections_and_no_more(gateway: APNsGateway, apns: ScriptedAPNs) -> None:
    apns.max_streams = 2
    apns.script = stay_silent

    storm = pushes(gateway, 30)
    await apns.until(lambda: len(apns.pushes) == 8)
    apns.script = accept
    for push in apns.pushes[:]:
        push.accept()

    assert all(outcome.is_accepted for outcome in await soon(asyncio.gather(*storm)))
    assert len(apns.connections) == 4


async def test_a_server_without_a_header_table_is_told_so(gateway: APNsGateway, apns: ScriptedAPNs) -> None:
    apns.header_table = 0

    outcomes = await soon(asyncio.gather(*pushes(gateway, 20)))

    assert all(outcome.is_accepted for outcome in outcomes)
