"""Who hears of accepted pushes: every listener, later ones what was kept, and none can hold a push up."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mdmserver.simulator.apns import APNsStandIn, open_stand_in
from mdmserver.simulator.apns_answers import refusal
from mdmserver.simulator.apns_credentials import APNsFiles
from tests.simulator.apns_sending import HEADERS, OTHER_TOKEN, TOKEN, TOPIC, Sender, sending_to

NEVER_KEPT = [*(HEADERS | {"apns-expiration": "0"}).items()]


@asynccontextmanager
async def feed_of(apns: APNsStandIn) -> AsyncIterator[asyncio.StreamReader]:
    """A listener, connected as far as the stand-in is concerned too."""
    expected = len(apns.feed.listeners) + 1
    reader, writer = await asyncio.open_connection("127.0.0.1", apns.feed_port)
    await apns.until(lambda: len(apns.feed.listeners) == expected)
    try:
        yield reader
    finally:
        writer.transport.abort()
        await apns.until(lambda: len(apns.feed.listeners) < expected)


async def heard(reader: asyncio.StreamReader, count: int) -> list[dict[str, object]]:
    """The next pushes of a feed."""
    async with asyncio.timeout(20):
        return [json.loads(await reader.readline()) for _ in range(count)]


async def push_each(sender: Sender, *tokens: str) -> None:
    for token in tokens:
        await sender.push(token, headers=[*HEADERS.items()])


async def test_every_listener_hears_what_was_accepted_and_nothing_else(apns: APNsStandIn) -> None:
    apns.behaviour.treat(OTHER_TOKEN, refusal("Unregistered"))

    async with feed_of(apns) as one, feed_of(apns) as another, sending_to(apns) as sender:
        await push_each(sender, TOKEN, OTHER_TOKEN, TOKEN)
        lines = await heard(one, 2)

        assert lines == await heard(another, 2)
    (first, _) = lines
    assert list(first) == ["at", "topic", "token", "magic", "apns_id", "priority", "expiration"]
    assert (first["topic"], first["token"], first["magic"]) == (TOPIC, TOKEN, "MAGIC")
    assert (first["priority"], first["expiration"]) == (10, 4_000_000_000)


async def test_a_listener_that_comes_later_hears_the_last_push_of_each_token(apns: APNsStandIn) -> None:
    async with sending_to(apns) as sender:
        await push_each(sender, TOKEN, OTHER_TOKEN, TOKEN)
        last = apns.deliveries[-1].apns_id

        async with feed_of(apns) as late:
            lines = await heard(late, 2)
        async with feed_of(apns) as later:
            await push_each(sender, "0c" * 32)
            (only,) = await heard(later, 1)

    assert {line["token"]: line["apns_id"] for line in lines}[TOKEN] == last
    assert only["token"] == "0c" * 32


async def test_a_push_that_is_not_to_be_kept_or_has_expired_is_not_heard_later(apns: APNsStandIn) -> None:
    expired = [*(HEADERS | {"apns-expiration": "1000000000"}).items()]

    async with sending_to(apns) as sender:
        await sender.push(TOKEN, headers=NEVER_KEPT)
        await sender.push(OTHER_TOKEN, headers=expired)
        async with feed_of(apns) as late:
            await push_each(sender, "0c" * 32)
            (only,) = await heard(late, 1)

    assert only["token"] == "0c" * 32


async def test_a_listener_that_does_not_read_is_dropped_and_pushes_go_on(apns_files: APNsFiles) -> None:
    async with open_stand_in(apns_files) as apns, sending_to(apns) as sender:
        apns.feed.longest_backlog = 10_000
        with socket.create_connection(("127.0.0.1", apns.feed_port)):
            await apns.until(lambda: len(apns.feed.listeners) == 1)
            async with asyncio.timeout(60):
                while apns.feed.listeners:
                    streams = [sender.send(body=b'{"mdm":"%s"}' % (b"x" * 4000)) for _ in range(50)]
                    await sender.until_answered(streams)

            assert apns.feed.dropped == 1
            assert await sender.push() == (200, None)
