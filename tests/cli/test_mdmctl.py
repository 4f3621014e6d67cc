"""`mdmctl` against a running server: what it prints and how it ends."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from mdmserver.access.model import Scope
from mdmserver.errors import IdentityRefused
from mdmserver.events import Hint
from mdmserver.protocol import EnrollmentID, Status
from tests.cli.conftest import Mdmctl
from tests.fleet import Fleet, certificate, device_id
from tests.source_tree import ROOT
from tests.web.api_server import RunningServer


@pytest.fixture
async def device(fleet: Fleet) -> EnrollmentID:
    """An enrolled device; its serial number is C00001."""
    return await fleet.enroll(1)


async def first_queued(fleet: Fleet, id: EnrollmentID) -> str:
    """The uuid of the first command that comes into a device's queue, handed out to it."""
    assert await fleet.services.hints.wait(Hint.COMMANDS_QUEUED, at_most_seconds=10)
    uuid = await fleet.idle(id)
    assert uuid is not None
    return uuid


@pytest.mark.usefixtures("device")
async def test_status_says_how_the_server_is(mdmctl: Mdmctl) -> None:
    plain, as_json = await mdmctl("status"), await mdmctl("status", "--json")

    assert plain.exit_code == as_json.exit_code == 0
    assert "1 enrolled" in plain.stdout
    assert "(no_push_certificate)" in plain.stderr
    assert json.loads(as_json.stdout)["enrollments"]["enrolled"] == 1
    assert as_json.stderr == ""


async def test_devices_are_listed_up_to_the_limit_or_all(mdmctl: Mdmctl, fleet: Fleet) -> None:
    for number in range(3):
        await fleet.enroll(number)

    limited = await mdmctl("devices", "list", "--limit", "2")
    everything = await mdmctl("devices", "list", "--all", "--json")
    one = await mdmctl("devices", "list", "--serial", "C00002", "--state", "enrolled", "--type", "Device", "--json")

    assert len(limited.stdout.splitlines()) == 3
    assert "there are more" in limited.stderr
    assert [item["serial_number"] for item in json.loads(everything.stdout)["items"]] == ["C00000", "C00001", "C00002"]
    assert [item["serial_number"] for item in json.loads(one.stdout)["items"]] == ["C00002"]


@pytest.mark.parametrize("reference", ["C00001", str(device_id(1))])
@pytest.mark.usefixtures("device")
async def test_a_device_is_shown_by_serial_number_or_id(mdmctl: Mdmctl, reference: str) -> None:
    shown, timeline = await mdmctl("devices", "show", reference), await mdmctl("devices", "timeline", reference)

    assert f"{device_id(1)}" in shown.stdout
    assert "enrollment_began" in timeline.stdout


async def test_what_is_not_there_ends_with_3(mdmctl: Mdmctl) -> None:
    for arguments in (["devices", "show", "X"], ["commands", "show", "X"], ["keys", "revoke", "X"]):
        result = await mdmctl(*arguments)

        assert result.exit_code == 3, arguments
        assert result.stdout == ""
        assert "_not_found)" in result.stderr


async def test_a_server_that_is_not_there_ends_with_4(mdmctl: Mdmctl) -> None:
    result = await mdmctl("status", url="http://127.0.0.1:1")

    assert result.exit_code == 4
    assert "http://127.0.0.1:1 cannot be reached: Connection refused" in result.stderr


async def test_a_key_is_read_from_standard_input_and_refused_as_an_argument(
    mdmctl: Mdmctl, server: RunningServer
) -> None:
    piped = await mdmctl("--key", "-", "status", input=await server.key(Scope.STATUS_READ) + "\n")
    unknown = await mdmctl("--key", "-", "status", input="mdm_0000000000_wrong\n")
    argument = await mdmctl("--key", server.admin_key, "status")
    empty = await mdmctl("--key", "-", "status", input="")

    assert [result.exit_code for result in (piped, unknown, argument, empty)] == [0, 1, 2, 2]
    assert server.admin_key not in argument.output


@pytest.mark.usefixtures("device")
async def test_a_missing_scope_is_one_line_with_its_code(mdmctl: Mdmctl, server: RunningServer) -> None:
    key = await server.key(Scope.STATUS_READ)

    result = await mdmctl("--key", "-", "devices", "list", input=key)

    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "(scope_missing)" in result.stderr


