"""S20, at the edge: whatever a client sends, the next one is served, and no exception of an unknown type is logged."""

import asyncio
import logging
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.web.device.serving import CHECKIN_TYPE, IDLE, PKI, acknowledged, head, serving, signed_request


async def test_random_damage_to_requests_never_fails_the_server(pki: PKI, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    chance = random.Random(20)
    good = signed_request(pki.device, acknowledged(), "Connection: close")

    async with serving(pki) as server:
        for _ in range(200):
            damaged = bytearray(good)
            for _ in range(chance.randint(1, 8)):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            connection = await server.connect()
            await connection.send(bytes(damaged[: chance.randint(1, len(damaged))]), is_last=True)
            answer = await connection.rest()
            assert not answer or answer.split(b" ", 2)[1] in (b"200", b"400", b"403", b"404", b"405", b"413", b"415")
        assert await server.put(IDLE) == (200, b"")

    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bodies=st.lists(st.binary(max_size=300), min_size=1, max_size=20))
def test_signed_bytes_of_any_kind_are_answered(pki: PKI, bodies: list[bytes]) -> None:
    async def run() -> None:
        async with serving(pki) as server:
            for body in bodies:
                for content_type in ("", CHECKIN_TYPE):
                    assert (await server.put(body, content_type=content_type))[0] == 400

    asyncio.run(run())


@pytest.mark.parametrize(
    ("framing", "is_last"),
    [
        (b"zz\r\nabc\r\n0\r\n\r\n", False),
        (b"5\r\nabcde", True),
        (b"-1\r\n\r\n", False),
        (b"ffffffffffffffffff\r\n", False),
        (b"3\r\nabcXX0\r\n\r\n", False),
    ],
)
async def test_broken_chunks_end_the_request_at_once(pki: PKI, framing: bytes, is_last: bool) -> None:
    signature = f"Mdm-Signature: {pki.device.signature(IDLE)}"
    request = head(signature, "Transfer-Encoding: chunked", "Expect: 100-continue")

    async with serving(pki) as server:
        connection = await server.connect()
        await connection.send(request)
        assert await connection.status() == b"100"  # so that the body is awaited when its framing breaks
        await connection.send(framing, is_last=is_last)
        answer = await connection.rest()
        assert not answer or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))
        assert await server.put(IDLE) == (200, b"")
    assert len(server.services.reports) == 1


async def test_a_client_that_goes_away_in_the_middle_is_no_error(pki: PKI, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async with serving(pki) as server:
        for _ in range(5):
            connection = await server.connect()
            await connection.send(signed_request(pki.device)[:-20])
            await connection.cut()
        assert await server.put(IDLE) == (200, b"")

    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
