"""A fleet against a scripted server: all enroll, all commands end, faults are counted, the file brings it back."""

import asyncio
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from mdmserver.protocol import Status
from mdmserver.simulator.building import DeviceBuilder
from mdmserver.simulator.device import Habits
from mdmserver.simulator.errors import FleetFileInvalid, ServerRefused
from mdmserver.simulator.facts import Platform
from mdmserver.simulator.fleet import Fleet, Pace
from mdmserver.simulator.fleet_file import load_fleet, save_fleet

TOPIC = "com.apple.mgmt.External.test"


@pytest.fixture
def builder(tally: Any) -> DeviceBuilder:
    return DeviceBuilder(seed=5, tally=tally, habits=Habits())


@pytest.fixture
def devices(builder: DeviceBuilder, issuer: Any) -> Any:
    return builder.draw(range(12), platforms=tuple(Platform), topic=TOPIC, issuer=issuer)


def fleet_of(devices: Any, transport: Any, tally: Any, **pace: Any) -> Fleet:
    pace = {"concurrency": 4, "interval_seconds": 0.0} | pace
    return Fleet(devices, transport, tally=tally, pace=Pace(**pace), random=Random(1))


async def test_all_devices_enroll_with_certificates_of_their_own(
    server: Any, transport: Any, tally: Any, devices: Any
) -> None:
    told: list[None] = []

    await fleet_of(devices, transport, tally).enroll(asyncio.Event(), lambda: told.append(None))

    assert tally.enrolled == len(told) == 12
    assert len(set(server.signers)) == 12
    assert {device.facts.platform for device in devices} == set(Platform)


async def test_a_server_that_refuses_the_first_device_is_asked_no_more(
    server: Any, transport: Any, tally: Any, devices: Any
) -> None:
    server.failures.append(403)

    with pytest.raises(ServerRefused):
        await fleet_of(devices, transport, tally).enroll(asyncio.Event())

    assert len(server.requests) == 1


async def test_a_later_refusal_is_counted_and_the_others_go_on(
    server: Any, transport: Any, tally: Any, devices: Any
) -> None:
    server.failures.extend([200, 200, 403])  # the first of the devices is an iPhone with two messages

    await fleet_of(devices, transport, tally, concurrency=1).enroll(asyncio.Event())

    assert tally.errors == {"status 403": 1}
    assert sum(device.is_enrolled for device in devices) == 11


async def test_polling_devices_that_are_locked_half_of_the_time_finish_every_command(
    server: Any, transport: Any, tally: Any, devices: Any
) -> None:
    fleet = fleet_of(devices, transport, tally, locked=0.5)
    stop = asyncio.Event()
    await fleet.enroll(stop)
    for device in devices:
        server.enqueue(device.channel.enrollment_id, RequestType="SecurityInfo")
    running = asyncio.create_task(fleet.run(stop))

    await server.until(lambda: not any(server.waiting(device.channel.enrollment_id) for device in devices))
    stop.set()
    await running

    assert tally.commands[Status.ACKNOWLEDGED] == 12
    assert tally.commands[Status.NOT_NOW] > 0
    assert all(set(device.channel.executions.values()) == {1} for device in devices)


async def test_a_fleet_told_to_stop_ends_at_once_however_long_its_interval(
    server: Any, transport: Any, tally: Any, devices: Any
) -> None:
    fleet = fleet_of(devices, transport, tally, interval_seconds=3600)
    stop = asyncio.Event()
    await fleet.enroll(stop)
    running = asyncio.create_task(fleet.run(stop))

    stop.set()
    await asyncio.wait_for(running, timeout=5)


async def test_never_more_devices_are_connected_than_allowed(
    server: Any, transport: Any, tally: Any, devices: Any
) -> None:
    fleet = fleet_of(devices, transport, tally, concurrency=1)
    stop = asyncio.Event()
    await fleet.enroll(stop)
    server.requests.clear()

    await fleet.connect_once(stop)

    peers = [peer for *_, peer in server.requests]
    assert len(set(peers)) == tally.connects == 12
    assert all(peers.index(peer) + peers.count(peer) > at for at, peer in enumerate(peers))


async def test_while_the_server_is_away_the_faults_are_counted_and_nothing_else_happens(
    server: Any, transport: Any, tally: Any, devices: Any
) -> None:
    fleet = fleet_of(devices, transport, tally)
    stop = asyncio.Event()
    await fleet.enroll(stop)
    server.failures.extend([503] * 12)

    await fleet.connect_once(stop)

    assert tally.errors == {"status 503": 12}
    assert all(device.is_enrolled for device in devices)


async def test_the_summary_counts_what_happened(server: Any, transport: Any, tally: Any, devices: Any) -> None:
    fleet = fleet_of(devices, transport, tally)
    stop = asyncio.Event()
    await fleet.enroll(stop)
    server.enqueue(devices[0].channel.enrollment_id, RequestType="ProfileList")
    await fleet.connect_once(stop)
    tally.took(0.25)

    summary = tally.summary(devices=12, seconds=2)

    assert (summary.enrolled, summary.connects, summary.commands, summary.delivered) == (12, 12, {"Acknowledged": 1}, 1)
    assert summary.errors == {}


def test_times_are_given_at_the_middle_and_near_the_end(tally: Any) -> None:
    for milliseconds in range(1, 101):
        tally.took(milliseconds / 1000)

    summary = tally.summary(devices=0, seconds=1)

    assert (summary.p50_milliseconds, summary.p99_milliseconds) == (51, 100)


async def test_a_fleet_from_a_file_is_the_same_devices_with_what_they_had_not_sent(
    server: Any, transport: Any, tally: Any, devices: Any, builder: DeviceBuilder, tmp_path: Path
) -> None:
    stop = asyncio.Event()
    await fleet_of(devices, transport, tally).enroll(stop)
    command = server.enqueue(devices[0].channel.enrollment_id, RequestType="ProfileList")
    server.results_to_refuse = 1
    await fleet_of(devices, transport, tally).connect_once(stop)

    save_fleet(tmp_path / "fleet.json", devices)
    loaded = load_fleet(tmp_path / "fleet.json", builder.build)
    server.reports.clear()
    await loaded[0].connect(transport)

    assert [device.facts for device in loaded] == [device.facts for device in devices]
    assert [device.identity and device.identity.certificate_der for device in loaded] == [
        device.identity.certificate_der for device in devices
    ]
    assert [device.channel.push_token for device in loaded] == [device.channel.push_token for device in devices]
    assert all(device.is_enrolled for device in loaded)
    assert server.statuses() == [(command, Status.ACKNOWLEDGED)]


def test_a_fleet_file_is_private_and_holds_each_key_once(devices: Any, tmp_path: Path) -> None:
    path = tmp_path / "fleet.json"
    path.write_text("an older one")
    path.chmod(0o644)

    save_fleet(path, devices)

    assert path.stat().st_mode & 0o777 == 0o600
    assert len(json.loads(path.read_text())["keys"]) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["fleet.json"]


@pytest.mark.parametrize(
    "text", ["", "[]", '{"version":2,"keys":[],"devices":[]}', '{"version":1,"keys":["x"],"devices":[]}']
)
def test_what_is_no_fleet_file_is_refused(text: str, builder: DeviceBuilder, tmp_path: Path) -> None:
    (tmp_path / "fleet.json").write_text(text)

    with pytest.raises(FleetFileInvalid):
        load_fleet(tmp_path / "fleet.json", builder.build)