async def test_a_command_is_sent_and_its_uuid_printed(mdmctl: Mdmctl, fleet: Fleet, device: EnrollmentID) -> None:
    result = await mdmctl(
        "commands", "send", "DeviceInformation", 'Queries:=["UDID"]', "--to", "C00001", "--priority", "5"
    )

    uuid = result.stdout.strip()
    assert result.exit_code == 0, result.output
    item = (await fleet.items(device))[uuid]
    assert (item.request_type, item.priority) == ("DeviceInformation", 5)


@pytest.mark.usefixtures("device")
async def test_unknown_targets_are_listed_and_end_with_1_or_3(mdmctl: Mdmctl) -> None:
    some = await mdmctl("commands", "send", "ProfileList", "--to", "C00001", "--to", "nobody")
    none = await mdmctl("commands", "send", "ProfileList", "--to", "nobody")

    assert (some.exit_code, none.exit_code) == (1, 3)
    assert "refused: nobody" in some.stderr
    assert "refused: nobody" in none.stderr
    assert len(some.stdout.split()) == 1


async def test_targets_come_from_a_file(mdmctl: Mdmctl, fleet: Fleet, tmp_path: Path) -> None:
    ids = [await fleet.enroll(number) for number in (1, 2)]
    targets = tmp_path / "targets"
    targets.write_text(f"# two devices\n{ids[0]}\n\nC00002  # the other\n{ids[0]}\n")

    result = await mdmctl("commands", "send", "ProfileList", "--to-file", str(targets), "--json")

    assert json.loads(result.stdout)["queued"] == 2


@pytest.mark.usefixtures("device")
async def test_sending_again_with_the_same_idempotency_key_queues_nothing_new(mdmctl: Mdmctl) -> None:
    arguments = ("commands", "send", "ProfileList", "--all", "--idempotency-key", "once")

    first, second = await mdmctl(*arguments), await mdmctl(*arguments)
    listed = await mdmctl("commands", "list", "--json")

    assert first.stdout == second.stdout
    assert len(json.loads(listed.stdout)["items"]) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["ProfileList"],
        ["--all"],
        ["ProfileList", "--all", "--to", "X"],
        ["ProfileList", "--to", "X", "--type", "Device"],
        ["ProfileList", "NoEquals", "--all"],
        ["ProfileList", "--all", "--expires", "soon"],
        ["ProfileList", "--all", "--priority", "101"],
        ["ProfileList", "--all", "--plist", "-"],
    ],
)
async def test_a_command_that_is_not_clear_is_a_usage_error(mdmctl: Mdmctl, arguments: list[str]) -> None:
    assert (await mdmctl("commands", "send", *arguments)).exit_code == 2


async def test_waiting_ends_with_0_when_every_device_acknowledged(
    mdmctl: Mdmctl, fleet: Fleet, device: EnrollmentID
) -> None:
    waiting = asyncio.create_task(mdmctl("commands", "send", "ProfileList", "--all", "--wait"))
    uuid = await first_queued(fleet, device)
    await fleet.answer(device, uuid)

    result = await waiting

    assert result.exit_code == 0, result.output
    assert "acknowledged\t1" in result.stdout
    assert "1 of 1 finished: 1 acknowledged" in result.stderr


@pytest.mark.parametrize(
    ("act", "state", "why"),
    [
        (lambda fleet, id, uuid: fleet.answer(id, uuid, Status.ERROR), "error", "error at"),
        (
            lambda fleet, id, uuid: fleet.answer(id, uuid, Status.COMMAND_FORMAT_ERROR),
            "format_error",
            "format_error at",
        ),
        (lambda fleet, id, uuid: fleet.not_now(id, uuid), "not_now", "put it off 1 times"),
    ],
)
async def test_waiting_ends_with_5_and_says_why(
    mdmctl: Mdmctl, fleet: Fleet, device: EnrollmentID,
    act: Callable[[Fleet, EnrollmentID, str], Awaitable[object]], state: str, why: str,
) -> None:  # fmt: skip
    sending = ("commands", "send", "ProfileList", "--all", "--wait", "--timeout", "1s", "--json")
    waiting = asyncio.create_task(mdmctl(*sending))
    await act(fleet, device, await first_queued(fleet, device))

    result = await waiting

    assert result.exit_code == 5, result.output
    [target] = json.loads(result.stdout)["not_acknowledged"]
    assert (target["id"], target["state"]) == (str(device), state)
    assert why in target["explanation"]["text"]


@pytest.mark.usefixtures("device")
async def test_waiting_in_vain_says_that_the_command_stays_queued(mdmctl: Mdmctl) -> None:
    result = await mdmctl("commands", "send", "ProfileList", "--to", "C00001", "--wait", "--timeout", "0s")

    assert result.exit_code == 5
    assert "0 of 1 acknowledged; 1 have not answered yet, the command stays queued for them" in result.stderr
    assert "waiting for the device to connect" in result.stdout


