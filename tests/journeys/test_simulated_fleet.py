"""Simulated devices against the real server: every command ends in the state in which the device ended it."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from mdmserver.audit.model import Actor, ActorKind
from mdmserver.commands.model import FINAL_STATE_OF_STATUS
from mdmserver.commands.request import CommandRequest
from mdmserver.protocol import CommandUUID, EnrollmentType
from mdmserver.simulator.building import DeviceBuilder
from mdmserver.simulator.channel import Channel
from mdmserver.simulator.conversation import ServerAddress
from mdmserver.simulator.device import Habits, SimulatedDevice
from mdmserver.simulator.facts import Platform
from mdmserver.simulator.fleet import Fleet, Pace
from mdmserver.simulator.measures import Tally
from mdmserver.simulator.proof import MessageSignature
from mdmserver.simulator.transport import Transport
from tests.journeys.servers import RunningServer, running_server

ADMIN = Actor(kind=ActorKind.KEY, name="tests")
TOPIC = "com.apple.mgmt.External.tests"
DEVICES = 20
EVERY_CHANNEL = frozenset({EnrollmentType.DEVICE, EnrollmentType.USER})
COMMANDS: list[dict[str, Any]] = [
    {"RequestType": "DeviceInformation", "Queries": ["UDID", "OSVersion", "DeviceName"]},
    {"RequestType": "SecurityInfo"},
    {"RequestType": "InstalledApplicationList"},
    {"RequestType": "RemoveProfile", "Identifier": "org.example.not-installed"},
    {"RequestType": "NoSuchCommand"},
    {"RequestType": "ProfileList"},
]


def channels_of(devices: Iterable[SimulatedDevice]) -> list[Channel]:
    """All channels of all devices."""
    return [channel for device in devices for channel in device.channels]


def drawn(server: RunningServer, tally: Tally, habits: Habits) -> list[SimulatedDevice]:
    """Twenty devices of all platforms, with certificates of the server's device CA."""
    builder = DeviceBuilder(seed=11, tally=tally, habits=habits)
    return builder.draw(range(DEVICES), platforms=tuple(Platform), topic=TOPIC, issuer=server.devices.issuer)


async def enqueued(server: RunningServer, channels: int) -> list[CommandUUID]:
    """Each of the commands, for everyone."""
    uuids = []
    for command in COMMANDS:
        request = CommandRequest(payload=command)
        result = await server.services.commands.enqueue_for_everyone(request, types=EVERY_CHANNEL, actor=ADMIN)
        assert result.queued == channels
        uuids.append(result.uuid)
    return uuids


async def ended_as(server: RunningServer, uuid: CommandUUID) -> dict[str, str]:
    """The state of the command for each enrollment."""
    page = await server.services.commands.targets(uuid, states=frozenset(), cursor=None, limit=1000)
    return {str(item.enrollment_id): item.state.value for item in page.items}


def as_devices_say(channels: Iterable[Channel], uuid: CommandUUID) -> dict[str, str]:
    """How the command ended on each channel, in the server's words; absent where it did not end."""
    return {
        str(channel.enrollment_id): FINAL_STATE_OF_STATUS[channel.executed[uuid]].value
        for channel in channels
        if uuid in channel.executed
    }


@pytest.mark.parametrize(
    ("locked", "lost_replies"), [(0.0, 0.0), (0.6, 0.0), (0.3, 0.4)], ids=["smooth", "locked", "lost replies"]
)
async def test_every_command_ends_once_and_as_the_device_says(
    locked: float, lost_replies: float, tmp_path: Path
) -> None:
    tally, stop = Tally(), asyncio.Event()
    async with running_server(tmp_path) as server:
        devices = drawn(server, tally, Habits(lost_replies=lost_replies))
        channels = channels_of(devices)
        address = ServerAddress(command_url=f"{server.url}/mdm")
        async with Transport(address, proofs=(MessageSignature(),), took=tally.took) as transport:
            pace = Pace(concurrency=8, locked=locked)
            fleet = Fleet(devices, transport, tally=tally, pace=pace, random=Random(3))
            await fleet.enroll(stop)
            uuids = await enqueued(server, len(channels))
            for _ in range(100):
                await fleet.connect_once(stop)
                if not any(channel.unsent for channel in channels) and all(
                    set(uuids) <= channel.executed.keys() for channel in channels
                ):
                    break

        states = {uuid: await ended_as(server, uuid) for uuid in uuids}

    assert tally.errors == {}
    assert tally.enrolled == DEVICES
    assert bool(tally.lost_replies) is bool(lost_replies)
    assert states == {uuid: as_devices_say(channels, uuid) for uuid in uuids}
    assert Counter(state for ended in states.values() for state in ended.values()).keys() == {"acknowledged", "error"}
    assert all(set(channel.executions.values()) == {1} for channel in channels)


async def test_what_devices_say_of_themselves_reaches_their_records(tmp_path: Path) -> None:
    tally, stop = Tally(), asyncio.Event()
    async with running_server(tmp_path) as server:
        devices = drawn(server, tally, Habits())
        address = ServerAddress(command_url=f"{server.url}/mdm")
        async with Transport(address, proofs=(MessageSignature(),)) as transport:
            fleet = Fleet(devices, transport, tally=tally, pace=Pace(), random=Random(3))
            await fleet.enroll(stop)
            await server.services.commands.enqueue_for_everyone(
                CommandRequest(payload={"RequestType": "DeviceInformation", "Queries": ["DeviceName"]}),
                types=frozenset({EnrollmentType.DEVICE}),
                actor=ADMIN,
            )
            await fleet.connect_once(stop)
        await server.services.results.work_through()

        recorded = [await server.services.devices.show(device.facts.udid) for device in devices]

    assert [enrollment.facts.device_name for enrollment in recorded] == [device.facts.device_name for device in devices]
    assert [enrollment.facts.serial_number for enrollment in recorded] == [
        device.facts.serial_number for device in devices
    ]


async def test_a_device_that_checks_out_gets_no_more_commands(tmp_path: Path) -> None:
    tally = Tally()
    async with running_server(tmp_path) as server:
        device = drawn(server, tally, Habits())[0]
        address = ServerAddress(command_url=f"{server.url}/mdm")
        async with Transport(address, proofs=(MessageSignature(),)) as transport:
            await device.enroll(transport)
            await device.check_out(transport)
        result = await server.services.commands.enqueue(
            CommandRequest(payload={"RequestType": "ProfileList"}), [device.facts.udid], actor=ADMIN
        )

    assert result.refused == {device.facts.udid: "not_enrolled"}
