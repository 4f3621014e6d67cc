"""Commands over the API: sent, followed, cancelled."""

from base64 import b64encode
from io import BytesIO
from typing import Any

import msgspec
import pytest

from mdmserver.access.model import Scope
from mdmserver.commands.model import ItemState
from mdmserver.protocol import CommandUUID, Status, loads
from tests.fleet import Fleet, device_id, plist_command
from tests.web.api_server import Answer, RunningServer

PROFILE_LIST = {"RequestType": "ProfileList"}


async def body_of(server: RunningServer, uuid: str) -> bytes:
    return await server.services.commands.command_body(CommandUUID(uuid))


async def test_command_dictionary_is_queued(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)
    command = {"RequestType": "InstallProfile", "Payload": {"$data": "AAEC"}, "When": {"$date": "2026-01-02T03:04:05Z"}}

    answer = await server.post("/api/v1/commands", {"command": command, "targets": [str(id)], "priority": 7})

    assert answer.status == 201
    assert answer.json == {"uuid": answer.json["uuid"], "request_type": "InstallProfile", "queued": 1, "refused": {}}
    sent = loads(await body_of(server, answer.json["uuid"]))["Command"]
    assert (sent["Payload"], sent["When"].isoformat()) == (b"\0\1\2", "2026-01-02T03:04:05+00:00")
    assert (await fleet.items(id))[answer.json["uuid"]].priority == 7


async def test_plist_inside_json_keeps_its_bytes(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)
    plist = plist_command("MINE") + b"\n<!-- kept -->"

    answer = await server.post("/api/v1/commands", {"plist": b64encode(plist).decode(), "targets": [str(id)]})

    assert answer.json["uuid"] == "MINE"
    assert (await server.get("/api/v1/commands/MINE/body")).body == plist


@pytest.mark.parametrize("media_type", ["application/xml", "text/xml; charset=utf-8", "application/x-plist"])
async def test_plist_as_the_body_keeps_its_bytes(media_type: str, server: RunningServer, fleet: Fleet) -> None:
    first, second = await fleet.enroll(1), await fleet.enroll(2)
    path = f"/api/v1/commands?target={first}&target={second}&priority=3&expires_at=2026-01-02T00:00:00Z"

    answer = await server.post(path, data=plist_command("MINE"), headers={"Content-Type": media_type})

    assert (answer.status, answer.json["queued"]) == (201, 2)
    assert await body_of(server, "MINE") == plist_command("MINE")
    assert (await fleet.items(first))["MINE"].priority == 3


async def test_everyone_is_every_device_unless_types_are_given(server: RunningServer, fleet: Fleet) -> None:
    device, user = await fleet.enroll(1), await fleet.log_in(1)

    to_devices = await server.post("/api/v1/commands", {"command": PROFILE_LIST, "everyone": True})
    to_users = await server.post("/api/v1/commands", {"command": PROFILE_LIST, "everyone": True, "types": ["User"]})

    assert (to_devices.json["queued"], to_users.json["queued"]) == (1, 1)
    assert list(await fleet.items(device)) == [to_devices.json["uuid"]]
    assert list(await fleet.items(user)) == [to_users.json["uuid"]]


async def test_targets_that_are_refused_are_named_and_the_others_have_it(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)

    answer = await server.post("/api/v1/commands", {"command": PROFILE_LIST, "targets": [str(id), "nobody"]})

    assert answer.status == 201
    assert (answer.json["queued"], answer.json["refused"]) == (1, {"nobody": "not_found"})


async def test_command_for_nobody_is_not_kept(server: RunningServer) -> None:
    answer = await server.post("/api/v1/commands", {"command": PROFILE_LIST, "targets": ["a", "b"]})

    assert (answer.status, answer.json["code"]) == (404, "no_usable_target")
    assert answer.json["refused"] == {"a": "not_found", "b": "not_found"}
    assert (await server.get("/api/v1/commands")).json["items"] == []