@pytest.mark.usefixtures("device")
async def test_ctrl_c_while_waiting_says_that_the_command_stays_queued(server: RunningServer) -> None:
    arguments = ["--url", server.url, "commands", "send", "ProfileList", "--all", "--wait"]
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "MDMCTL_KEY": server.admin_key}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mdmserver.cli.mdmctl", *arguments, env=environment, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    await process.stderr.readuntil(b"0 of 1 finished")

    process.send_signal(signal.SIGINT)
    _, said = await process.communicate()

    assert process.returncode == 130
    assert b"the command stays queued. Look with: mdmctl commands show" in said


async def test_results_are_json_of_all_or_of_one_device(mdmctl: Mdmctl, fleet: Fleet, device: EnrollmentID) -> None:
    sent = await mdmctl("commands", "send", "DeviceInformation", "--all")
    uuid = sent.stdout.strip()
    before = await mdmctl("commands", "results", uuid)
    await fleet.idle(device)
    await fleet.report(device, Status.ACKNOWLEDGED, uuid, response={"QueryResponses": {"OSVersion": "18.1"}})

    results = [await mdmctl("commands", "results", uuid, *only) for only in ([], ["--to", "C00001"])]

    assert json.loads(before.stdout)["items"] == []
    assert "no result yet" in before.stderr
    for result in results:
        [item] = json.loads(result.stdout)["items"]
        assert item["result"]["QueryResponses"] == {"OSVersion": "18.1"}


@pytest.mark.usefixtures("device")
async def test_a_command_is_shown_explained_and_cancelled(mdmctl: Mdmctl) -> None:
    uuid = (await mdmctl("commands", "send", "ProfileList", "--all", "--expires", "2d")).stdout.strip()

    shown = await mdmctl("commands", "show", uuid)
    why = await mdmctl("commands", "why", uuid, "C00001")
    queue = await mdmctl("devices", "commands", "C00001")
    cancelled = await mdmctl("commands", "cancel", uuid, "--to", "C00001")
    targets = await mdmctl("commands", "targets", uuid, "--state", "cancelled")

    assert "queued\t1" in shown.stdout
    assert "waiting for the device to connect" in why.stdout
    assert uuid in queue.stdout
    assert "cancelled for 1 devices" in cancelled.stderr
    assert str(device_id(1)) in targets.stdout


@pytest.mark.usefixtures("device")
async def test_a_queue_is_cleared_only_when_told_so(mdmctl: Mdmctl) -> None:
    await mdmctl("commands", "send", "ProfileList", "--all")

    asked = await mdmctl("devices", "clear-queue", "C00001")
    told = await mdmctl("devices", "clear-queue", "C00001", "--yes", "--json")

    assert asked.exit_code == 2
    assert json.loads(told.stdout) == {"cancelled": 1}


@pytest.mark.usefixtures("device")
async def test_a_device_that_asks_to_enroll_again_is_listed_and_let_in(mdmctl: Mdmctl, fleet: Fleet) -> None:
    with pytest.raises(IdentityRefused):
        await fleet.authenticate(1, certificate(1, 2))

    pending = await mdmctl("devices", "pending")
    asked = await mdmctl("devices", "allow-reenroll", "C00001")
    told = await mdmctl("devices", "allow-reenroll", "C00001", "--yes")
    await fleet.enroll(1, certificate(1, 2))

    assert str(device_id(1)) in pending.stdout
    assert asked.exit_code == 2
    assert "begins a new life" in asked.stderr
    assert told.exit_code == 0, told.output


async def test_a_key_is_made_listed_used_and_revoked(mdmctl: Mdmctl) -> None:
    made = await mdmctl("keys", "create", "bob", "--scope", "status:read", "--expires", "90d")
    secret = made.stdout.strip()
    used = await mdmctl("--key", "-", "status", input=secret)
    listed = json.loads((await mdmctl("keys", "list", "--json")).stdout)["items"]
    [key_id] = [key["id"] for key in listed if key["name"] == "bob"]
    revoked = await mdmctl("keys", "revoke", key_id)
    late = await mdmctl("--key", "-", "status", input=secret)

    assert (made.exit_code, used.exit_code, revoked.exit_code, late.exit_code) == (0, 0, 0, 1)
    assert secret not in (await mdmctl("keys", "list")).output
    assert "key.revoke" in (await mdmctl("audit", "list")).stdout
