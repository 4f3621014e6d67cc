"""A simulated device against a scripted server: what it sends, keeps and sends again."""

from dataclasses import replace
from typing import Any

import pytest

from mdmserver.protocol import Authenticate, CheckOut, Status, TokenUpdate
from mdmserver.simulator.condition import Condition
from mdmserver.simulator.errors import CommandUnreadable, ServerRefused

INFORMATION = {"RequestType": "DeviceInformation", "Queries": ["OSVersion", "NoSuchKey"]}
PROFILE = b"""<plist version="1.0"><dict><key>PayloadIdentifier</key><string>org.example.wifi</string>
<key>PayloadUUID</key><string>U1</string><key>PayloadVersion</key><integer>1</integer></dict></plist>"""


async def test_an_iphone_enrolls_with_authenticate_and_a_token_update_that_holds_its_unlock_token(
    server: Any, enrolled: Any
) -> None:
    device = await enrolled("iPhone")

    authenticate, update = server.checkins
    assert isinstance(authenticate, Authenticate)
    assert authenticate.serial_number == device.facts.serial_number
    assert authenticate.device_name is None
    assert isinstance(update, TokenUpdate)
    assert update.token == device.channel.push_token
    assert len(device.channel.push_token) == 32
    assert update.unlock_token
    assert device.is_enrolled


async def test_a_mac_enrolls_its_user_too_and_gives_its_names(server: Any, enrolled: Any) -> None:
    device = await enrolled("Mac")

    authenticate, update, user_update = server.checkins
    assert authenticate.device_name == device.facts.device_name
    assert authenticate.model_name == device.facts.model_name
    assert update.unlock_token is None
    assert user_update.enrollment_id == device.user_channel.enrollment_id
    assert user_update.user_short_name == device.facts.user.short_name
    assert user_update.not_on_console is False
    assert user_update.token != update.token


async def test_a_refused_authenticate_leaves_the_device_out(server: Any, make_device: Any, transport: Any) -> None:
    server.failures.append(403)
    device = make_device()

    with pytest.raises(ServerRefused) as refused:
        await device.enroll(transport)

    assert refused.value.status == 403
    assert not device.is_enrolled
    assert server.checkins == []


async def test_commands_are_carried_out_in_order_until_there_are_none(
    server: Any, enrolled: Any, transport: Any
) -> None:
    device = await enrolled()
    first = server.enqueue(device.channel.enrollment_id, **INFORMATION)
    second = server.enqueue(device.channel.enrollment_id, RequestType="ProfileList")

    delivered = await device.connect(transport)

    assert server.statuses() == [(None, Status.IDLE), (first, Status.ACKNOWLEDGED), (second, Status.ACKNOWLEDGED)]
    assert server.reports[1].plist["QueryResponses"] == {"OSVersion": device.facts.os_version}
    assert dict(device.executed) == {first: Status.ACKNOWLEDGED, second: Status.ACKNOWLEDGED}
    assert delivered == 2


async def test_one_connect_is_one_connection_for_both_channels(server: Any, enrolled: Any, transport: Any) -> None:
    device = await enrolled("Mac")
    server.enqueue(device.channel.enrollment_id, RequestType="ProfileList")
    user_command = server.enqueue(device.user_channel.enrollment_id, RequestType="ProfileList")
    server.requests.clear()

    await device.connect(transport)
    first_visit = {peer for *_, peer in server.requests}
    await device.connect(transport)

    assert len(first_visit) == 1
    assert len({peer for *_, peer in server.requests}) == 2
    assert server.waiting(device.user_channel.enrollment_id) == []
    assert device.user_channel.executed == {user_command: Status.ACKNOWLEDGED}


