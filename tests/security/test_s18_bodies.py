"""S18, at the edge: caps, the budget that bodies share, and results that cannot be read but are answered."""

import asyncio
import time
import zlib
from collections.abc import AsyncIterator
from io import BytesIO

import pytest

from certs import format_certificate_header
from mdmserver.config import KIB, Identity, Limits
from mdmserver.protocol import Status
from tests.web.device.serving import (
    AUTHENTICATE,
    CHECKIN_TYPE,
    DEVICE_ID,
    IDLE,
    PKI,
    Connection,
    RecordedServices,
    Serving,
    acknowledged,
    serving,
    signed_request,
)

PROXIED = Identity(http=("header",), trusted_proxies=("127.0.0.1",))


def deep(levels: int) -> bytes:
    nested = b"<array>" * levels + b"</array>" * levels
    return acknowledged().replace(b"</dict>\n</plist>", b"<key>Deep</key>" + nested + b"</dict></plist>")


@pytest.mark.parametrize(
    "body",
    [
        deep(100),
        acknowledged().replace(b"</dict>", b"<key>Broken</key><string>&undefined;</string></dict>"),
        acknowledged().replace(b"</dict>", b"<key>Twice</key><true/><key>Twice</key><true/></dict>"),
        acknowledged().replace(b"</dict>\n</plist>", b"<key>cut"),
        acknowledged(Padding=b"x" * 100 * KIB).replace(b"</dict>\n</plist>", b"<key>cut"),
    ],
    ids=["too deep", "entity", "duplicate key", "cut short", "large and cut short"],
)
async def test_a_result_that_cannot_be_read_is_kept_and_answered_with_the_next_command(pki: PKI, body: bytes) -> None:
    async with serving(pki, services=RecordedServices(command=b"<next/>")) as server:
        assert await server.put(body) == (200, b"<next/>")

    [(report, _, result)] = server.services.reports
    assert (report.enrollment_id, report.command_uuid, report.status) == (DEVICE_ID, "CMD1", Status.ACKNOWLEDGED)
    assert result is not None
    assert result.is_compressed
    assert zlib.decompress(result.body) == body
    # Of a large body only the root was read, so nobody knows yet.
    assert result.is_readable is (len(body) > 64 * KIB)


@pytest.mark.parametrize("body", [b"", b"garbage", b"bplist00\xd0", b"<plist><dict/></plist>", b"\0" * 100])
async def test_a_body_without_status_and_id_is_refused(pki: PKI, body: bytes) -> None:
    async with serving(pki) as server:
        assert await server.put(body) == (400, b"")
        assert await server.put(body, content_type=CHECKIN_TYPE) == (400, b"")
    assert not server.services.reports


def oversized(uuid: str = "BIG", *, padding: int = 4000) -> bytes:
    """A result that begins with its keys."""
    return acknowledged(uuid).replace(b"</dict>", b"<key>P</key><data>" + b"A" * padding + b"</data></dict>")


async def test_a_result_over_the_cap_is_counted_for_a_device_known_by_its_connection(pki: PKI) -> None:
    proof = {"X-Client-Certificate": format_certificate_header(pki.device.der, style="rfc9440")}

    async with serving(pki, identity=PROXIED, limits=Limits(result_bytes=2000)) as server:
        assert await server.put(oversized(), headers=proof) == (413, b"")

    assert not server.services.reports
    [(enrollment_id, uuid, presented)] = server.services.oversized
    assert (enrollment_id, uuid, presented.certificate) == (DEVICE_ID, "BIG", pki.device.der)


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_result_over_the_cap_is_counted_when_the_signature_over_all_of_it_holds(
    pki: PKI, is_chunked: bool
) -> None:
    body = oversized(padding=600_000)
    headers = pki.device.headers(body)

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 50_000):
            yield body[at : at + 50_000]

    async with serving(pki, limits=Limits(result_bytes=200_000)) as server:
        data = pieces() if is_chunked else BytesIO(body)
        async with server.session.put(server.url(), data=data, headers=headers) as response:
            assert response.status == 413

    [(_, uuid, presented)] = server.services.oversized
    assert (uuid, presented.certificate, presented.by_signature) == ("BIG", pki.device.der, True)


