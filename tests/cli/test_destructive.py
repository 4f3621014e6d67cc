"""`mdmctl devices erase | lock | clear-passcode`: what is said, asked and shown."""

import asyncio
import json
import os
import pty
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mdmserver.cli.destructive import is_confirmed
from mdmserver.protocol import EnrollmentID, Status, loads
from tests.cli.conftest import Mdmctl
from tests.fleet import Fleet, certificate, token_update
from tests.source_tree import ROOT
from tests.web.api_server import RunningServer

ADA = {"serial_number": "C00001", "device_name": "Ada's Mac", "id": "ID-1"}


@pytest.fixture
async def device(fleet: Fleet) -> EnrollmentID:
    """An enrolled device; its serial number is C00001."""
    return await fleet.enroll(1)


async def delivered(fleet: Fleet, id: EnrollmentID) -> dict[str, object]:
    body = await fleet.report(id, Status.IDLE)
    assert body is not None
    command: dict[str, object] = loads(body)["Command"]
    return command


@pytest.mark.parametrize("typed", ["C00001", " C00001\n", "Ada's Mac", "ID-1"])
def test_one_device_is_confirmed_by_its_serial_number_or_name(typed: str) -> None:
    assert is_confirmed(typed, [ADA])


@pytest.mark.parametrize("typed", ["", "y", "yes", "1", "C00002", "c00001"])
def test_nothing_else_confirms_it(typed: str) -> None:
    assert not is_confirmed(typed, [ADA])
    assert not is_confirmed("", [{"serial_number": "", "device_name": None, "id": "ID-1"}])


def test_several_are_confirmed_by_their_number() -> None:
    assert is_confirmed("2", [ADA, ADA])
    assert not any(is_confirmed(typed, [ADA, ADA]) for typed in ("C00001", "3", "yes", ""))


async def test_erase_says_what_it_does_and_prints_the_pin_alone_on_standard_output(
    mdmctl: Mdmctl, fleet: Fleet, device: EnrollmentID
) -> None:
    result = await mdmctl("devices", "erase", "C00001", "--preserve-data-plan", "--yes")

    command = await delivered(fleet, device)
    assert result.exit_code == 0, result.stderr
    assert "is erased, for good" in result.stderr
    assert "expires" in result.stderr
    assert command == {"RequestType": "EraseDevice", "PreserveDataPlan": True, "PIN": result.stdout.strip()}
    assert result.stdout.strip() not in result.stderr


async def test_where_nobody_can_be_asked_nothing_is_done(mdmctl: Mdmctl, fleet: Fleet, device: EnrollmentID) -> None:
    result = await mdmctl("devices", "erase", "C00001", input="C00001\n")

    assert result.exit_code == 2
    assert "--yes" in result.stderr
    assert await fleet.states(device) == {}


@pytest.mark.parametrize(("typed", "queued"), [("C00001", 1), ("yes", 0)])
async def test_a_person_types_which_device(
    server: RunningServer, fleet: Fleet, device: EnrollmentID, tmp_path: Path, typed: str, queued: int
) -> None:
    key_file = tmp_path / "key"
    key_file.write_text(server.admin_key)
    controller, terminal = pty.openpty()
    os.write(controller, f"{typed}\n".encode())
    arguments = ["--url", server.url, "--key-file", str(key_file), "devices", "erase", "C00001"]

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mdmserver.cli.mdmctl", *arguments, cwd=ROOT, stdin=terminal,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, said = await process.communicate()
    os.close(terminal)
    os.close(controller)

    assert b"type the device's serial number or name" in said
    assert process.returncode == (0 if queued else 1), said
    assert len(await fleet.states(device)) == queued


async def test_lock_takes_message_phone_and_pin_from_a_file(
    mdmctl: Mdmctl, fleet: Fleet, device: EnrollmentID, tmp_path: Path
) -> None:
    (tmp_path / "pin").write_text("012345\n")
    words = ("--message", "Lost", "--phone", "555", "--pin-file", str(tmp_path / "pin"))

    result = await mdmctl("devices", "lock", "C00001", *words, "--yes")

    assert (result.exit_code, result.stdout) == (0, "")
    assert await delivered(fleet, device) == {
        "RequestType": "DeviceLock", "Message": "Lost", "PhoneNumber": "555", "PIN": "012345",
    }  # fmt: skip


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize("content", [b"", b"12345", b"1234567", b"abcdef", b"\xff\xfe"])
async def test_a_pin_file_without_a_pin_is_wrong_usage(mdmctl: Mdmctl, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pin").write_bytes(content)

    result = await mdmctl("devices", "lock", "C00001", "--pin-file", str(tmp_path / "pin"), "--yes")

    assert result.exit_code == 2


async def test_several_wait_unless_told_not_to(mdmctl: Mdmctl, fleet: Fleet, device: EnrollmentID) -> None:
    other = await fleet.enroll(2)

    held = await mdmctl("devices", "lock", "C00001", "C00002", "C00001", "--yes", "--json")
    said = await mdmctl("devices", "lock", "C00001", "C00002", "--yes")

    answer = json.loads(held.stdout)
    assert (answer["queued"], answer["not_before"]) == (2, "2026-01-01T00:05:00Z")
    assert "each of these 2 devices" in said.stderr
    assert "mdmctl commands cancel" in said.stderr
    assert [await fleet.idle(each) for each in (device, other)] == [None, None]


async def test_clear_passcode_takes_no_token_and_shows_none(mdmctl: Mdmctl, fleet: Fleet, device: EnrollmentID) -> None:
    await fleet.services.checkin.answer(replace(token_update(device), unlock_token=b"canary"), certificate(1))

    result = await mdmctl("devices", "clear-passcode", "C00001", "--yes")

    assert (result.exit_code, result.stdout) == (0, "")
    assert "canary" not in result.output
    assert (await delivered(fleet, device))["UnlockToken"] == b"canary"


@pytest.mark.usefixtures("device")
async def test_a_device_without_an_unlock_token_is_refused_in_plain_words(mdmctl: Mdmctl) -> None:
    result = await mdmctl("devices", "clear-passcode", "C00001", "--yes")

    assert result.exit_code == 3
    assert "no unlock token" in result.stderr


async def test_what_is_held_is_released(mdmctl: Mdmctl, fleet: Fleet, device: EnrollmentID) -> None:
    uuid = json.loads((await mdmctl("devices", "lock", "C00001", "--yes", "--json")).stdout)["uuid"]
    await fleet.services.commands.quarantine()

    why = await mdmctl("commands", "why", uuid, "C00001")
    released = await mdmctl("commands", "release", uuid)

    assert "restored backup" in why.stdout
    assert released.exit_code == 0
    assert await fleet.idle(device) == uuid
