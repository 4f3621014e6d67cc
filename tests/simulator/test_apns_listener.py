"""Devices that wait for pushes: who is woken by what, how often they connect, and what happens without a feed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
from msgspec import structs

from mdmserver.protocol import Status
from mdmserver.simulator.apns import APNsStandIn
from mdmserver.simulator.apns_listener import Wakes, listening
from mdmserver.simulator.apns_request import Push
from mdmserver.simulator.building import DeviceBuilder
from mdmserver.simulator.condition import Condition
from mdmserver.simulator.device import Habits, SimulatedDevice
from mdmserver.simulator.errors import FeedUnreachable
from mdmserver.simulator.facts import Platform
from mdmserver.simulator.fleet import Fleet, Pace
from mdmserver.simulator.measures import Tally
from tests.simulator.apns_sending import TOPIC, Sender, sending_to


@pytest.fixture
def devices(tally: Tally, issuer: Any) -> list[SimulatedDevice]:
    builder = DeviceBuilder(seed=5, tally=tally, habits=Habits())
    return builder.draw(range(8), platforms=tuple(Platform), topic=TOPIC, issuer=issuer)


def push_to(device: SimulatedDevice, **changes: Any) -> Push:
    """A push as the feed would tell of it."""
    push = Push(
        at=0,
        topic=TOPIC,
        token=device.channel.push_token.hex(),
        magic=device.channel.push_magic,
        apns_id="",
        priority=10,
        expiration=0,
    )
    return structs.replace(push, **changes)


async def push(sender: Sender, channel: Any) -> None:
    """Push over the wire."""
    answer = await sender.push(channel.push_token.hex(), b'{"mdm":"%s"}' % channel.push_magic.encode())
    assert answer == (200, None)


@asynccontextmanager
async def running(
    devices: list[SimulatedDevice], transport: Any, tally: Tally, **pace: Any
) -> AsyncIterator[tuple[Wakes, Fleet]]:
    """The devices, enrolled and waiting for pushes."""
    pace = {"concurrency": 4, "interval_seconds": 0.0, "reaction_seconds": 0.0} | pace
    fleet = Fleet(devices, transport, tally=tally, pace=Pace(**pace), random=Random(1))
    stop, wakes = asyncio.Event(), Wakes(devices, tally)
    await fleet.enroll(stop)
    task = asyncio.create_task(fleet.run_when_pushed(wakes, stop))
    try:
        yield wakes, fleet
    finally:
        stop.set()
        await asyncio.wait_for(task, timeout=20)


async def test_a_pushed_device_connects_and_the_others_do_not(
    server: Any, transport: Any, tally: Tally, devices: list[SimulatedDevice], apns: APNsStandIn
) -> None:
    commands = [server.enqueue(device.channel.enrollment_id, RequestType="ProfileList") for device in devices]

    async with (
        running(devices, transport, tally) as (wakes, _),
        listening("127.0.0.1", apns.feed_port, wakes.heard),
        sending_to(apns) as sender,
    ):
        await push(sender, devices[3].channel)
        await server.until(lambda: (commands[3], Status.ACKNOWLEDGED) in server.statuses())

    assert tally.wakes == tally.connects == 1
    assert {report.enrollment_id.device for report in server.reports} == {devices[3].facts.udid}


async def test_a_device_that_is_held_offline_connects_when_it_is_back(
    server: Any, transport: Any, tally: Tally, devices: list[SimulatedDevice]
) -> None:
    command = server.enqueue(devices[0].channel.enrollment_id, RequestType="ProfileList")

    async with running(devices, transport, tally) as (wakes, fleet):
        fleet.held[devices[0]] = Condition(is_reachable=False)
        wakes.heard(push_to(devices[0]))
        wakes.heard(push_to(devices[1]))
        await server.until(lambda: len(server.reports) == 1)
        assert server.waiting(devices[0].channel.enrollment_id) == [command]

        del fleet.held[devices[0]]
        wakes.wake(devices[0])
        await server.until(lambda: not server.waiting(devices[0].channel.enrollment_id))

    assert tally.wakes == 2


async def test_a_push_for_the_user_of_a_mac_wakes_the_mac(
    server: Any, transport: Any, tally: Tally, devices: list[SimulatedDevice], apns: APNsStandIn
) -> None:
    mac = next(device for device in devices if device.user_channel is not None)
    assert mac.user_channel is not None
    server.enqueue(mac.user_channel.enrollment_id, RequestType="ProfileList")

    async with (
        running(devices, transport, tally) as (wakes, _),
        listening("127.0.0.1", apns.feed_port, wakes.heard),
        sending_to(apns) as sender,
    ):
        await push(sender, mac.user_channel)
        await server.until(lambda: mac.user_channel and not server.waiting(mac.user_channel.enrollment_id))

    assert tally.wakes == 1


async def test_pushes_from_before_the_feed_was_there_wake_devices_once(
    server: Any, transport: Any, tally: Tally, devices: list[SimulatedDevice], apns: APNsStandIn
) -> None:
    async with sending_to(apns) as sender:
        for _ in range(3):
            await push(sender, devices[0].channel)

    async with (
        running(devices, transport, tally) as (wakes, _),
        listening("127.0.0.1", apns.feed_port, wakes.heard),
    ):
        await server.until(lambda: len(server.reports) == 1)

    assert (tally.wakes, tally.connects) == (1, 1)


async def test_another_magic_or_topic_wakes_nobody_and_is_counted(
    transport: Any, tally: Tally, devices: list[SimulatedDevice]
) -> None:
    async with running(devices, transport, tally) as (wakes, _):
        wakes.heard(push_to(devices[0], magic=devices[1].channel.push_magic))
        wakes.heard(push_to(devices[0], topic="com.apple.mgmt.External.other"))
        wakes.heard(push_to(devices[0], token="0a" * 32))

    assert (tally.wakes, tally.connects) == (0, 0)
    assert tally.ignored_pushes == {"another magic": 1, "another topic": 1}


async def test_pushes_that_a_device_has_not_noticed_yet_are_one(
    server: Any, transport: Any, tally: Tally, devices: list[SimulatedDevice]
) -> None:
    async with running(devices, transport, tally) as (wakes, _):
        for device in (devices[0], devices[1], devices[0], devices[0]):
            wakes.heard(push_to(device))
        await server.until(lambda: len({report.enrollment_id for report in server.reports}) == 2)

    assert (tally.wakes, tally.connects) == (4, 2)


async def test_a_locked_device_comes_back_by_itself_for_what_it_put_off(
    server: Any, transport: Any, tally: Tally, devices: list[SimulatedDevice]
) -> None:
    iphone = devices[0]
    assert iphone.facts.platform is Platform.IPHONE
    command = server.enqueue(iphone.channel.enrollment_id, RequestType="SecurityInfo")

    async with running(devices, transport, tally, locked=0.9) as (wakes, _):
        wakes.heard(push_to(iphone))
        await server.until(lambda: (command, Status.ACKNOWLEDGED) in server.statuses())

    assert (command, Status.NOT_NOW) in server.statuses()
    assert tally.wakes == 1


async def test_a_result_that_was_not_taken_is_sent_again_without_a_push(
    server: Any, transport: Any, tally: Tally, devices: list[SimulatedDevice]
) -> None:
    command = server.enqueue(devices[0].channel.enrollment_id, RequestType="ProfileList")

    async with running(devices, transport, tally) as (wakes, _):
        server.results_to_refuse = 1
        wakes.heard(push_to(devices[0]))
        await server.until(lambda: (command, Status.ACKNOWLEDGED) in server.statuses())

    assert tally.errors == {"status 503": 1}


async def test_a_device_that_is_offline_does_not_react_until_later(
    server: Any, transport: Any, tally: Tally, devices: list[SimulatedDevice]
) -> None:
    async with running(devices, transport, tally, offline=1.0, interval_seconds=3600) as (wakes, _):
        wakes.heard(push_to(devices[0]))
    assert (tally.wakes, tally.connects) == (1, 0)

    async with running(devices, transport, tally, offline=1.0, interval_seconds=0.01) as (wakes, _):
        wakes.heard(push_to(devices[0]))
        await server.until(lambda: len(server.reports) == 1)


async def test_a_hundred_pushes_never_connect_more_devices_than_allowed(
    server: Any, transport: Any, tally: Tally, devices: list[SimulatedDevice]
) -> None:
    async with running(devices, transport, tally, concurrency=1) as (wakes, _):
        server.requests.clear()
        for device in devices:
            wakes.heard(push_to(device))
        await server.until(lambda: {report.enrollment_id.device for report in server.reports} >= {
            device.facts.udid for device in devices
        })  # fmt: skip

    peers = [peer for *_, peer in server.requests]
    assert all(peers.index(peer) + peers.count(peer) > at for at, peer in enumerate(peers))


async def test_a_feed_that_is_lost_is_found_again(apns: APNsStandIn) -> None:
    heard: list[Push] = []
    came = asyncio.Event()

    def hear(push: Push) -> None:
        heard.append(push)
        came.set()

    async with listening("127.0.0.1", apns.feed_port, hear), sending_to(apns) as sender:
        await apns.until(lambda: len(apns.feed.listeners) == 1)
        for listener in tuple(apns.feed.listeners):
            listener.abort()
        await apns.until(lambda: not apns.feed.listeners)
        await sender.push()
        async with asyncio.timeout(20):
            await came.wait()

    assert len(heard) == 1


async def test_a_feed_that_is_not_there_is_said_to_be_so(unused_tcp_port: int) -> None:
    with pytest.raises(FeedUnreachable, match=f"127.0.0.1:{unused_tcp_port}"):
        async with listening("127.0.0.1", unused_tcp_port, lambda push: None):
            pass
