"""What such servers have got wrong and this one must not (compatibility.md section 7), over HTTP: the queue."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from mdmserver.protocol import ErrorItem, Status
from tests.journeys.devices import Device
from tests.journeys.fixtures import World

UNKNOWN = "00000000-0000-0000-0000-00000000DEAD"


async def queued(world: World, device: Device, number: int) -> list[str]:
    return [await world.api.enqueue(device.reference) for _ in range(number)]


async def test_commands_come_in_order_each_once_and_then_nothing(world: World) -> None:
    device = await world.enrolled()
    first, second = await queued(world, device, 2)

    assert (await device.idle()).command_uuid == first
    assert (await device.acknowledge(first)).command_uuid == second
    assert (await device.acknowledge(second)).body == b""


async def test_a_command_without_an_answer_is_served_again_at_the_next_idle(world: World) -> None:
    device = await world.enrolled()
    (uuid,) = await queued(world, device, 1)

    served = [await device.idle() for _ in range(3)]

    assert [reply.command_uuid for reply in served] == [uuid] * 3
    assert len({reply.body for reply in served}) == 1


async def test_a_command_put_off_comes_again_at_the_next_idle_and_not_before(world: World) -> None:
    device = await world.enrolled()
    (uuid,) = await queued(world, device, 1)
    await device.idle()

    assert (await device.not_now(uuid)).body == b""
    assert (await device.idle()).command_uuid == uuid
    assert await world.api.state_of(uuid, device.reference) == "sent"


async def test_a_finished_command_does_not_come_back_after_not_now(world: World) -> None:
    device = await world.enrolled()
    first, second = await queued(world, device, 2)

    assert (await device.idle()).command_uuid == first
    assert (await device.not_now(first)).command_uuid == second
    assert (await device.acknowledge(second)).command_uuid == first
    assert (await device.acknowledge(first)).body == b""
    assert (await device.idle()).body == b""


async def test_a_late_not_now_does_not_reopen_a_finished_command(world: World) -> None:
    device = await world.enrolled()
    (uuid,) = await queued(world, device, 1)
    await device.idle()
    await device.acknowledge(uuid)

    assert (await device.not_now(uuid)).body == b""
    assert (await device.idle()).body == b""
    assert await world.api.state_of(uuid, device.reference) == "acknowledged"


async def test_a_second_result_for_a_finished_command_changes_nothing(world: World) -> None:
    device = await world.enrolled()
    first, second = await queued(world, device, 2)
    await device.idle()
    await device.acknowledge(first)

    reply = await device.report(Status.ERROR, first)

    assert (reply.status, reply.command_uuid) == (200, second)
    assert await world.api.state_of(first, device.reference) == "acknowledged"


async def test_a_result_for_an_unknown_command_is_taken_and_the_queue_stays(world: World) -> None:
    device = await world.enrolled()
    first, second = await queued(world, device, 2)

    reply = await device.acknowledge(UNKNOWN)

    assert (reply.status, reply.command_uuid) == (200, first)
    assert (await device.acknowledge(first)).command_uuid == second
    assert (await device.acknowledge(second)).body == b""


async def test_a_result_for_another_devices_command_does_not_touch_it(world: World) -> None:
    device, stranger = await world.enrolled(), await world.enrolled("B" * 40)
    (uuid,) = await queued(world, device, 1)

    assert (await stranger.acknowledge(uuid)).status == 200
    assert await world.api.state_of(uuid, device.reference) == "queued"
    assert (await device.idle()).command_uuid == uuid


async def test_a_command_for_many_devices_reaches_each_of_them_whole(world: World) -> None:
    devices = [await world.enrolled(f"{number:040x}") for number in range(45)]
    plist = command_plist("MANY-1")

    status, answer = await world.api.enqueue_plist(plist, [device.reference for device in devices])
    replies = await asyncio.gather(*(device.idle() for device in devices))

    assert (status, answer["queued"]) == (201, 45)
    assert {reply.body for reply in replies} == {plist}


async def test_polling_without_anything_to_do_writes_nothing(world: World) -> None:
    device = await world.enrolled()
    await device.idle()
    database = sqlite3.connect(f"file:{world.server.state / 'mdmserver.sqlite'}?mode=ro", uri=True)
    files = [world.server.state / f"mdmserver.sqlite{suffix}" for suffix in ("", "-wal")]
    before = database.execute("PRAGMA data_version").fetchone(), contents(files)

    for _ in range(25):
        assert (await device.idle()).body == b""

    assert (database.execute("PRAGMA data_version").fetchone(), contents(files)) == before
    database.close()


async def test_an_error_ends_a_command_as_an_error_with_the_devices_reasons(world: World) -> None:
    device = await world.enrolled()
    (uuid,) = await queued(world, device, 1)
    await device.idle()
    reason = ErrorItem(code=12021, domain="MCMDMErrorDomain", localized_description="Unknown command")

    await device.report(Status.ERROR, uuid, reason)

    found = await world.api.get(f"/commands/{uuid}/targets/{device.reference}")
    assert found["item"]["state"] == "error"
    assert found["result"]["result"]["ErrorChain"] == [
        {"ErrorCode": 12021, "ErrorDomain": "MCMDMErrorDomain", "LocalizedDescription": "Unknown command"}
    ]


async def test_a_result_that_cannot_be_read_ends_its_command_and_lets_the_device_go_on(world: World) -> None:
    device = await world.enrolled()
    first, second = await queued(world, device, 2)
    await device.idle()
    depth = 100
    body = (
        "<?xml version='1.0' encoding='UTF-8'?><plist version='1.0'><dict>"
        f"<key>UDID</key><string>{device.reference}</string><key>Status</key><string>Acknowledged</string>"
        f"<key>CommandUUID</key><string>{first}</string>"
        f"<key>Deep</key>{'<array>' * depth}{'</array>' * depth}</dict></plist>"
    ).encode()

    reply = await device.send(body)

    assert (reply.status, reply.command_uuid) == (200, second)
    assert await world.api.state_of(first, device.reference) == "acknowledged"


@pytest.mark.parametrize("content_type", [None, "application/x-apple-aspen-mdm; charset=UTF-8", "text/xml"])
async def test_a_connect_needs_no_particular_content_type(world: World, content_type: str | None) -> None:
    device = await world.enrolled()
    (uuid,) = await queued(world, device, 1)
    keys = f"<key>UDID</key><string>{device.reference}</string><key>Status</key><string>Idle</string>"

    reply = await device.send(f"<plist><dict>{keys}</dict></plist>".encode(), content_type)

    assert (reply.status, reply.command_uuid) == (200, uuid)


def command_plist(uuid: str) -> bytes:
    """As another tool wrote it: with its own spacing and its own kind of CommandUUID."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<plist version="1.0">\n\t<dict><key>Command</key><dict>'
        "<key>RequestType</key>   <string>ProfileList</string></dict>"
        f"<key>CommandUUID</key><string>{uuid}</string></dict>\n\n</plist>\n"
    ).encode()


def contents(files: list[Path]) -> list[bytes]:
    return [path.read_bytes() if path.exists() else b"" for path in files]