async def test_same_idempotency_key_queues_once(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)
    body = {"command": PROFILE_LIST, "targets": [str(id)]}
    headers = {"Idempotency-Key": "monday"}

    first = await server.post("/api/v1/commands", body, headers=headers)
    second = await server.post("/api/v1/commands", body, headers=headers)
    other = await server.post("/api/v1/commands", {**body, "command": {"RequestType": "SecurityInfo"}}, headers=headers)

    assert (first.status, second.status, other.status) == (201, 201, 409)
    assert first.json["uuid"] == second.json["uuid"]
    assert other.json["code"] == "command_differs"
    assert len(await fleet.items(id)) == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"command": PROFILE_LIST}, "invalid_targets"),
        ({"command": PROFILE_LIST, "targets": []}, "invalid_targets"),
        ({"command": PROFILE_LIST, "targets": ["x"], "everyone": True}, "invalid_targets"),
        ({"command": PROFILE_LIST, "targets": ["x"], "types": ["User"]}, "invalid_targets"),
        ({"targets": ["x"]}, "invalid_command"),
        ({"command": PROFILE_LIST, "plist": "AAAA", "targets": ["x"]}, "invalid_command"),
        ({"plist": "AAAA", "targets": ["x"]}, "invalid_command"),
        ({"command": {}, "targets": ["x"]}, "invalid_command"),
        ({"command": {"RequestType": 5}, "targets": ["x"]}, "invalid_command"),
        ({"command": {"RequestType": "A", "B": None}, "targets": ["x"]}, "invalid_command"),
        ({"command": {"RequestType": "A", "B": 2**64}, "targets": ["x"]}, "invalid_command"),
        ({"command": {"RequestType": "A", "B": 10**400}, "targets": ["x"]}, "invalid_command"),
        ({"command": PROFILE_LIST, "targets": ["x"], "priority": 101}, "invalid_priority"),
        ({"command": PROFILE_LIST, "targets": ["x"], "expires_at": "2020-01-01T00:00:00Z"}, "invalid_expiry"),
        ({"command": PROFILE_LIST, "targets": ["x"], "expires_at": "2027-01-01T00:00:00"}, "invalid_body"),
        ({"command": PROFILE_LIST, "targets": ["x"], "typo": 1}, "invalid_body"),
        ({"command": PROFILE_LIST, "targets": [""]}, "invalid_body"),
        ({"command": PROFILE_LIST, "targets": "x"}, "invalid_body"),
        ({"command": PROFILE_LIST, "targets": ["x" * 513]}, "invalid_body"),
        ({"command": [], "targets": ["x"]}, "invalid_body"),
        ({"plist": "not base64!", "targets": ["x"]}, "invalid_body"),
        ([], "invalid_body"),
    ],
)
async def test_command_that_cannot_be_right_is_a_400(body: Any, code: str, server: RunningServer) -> None:
    raw = str(body).replace("'", '"').replace("True", "true").replace("None", "null")

    answer = await server.post("/api/v1/commands", data=raw, headers={"Content-Type": "application/json"})

    assert (answer.status, answer.json["code"]) == (400, code)


async def test_validation_names_the_place_of_the_fault(server: RunningServer) -> None:
    answer = await server.post("/api/v1/commands", {"command": PROFILE_LIST, "targets": ["x", 5]})

    assert "$.targets[1]" in answer.json["detail"]


@pytest.mark.parametrize("request_type", ["EraseDevice", "DeviceLock", "ClearPasscode"])
async def test_destructive_command_is_refused_without_its_scope(
    request_type: str, server: RunningServer, fleet: Fleet
) -> None:
    id = await fleet.enroll(1)
    key = await server.key(*(scope for scope in Scope if scope is not Scope.COMMANDS_DESTROY))
    body = {"command": {"RequestType": request_type}, "targets": [str(id)]}

    answer = await server.call("POST", "/api/v1/commands", key=key, json=body)

    assert (answer.status, answer.json["code"]) == (403, "scope_missing")


async def test_json_body_goes_without_query_parameters(server: RunningServer) -> None:
    answer = await server.post("/api/v1/commands?everyone=true", {"command": PROFILE_LIST, "everyone": True})

    assert (answer.status, answer.json["code"]) == (400, "invalid_query")


async def test_other_media_types_are_refused(server: RunningServer) -> None:
    answer = await server.post("/api/v1/commands", data=b"a=b", headers={"Content-Type": "text/plain"})

    assert (answer.status, answer.json["code"]) == (415, "unsupported_media_type")


async def test_hundred_thousand_targets_fit_and_one_more_does_not(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)
    targets = [str(id), *(str(device_id(number)) for number in range(2, 100_001))]

    async def send(to: list[str]) -> Answer:
        body = BytesIO(msgspec.json.encode({"command": PROFILE_LIST, "targets": to}))
        return await server.post("/api/v1/commands", data=body, headers={"Content-Type": "application/json"})

    fitting, too_many = await send(targets), await send([*targets, "x"])

    assert (fitting.status, fitting.json["queued"], len(fitting.json["refused"])) == (201, 1, 99_999)
    assert (too_many.status, too_many.json["code"]) == (400, "invalid_body")


