"""S25: an unlock token goes from the device into its own ClearPasscode, and nowhere else."""

import base64
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from mdmserver.access.model import Scope
from mdmserver.bootstrap import DATABASE
from mdmserver.commands.model import ItemState
from mdmserver.commands.request import CommandRequest
from mdmserver.errors import Conflict
from mdmserver.protocol import CommandUUID, EnrollmentID, Status, build_command, loads
from tests.fleet import ADMIN, Fleet, certificate, plist_command, token_update
from tests.web.api_server import RunningServer

TOKEN = b"CANARY-unlock-5d1e0c77aa"
CLEAR = CommandRequest(payload={"RequestType": "ClearPasscode"}, may_destroy=True)


async def with_token(fleet: Fleet, number: int, token: bytes = TOKEN) -> EnrollmentID:
    """An enrolled device that has sent this unlock token."""
    device = await fleet.enroll(number)
    update = replace(token_update(device), unlock_token=token)
    await fleet.services.checkin.answer(update, certificate(number))
    return device


async def delivered(fleet: Fleet, device: EnrollmentID) -> dict[str, object]:
    body = await fleet.report(device, Status.IDLE)
    assert body is not None
    return loads(body)


def forms(secret: bytes) -> Iterator[bytes]:
    yield secret
    yield secret.hex().encode()
    for offset in range(3):
        yield base64.b64encode(b"\0" * offset + secret)[4 if offset else 0 : -4]


def is_in(haystack: bytes) -> bool:
    return any(form in haystack for form in forms(TOKEN))


def stored_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob(f"{DATABASE}*"))


async def test_each_device_gets_its_own_token_and_no_other(fleet: Fleet) -> None:
    first, second = await with_token(fleet, 1, b"token of 1"), await with_token(fleet, 2, b"token of 2")

    for device in (first, second):
        await fleet.services.commands.enqueue(CLEAR, [str(device)], actor=ADMIN)

    commands = [(await delivered(fleet, device))["Command"] for device in (first, second)]
    assert commands == [
        {"RequestType": "ClearPasscode", "UnlockToken": b"token of 1"},
        {"RequestType": "ClearPasscode", "UnlockToken": b"token of 2"},
    ]


async def test_the_token_of_the_delivery_is_the_newest_that_the_device_sent(fleet: Fleet) -> None:
    device = await with_token(fleet, 1, b"old")
    await fleet.services.commands.enqueue(CLEAR, [str(device)], actor=ADMIN)

    await fleet.services.checkin.answer(replace(token_update(device), unlock_token=b"new"), certificate(1))

    assert (await delivered(fleet, device))["Command"] == {"RequestType": "ClearPasscode", "UnlockToken": b"new"}


async def test_a_device_without_a_token_is_refused_when_it_is_enqueued(fleet: Fleet) -> None:
    without, device = await fleet.enroll(1), await with_token(fleet, 2)

    both = await fleet.services.commands.enqueue(CLEAR, [str(without), str(device)], actor=ADMIN)
    alone = await fleet.services.commands.enqueue(CLEAR, [str(without)], actor=ADMIN)

    assert (both.queued, both.refused) == (1, {str(without): "no_unlock_token"})
    assert (alone.queued, alone.refused) == (0, {str(without): "no_unlock_token"})
    assert await fleet.states(without) == {}


async def test_a_whole_plist_without_a_token_keeps_its_uuid_and_gets_the_devices(fleet: Fleet) -> None:
    device = await with_token(fleet, 1)
    request = CommandRequest(plist=plist_command("MINE", "ClearPasscode"), may_destroy=True)

    await fleet.services.commands.enqueue(request, [str(device)], actor=ADMIN)

    assert await delivered(fleet, device) == {
        "CommandUUID": "MINE", "Command": {"RequestType": "ClearPasscode", "UnlockToken": TOKEN},
    }  # fmt: skip


async def test_a_whole_plist_with_a_token_is_sent_as_it_is(fleet: Fleet) -> None:
    device = await fleet.enroll(1)
    theirs = {"RequestType": "ClearPasscode", "UnlockToken": b"from elsewhere"}
    plist = build_command(CommandUUID("MINE"), theirs).body
    request = CommandRequest(plist=plist, may_destroy=True)

    await fleet.services.commands.enqueue(request, [str(device)], actor=ADMIN)

    assert await fleet.report(device, Status.IDLE) == plist


async def test_the_token_is_in_no_file_no_log_and_no_audit_record(
    fleet: Fleet, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    device = await with_token(fleet, 1)
    outcome = await fleet.services.commands.enqueue(CLEAR, [str(device)], actor=ADMIN)
    body = await fleet.report(device, Status.IDLE)
    await fleet.answer(device, outcome.uuid)

    assert body is not None
    assert is_in(body)
    assert not is_in(stored_bytes(tmp_path))
    assert not is_in("\n".join(repr(record.__dict__) + record.getMessage() for record in caplog.records).encode())
    records = (await fleet.services.audit.records(cursor=None, limit=1000)).items
    assert not is_in(repr(records).encode())
    with pytest.raises(Conflict):
        await fleet.services.commands.command_body(outcome.uuid)
    assert await fleet.states(device) == {outcome.uuid: ItemState.ACKNOWLEDGED}


async def test_no_answer_of_the_api_holds_the_token(server: RunningServer, fleet: Fleet) -> None:
    device = await with_token(fleet, 1)
    queued = await server.post(
        "/api/v1/commands", {"command": {"RequestType": "ClearPasscode"}, "targets": [str(device)]}
    )
    uuid = queued.json["uuid"]
    await fleet.report(device, Status.IDLE)
    await fleet.report(device, Status.ACKNOWLEDGED, uuid, response={"UnlockToken": TOKEN})

    paths = [
        f"/api/v1/enrollments/{device}", f"/api/v1/enrollments/{device}/timeline",
        f"/api/v1/enrollments/{device}/commands", "/api/v1/commands", f"/api/v1/commands/{uuid}",
        f"/api/v1/commands/{uuid}/body", f"/api/v1/commands/{uuid}/targets", f"/api/v1/commands/{uuid}/results",
        f"/api/v1/commands/{uuid}/targets/{device}", "/api/v1/audit",
    ]  # fmt: skip
    answers = {path: await server.get(path) for path in paths}

    assert queued.status == 201
    assert [path for path, answer in answers.items() if is_in(answer.body)] == []
    assert answers[f"/api/v1/commands/{uuid}/body"].status == 409
    assert {path for path, answer in answers.items() if answer.status != 200} == {f"/api/v1/commands/{uuid}/body"}


async def test_without_the_scope_not_even_ones_own_token_is_sent(server: RunningServer, fleet: Fleet) -> None:
    device = await with_token(fleet, 1)
    key = await server.key(Scope.COMMANDS_SEND, Scope.COMMANDS_READ, Scope.DEVICES_WRITE)
    plist = build_command(CommandUUID("C1"), {"RequestType": "ClearPasscode", "UnlockToken": TOKEN}).body

    refused = await server.call(
        "POST", f"/api/v1/commands?target={device}", key=key, data=plist, headers={"Content-Type": "application/xml"}
    )

    assert (refused.status, msgspec.json.decode(refused.body)["code"]) == (403, "scope_missing")
    assert not is_in(refused.body)