async def test_a_result_over_the_cap_is_not_counted_when_the_signature_does_not_hold(pki: PKI) -> None:
    forged = {"Mdm-Signature": pki.device.signature(oversized("OTHER"))}

    async with serving(pki, limits=Limits(result_bytes=2000)) as server:
        assert await server.put(oversized(), headers=forged) == (400, b"")
        assert await server.put(oversized(padding=100_000)) == (413, b"")  # beyond four times the cap
    assert not server.services.oversized


async def test_an_oversized_checkin_is_refused_and_not_counted(pki: PKI) -> None:
    proof = {"X-Client-Certificate": format_certificate_header(pki.device.der, style="rfc9440")}
    limits = Limits(checkin_bytes=100, checkin_data_bytes=200)

    async with serving(pki, identity=PROXIED, limits=limits) as server:
        assert len(AUTHENTICATE) > 200
        assert await server.put(AUTHENTICATE, content_type=CHECKIN_TYPE, headers=proof) == (413, b"")
    assert not server.services.oversized


async def test_chunks_are_cut_off_at_the_cap(pki: PKI) -> None:
    async def endless() -> object:
        while True:
            yield b"x" * 1000

    async with serving(pki, limits=Limits(result_bytes=5000)) as server:
        headers = pki.device.headers(IDLE)
        async with server.session.put(server.url(), data=endless(), headers=headers) as response:
            assert (response.status, await response.read()) == (413, b"")


async def begin(server: Serving, body: bytes) -> Connection:
    """Send a request but the last ten bytes of its body."""
    connection = await server.connect()
    await connection.send(signed_request(server.pki.device, body)[:-10])
    return connection


async def test_bodies_beyond_the_shared_budget_are_told_to_come_later(pki: PKI) -> None:
    body = acknowledged(Padding=b"x" * 6000)

    async with serving(pki, limits=Limits(bodies_in_flight_bytes=len(body) + 100)) as server:
        first = await begin(server, body)
        async with asyncio.timeout(10):
            while (answer := await server.put(body))[0] != 503:
                pass
        await first.send(body[-10:])
        status = await first.status()
        afterwards = await server.put(body)

    assert answer == (503, b"")
    assert status == b"200"
    assert afterwards == (200, b"")


async def test_bodies_that_never_end_give_their_share_back(pki: PKI) -> None:
    body = acknowledged(Padding=b"x" * 6000)
    limits = Limits(bodies_in_flight_bytes=len(body) + 100, body_seconds=0.05, body_bytes_per_second=1_000_000)

    async with serving(pki, limits=limits) as server:
        await (await begin(server, body)).cut()
        async with asyncio.timeout(10):
            while (late := await (await begin(server, body)).status()) == b"503":
                pass
            while (answer := await server.put(body))[0] == 503:
                pass

    assert late == b"408"
    assert answer == (200, b"")


async def test_the_largest_result_does_not_hold_up_the_loop(pki: PKI) -> None:
    entry = b"<dict><key>Identifier</key><string>com.example.app</string></dict>"
    body = acknowledged().replace(
        b"</dict>\n</plist>", b"<key>List</key><array>" + entry * 200_000 + b"</array></dict></plist>"
    )
    headers = pki.device.headers(body)
    delays = []

    async def watch() -> None:
        while True:
            # Processor time of the loop's own thread: how long others kept it from a core is not its doing.
            at = time.thread_time()
            await asyncio.sleep(0)
            delays.append(time.thread_time() - at)

    async with serving(pki) as server:
        watcher = asyncio.create_task(watch())
        async with server.session.put(server.url(), data=BytesIO(body), headers=headers) as response:
            assert response.status == 200
        watcher.cancel()

    # Sending and receiving 13 MB share the loop here; reading the root takes 0.7 s.
    assert max(delays) < 0.25
