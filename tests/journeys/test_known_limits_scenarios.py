"""What such servers have got wrong and this one must not (compatibility.md section 7): sizes, times, shutdown, logs."""

import asyncio
import logging
import sqlite3
from base64 import b64encode
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from mdmserver.config import Limits
from mdmserver.protocol import CommandUUID, SetBootstrapToken, Status, encode_checkin, encode_report
from mdmserver.secret import Secret
from tests.durability.states import ask
from tests.journeys.devices import CHECKIN, COMMAND
from tests.journeys.fixtures import World
from tests.journeys.servers import running_server

SMALL = Limits(
    checkin_bytes=4096, result_bytes=65536, header_seconds=0.2, body_seconds=0.3, body_bytes_per_second=10**6
)
_HEAD = b"PUT /mdm HTTP/1.1\r\nHost: x\r\n"


async def test_a_body_over_the_limit_is_refused_and_the_server_goes_on(tmp_path: Path) -> None:
    async with running_server(tmp_path, limits=SMALL) as server, aiohttp.ClientSession() as session:
        world = World(server, session)
        device = await world.enrolled()
        uuid = await world.api.enqueue(device.reference)
        await device.idle()

        refused = await device.acknowledge(uuid, Filling="x" * 70_000)
        taken = await device.acknowledge(uuid, Filling="x" * 50_000)

    assert (refused.status, refused.body) == (413, b"")
    assert taken.status == 200


@pytest.mark.parametrize(
    "start",
    [b"", b"PUT /mdm HT", _HEAD, _HEAD + b"Mdm-Signature: YQ==\r\nContent-Length: 100\r\n\r\n<pl"],
    ids=["nothing", "half a line", "half a head", "half a body"],
)
async def test_a_client_that_stops_talking_is_not_waited_for(tmp_path: Path, start: bytes) -> None:
    async with running_server(tmp_path, limits=SMALL) as server, aiohttp.ClientSession() as session:
        device = await World(server, session).enrolled()
        reader, writer = await connected(server.url)
        writer.write(start)

        async with asyncio.timeout(10):
            await reader.read()

        assert (await device.idle()).status == 200
        writer.close()


async def test_a_request_in_flight_is_finished_before_the_server_ends(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as session:
        async with running_server(tmp_path) as server:
            world = World(server, session)
            device = await world.enrolled()
            uuid = await world.api.enqueue(device.reference)
            await device.idle()
            lock = locked_database(tmp_path)
            body = encode_report(enrollment_id=device.id, status=Status.ACKNOWLEDGED, command_uuid=CommandUUID(uuid))
            reader, writer = await connected(server.url)
            writer.write(head(body, device.sign(body)))
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(body)
            await world.api.get("/openapi.json")  # after this the server has the result and waits for the lock
            release = asyncio.create_task(close_when_refused(server.url, lock))
        await release
        answer = await reader.read()
        writer.close()

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert ask(tmp_path, "SELECT state FROM queue_item") == [("acknowledged",)]


async def test_no_secret_of_a_device_reaches_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = b"canary-of-a-secret"
    async with running_server(tmp_path) as server, aiohttp.ClientSession() as session:
        device = World(server, session).device()
        await device.authenticate()
        await device.token_update(token=secret, unlock_token=secret)
        message = SetBootstrapToken(enrollment_id=device.id, bootstrap_token=secret)
        signature = device.sign(encode_checkin(message))
        await device.send(encode_checkin(message), CHECKIN)
        await device.send(b"<plist>" + b64encode(secret))

    written = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    assert repr(Secret(secret)) == "***"
    for form in (secret.decode(), b64encode(secret).decode(), secret.hex(), signature):
        assert form not in written


async def connected(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(url)
    return await asyncio.open_connection(parts.hostname, parts.port)


def head(body: bytes, signature: str) -> bytes:
    """Of a request whose sender waits until the server asks for the body."""
    fields = {"Host": "x", "Expect": "100-continue", "Content-Type": COMMAND, "Content-Length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in {**fields, "Mdm-Signature": signature}.items())
    return f"PUT /mdm HTTP/1.1\r\n{lines}\r\n".encode()


def locked_database(state: Path) -> sqlite3.Connection:
    """Keeps the server from writing until it is closed."""
    connection = sqlite3.connect(state / "mdmserver.sqlite", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    return connection


async def close_when_refused(url: str, lock: sqlite3.Connection) -> None:
    """Give the lock back once the server takes no new connections."""
    while True:
        try:
            _, writer = await connected(url)
        except OSError:
            break
        writer.close()
    lock.close()