async def test_commands_are_listed_newest_first_and_by_type(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)
    for uuid in ("A", "B", "C"):
        await fleet.enqueue(uuid, id, request_type="SecurityInfo" if uuid == "B" else "ProfileList")

    page = (await server.get("/api/v1/commands?limit=2")).json
    rest = (await server.get(f"/api/v1/commands?limit=2&cursor={page['next_cursor']}")).json
    by_type = (await server.get("/api/v1/commands?request_type=SecurityInfo")).json

    assert [item["uuid"] for item in page["items"] + rest["items"]] == ["C", "B", "A"]
    assert rest["next_cursor"] is None
    assert [item["uuid"] for item in by_type["items"]] == ["B"]
    assert set(page["items"][0]) == {
        "uuid", "request_type", "created_at", "created_by", "idempotency_key", "not_before", "expires_at", "priority",
    }  # fmt: skip


async def test_progress_counts_targets_by_state(server: RunningServer, fleet: Fleet) -> None:
    first, second = await fleet.enroll(1), await fleet.enroll(2)
    await fleet.enqueue("A", first, second)
    await fleet.idle(first)
    await fleet.answer(first, "A")

    answer = await server.get("/api/v1/commands/A")

    assert answer.json["progress"] == {"acknowledged": 1, "queued": 1, "total": 2, "finished": 1}


async def test_targets_are_listed_by_state(server: RunningServer, fleet: Fleet) -> None:
    first, second = await fleet.enroll(1), await fleet.enroll(2)
    await fleet.enqueue("A", first, second)
    await fleet.idle(second)

    answer = await server.get("/api/v1/commands/A/targets?state=sent")

    assert [item["id"] for item in answer.json["items"]] == [str(second)]


async def test_target_is_explained(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)
    await fleet.enqueue("A", id)
    await fleet.idle(id)
    await fleet.report(id, Status.NOT_NOW, "A")

    answer = await server.get(f"/api/v1/commands/A/targets/{id}")

    assert answer.json["explanation"]["code"] == "not_now"
    assert answer.json["item"]["state"] == "not_now"
    assert "not_now" in [entry["kind"] for entry in answer.json["timeline"]]
    assert answer.json["result"] is None


async def test_target_that_does_not_have_the_command_is_a_404(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)
    other = await fleet.enroll(2)
    await fleet.enqueue("A", id)

    answer = await server.get(f"/api/v1/commands/A/targets/{other}")

    assert (answer.status, answer.json["code"]) == (404, "target_not_found")


@pytest.mark.parametrize("path", ["", "/body", "/targets", "/results"])
async def test_unknown_command_is_a_404(path: str, server: RunningServer) -> None:
    answer = await server.get(f"/api/v1/commands/NONE{path}")

    assert (answer.status, answer.json["code"]) == (404, "command_not_found")


async def test_cancelling_is_for_all_or_for_some(server: RunningServer, fleet: Fleet) -> None:
    first, second, third = [await fleet.enroll(number) for number in (1, 2, 3)]
    await fleet.enqueue("A", first, second, third)

    some = await server.post("/api/v1/commands/A/cancel", {"targets": [str(first)]})
    rest = await server.post("/api/v1/commands/A/cancel")
    again = await server.post("/api/v1/commands/A/cancel", {})

    assert [some.json, rest.json, again.json] == [{"cancelled": 1}, {"cancelled": 2}, {"cancelled": 0}]
    assert await fleet.states(third) == {"A": ItemState.CANCELLED}


async def test_cancelling_for_an_unknown_target_cancels_nothing(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)
    await fleet.enqueue("A", id)

    answer = await server.post("/api/v1/commands/A/cancel", {"targets": [str(id), "nobody"]})

    assert answer.status == 404
    assert await fleet.states(id) == {"A": ItemState.QUEUED}


async def test_cancelling_for_an_empty_list_is_no_way_to_say_all(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)
    await fleet.enqueue("A", id)

    answer = await server.post("/api/v1/commands/A/cancel", {"targets": []})

    assert answer.status == 400
    assert await fleet.states(id) == {"A": ItemState.QUEUED}


async def test_answers_are_json_that_decodes(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)
    await fleet.enqueue("A", id)

    answer = await server.get("/api/v1/commands/A/targets")

    assert msgspec.json.decode(answer.body)["items"][0]["queued_at"] == "2026-01-01T00:00:00Z"
