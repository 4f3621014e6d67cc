"""What such servers have got wrong and this one must not (compatibility.md section 7), end to end over HTTP."""

from tests.journeys.fixtures import World


async def test_a_finished_command_does_not_come_back_after_not_now(world: World) -> None:
    device = await world.enrolled()
    first, second = [await world.api.enqueue(device.reference) for _ in range(2)]

    assert (await device.idle()).command_uuid == first
    assert (await device.not_now(first)).command_uuid == second
    assert (await device.acknowledge(second)).command_uuid == first
    assert (await device.acknowledge(first)).body == b""
    assert (await device.idle()).body == b""