async def test_a_locked_iphone_puts_a_profile_off_and_installs_it_once_it_is_unlocked(
    server: Any, enrolled: Any, transport: Any
) -> None:
    device = await enrolled("iPhone")
    profile = server.enqueue(device.channel.enrollment_id, RequestType="InstallProfile", Payload=PROFILE)
    listing = server.enqueue(device.channel.enrollment_id, RequestType="ProfileList")
    device.condition = Condition(is_locked=True)

    await device.connect(transport)
    while_locked = dict(device.executed)
    device.condition = Condition()
    await device.connect(transport)

    assert (profile, Status.NOT_NOW) in server.statuses()
    assert while_locked == {listing: Status.ACKNOWLEDGED}
    assert device.executed[profile] is Status.ACKNOWLEDGED
    assert list(device.channel.installed.profiles) == ["org.example.wifi"]


async def test_a_result_that_is_not_taken_is_kept_and_sent_first_next_time(
    server: Any, enrolled: Any, transport: Any
) -> None:
    device = await enrolled()
    command = server.enqueue(device.channel.enrollment_id, **INFORMATION)
    server.results_to_refuse = 1

    with pytest.raises(ServerRefused):
        await device.connect(transport)
    kept = device.channel.unsent
    server.reports.clear()
    await device.connect(transport)

    assert kept.uuid == command
    assert server.statuses() == [(command, Status.ACKNOWLEDGED)]
    assert device.channel.unsent is None
    assert device.channel.executions[command] == 1


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
async def test_with_every_second_reply_lost_each_command_is_executed_once_and_reported_at_least_once(
    seed: int, server: Any, enrolled: Any, transport: Any, tally: Any
) -> None:
    device = await enrolled(seed=seed, lost_replies=0.5)
    commands = {server.enqueue(device.channel.enrollment_id, **INFORMATION) for _ in range(10)}

    while server.waiting(device.channel.enrollment_id) or device.channel.unsent:
        await device.connect(transport)

    assert tally.lost_replies > 0
    assert {uuid for uuid, _ in server.statuses() if uuid} == commands
    assert set(device.executed) == commands
    assert set(device.channel.executions.values()) == {1}


async def test_a_command_without_request_type_gets_a_format_error(server: Any, enrolled: Any, transport: Any) -> None:
    device = await enrolled()
    malformed = b"""<plist version="1.0"><dict><key>CommandUUID</key><string>C1</string>
    <key>Command</key><dict/></dict></plist>"""
    server.enqueue_bytes(device.channel.enrollment_id, malformed)

    await device.connect(transport)

    assert server.statuses()[-1] == ("C1", Status.COMMAND_FORMAT_ERROR)


async def test_a_command_that_cannot_be_named_ends_the_connect(server: Any, enrolled: Any, transport: Any) -> None:
    device = await enrolled()
    server.enqueue_bytes(device.channel.enrollment_id, b"<html>not a plist</html>")

    with pytest.raises(CommandUnreadable):
        await device.connect(transport)


@pytest.mark.parametrize(("status", "stays"), [(401, False), (403, True), (500, True)])
async def test_only_what_unenrolls_a_device_unenrolls_it(
    status: int, stays: bool, server: Any, enrolled: Any, transport: Any
) -> None:
    device = await enrolled()
    server.failures.append(status)

    with pytest.raises(ServerRefused):
        await device.connect(transport)

    assert device.is_enrolled is stays


async def test_an_erased_device_is_gone(server: Any, enrolled: Any, transport: Any) -> None:
    device = await enrolled()
    erase = server.enqueue(device.channel.enrollment_id, RequestType="EraseDevice")
    server.enqueue(device.channel.enrollment_id, RequestType="ProfileList")

    await device.connect(transport)
    requests = len(server.requests)
    await device.connect(transport)

    assert device.executed == {erase: Status.ACKNOWLEDGED}
    assert len(server.requests) == requests


async def test_an_unreachable_device_does_not_connect(server: Any, enrolled: Any, transport: Any) -> None:
    device = await enrolled()
    device.condition = replace(device.condition, is_reachable=False)
    requests = len(server.requests)

    assert await device.connect(transport) == 0
    assert len(server.requests) == requests


async def test_checking_out_ends_the_enrollment(server: Any, enrolled: Any, transport: Any) -> None:
    device = await enrolled()

    await device.check_out(transport)

    assert isinstance(server.checkins[-1], CheckOut)
    assert not device.is_enrolled
    assert await device.connect(transport) == 0
