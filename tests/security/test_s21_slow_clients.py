"""S21: time limits for heads and bodies, a cap per address on what has proved nothing, a cap on all connections."""

import asyncio
import time

import pytest

from mdmserver.config import Identity, Limits
from mdmserver.web.admission import Admission
from mdmserver.web.peers import TrustedProxies
from tests.web.device.serving import IDLE, PKI, Serving, acknowledged, serving, signed_request

SOON = 0.2


@pytest.mark.parametrize("sent", [b"", b"PUT /mdm HTTP/1.1\r\nHost: x\r\nX-Slow: "])
async def test_a_head_that_does_not_come_in_time_ends_the_connection(pki: PKI, sent: bytes) -> None:
    async with serving(pki, limits=Limits(header_seconds=SOON)) as server:
        connection = await server.connect()
        await connection.send(sent)
        began = time.monotonic()

        assert await connection.status() == b""
        assert time.monotonic() - began < 3


async def test_dripping_a_head_does_not_gain_time(pki: PKI) -> None:
    async with serving(pki, limits=Limits(header_seconds=SOON)) as server:
        connection = await server.connect()
        dripping = asyncio.create_task(connection.drip(b"PUT /mdm HTTP/1.1\r\n" + b"X" * 500, 0.01))
        began = time.monotonic()

        assert await connection.status() == b""
        assert time.monotonic() - began < 3
        dripping.cancel()


async def test_the_next_head_on_a_connection_has_its_own_time(pki: PKI) -> None:
    async with serving(pki, limits=Limits(header_seconds=SOON, keep_alive_seconds=30)) as server:
        connection = await server.connect()
        await connection.send(signed_request(pki.device))
        assert await connection.status() == b"200"
        await asyncio.sleep(2 * SOON)  # idle for longer than a head may take: this is keep-alive, not a slow head
        await connection.send(signed_request(pki.device))
        assert await connection.status() == b"200"
        await connection.send(b"PUT /mdm")

        assert await connection.status() == b""


async def test_an_idle_connection_is_closed_after_the_keep_alive_time(pki: PKI) -> None:
    async with serving(pki, limits=Limits(keep_alive_seconds=SOON)) as server:
        connection = await server.connect()
        await connection.send(signed_request(pki.device))
        assert await connection.status() == b"200"

        assert await connection.status() == b""


async def test_a_body_that_stops_is_answered_408(pki: PKI) -> None:
    async with serving(pki, limits=Limits(body_seconds=SOON, body_bytes_per_second=1000)) as server:
        connection = await server.connect()
        body = acknowledged()
        await connection.send(signed_request(pki.device, body)[:-50])

        assert await connection.status() == b"408"
    assert not server.services.reports


async def test_dripping_a_body_below_the_rate_does_not_gain_time(pki: PKI) -> None:
    async with serving(pki, limits=Limits(body_seconds=SOON, body_bytes_per_second=1000)) as server:
        connection = await server.connect()
        request = signed_request(pki.device)
        await connection.send(request[: -len(IDLE)])
        dripping = asyncio.create_task(connection.drip(IDLE, 0.02))

        assert await connection.status() == b"408"
        dripping.cancel()


async def test_a_body_above_the_rate_may_take_longer_than_the_limit(pki: PKI) -> None:
    async with serving(pki, limits=Limits(body_seconds=SOON, body_bytes_per_second=100)) as server:
        connection = await server.connect()
        request = signed_request(pki.device)
        await connection.send(request[:-100])
        for at in range(-100, 0, 20):
            await asyncio.sleep(0.1)
            await connection.send(request[at : at + 20 or None])

        assert await connection.status() == b"200"


async def test_an_address_may_hold_only_so_many_connections_that_proved_nothing(pki: PKI) -> None:
    async with serving(pki, limits=Limits(unauthenticated_per_address=3)) as server:
        silent = [await server.connect() for _ in range(3)]
        await silent[-1].send(b"PUT")
        one_too_many = await server.connect()
        assert await one_too_many.status() == b""
        await silent[0].cut()
        async with asyncio.timeout(5):
            while not await answers(server, pki):
                pass


async def answers(server: Serving, pki: PKI) -> bool:
    connection = await server.connect()
    try:
        await connection.send(signed_request(pki.device, IDLE, "Connection: close"))
        return await connection.status() == b"200"
    except ConnectionError:
        return False


async def test_connections_that_proved_an_identity_do_not_count(pki: PKI) -> None:
    async with serving(pki, limits=Limits(unauthenticated_per_address=2)) as server:
        office = []
        for _ in range(10):
            connection = await server.connect()
            await connection.send(signed_request(pki.device))
            assert await connection.status() == b"200"
            office.append(connection)

    assert len(server.services.reports) == 10


async def test_refused_requests_go_on_counting(pki: PKI) -> None:
    async with serving(pki, limits=Limits(unauthenticated_per_address=2)) as server:
        strangers = []
        for _ in range(2):
            connection = await server.connect()
            await connection.send(signed_request(pki.stranger))
            assert await connection.status() == b"403"
            strangers.append(connection)

        assert await (await server.connect()).status() == b""


async def test_a_listed_proxy_is_not_counted(pki: PKI) -> None:
    proxied = Identity(trusted_proxies=("127.0.0.1",))

    async with serving(pki, limits=Limits(unauthenticated_per_address=2), identity=proxied) as server:
        connections = [await server.connect() for _ in range(5)]
        for connection in connections:
            await connection.send(signed_request(pki.device))
            assert await connection.status() == b"200"


async def test_there_is_a_cap_on_all_connections(pki: PKI) -> None:
    async with serving(pki, limits=Limits(connections=2)) as server:
        held = [await server.connect() for _ in range(2)]
        for connection in held:
            await connection.send(signed_request(pki.device))
            assert await connection.status() == b"200"

        assert await (await server.connect()).status() == b""


async def test_requests_in_flight_are_finished_when_the_server_stops(pki: PKI) -> None:
    async with serving(pki) as server:
        server.services.hold = asyncio.Event()
        connection = await server.connect()
        await connection.send(signed_request(pki.device))
        await server.services.entered.wait()
        asyncio.get_running_loop().call_later(SOON, server.services.hold.set)

    assert await connection.status() == b"200"


def test_an_ipv6_network_is_one_address() -> None:
    admission = Admission(connections=10, unproven_per_address=1, proxies=TrustedProxies([]))

    assert admission.enter(("2001:db8::1", 1, 0, 0)) is not None
    assert admission.enter(("2001:db8::2", 1, 0, 0)) is None
    assert admission.enter(("2001:db8:0:1::1", 1, 0, 0)) is not None


def test_seats_come_back() -> None:
    admission = Admission(connections=2, unproven_per_address=1, proxies=TrustedProxies([]))

    for _ in range(5):
        proven = admission.enter(("192.0.2.1", 1))
        assert proven is not None
        admission.prove(proven)
        other = admission.enter(("192.0.2.1", 2))
        assert other is not None
        assert admission.enter(("192.0.2.2", 3)) is None
        admission.leave(proven)
        admission.leave(other)
