"""S28 over HTTP: the scope on every surface that takes commands, the PIN shown once, and the way out of quarantine."""

from base64 import b64encode
from typing import Any

from mdmserver.access.model import Scope
from mdmserver.protocol import EnrollmentID, Status
from tests.fleet import Fleet, plist_command
from tests.web.api_server import Answer, RunningServer

ERASE = {"RequestType": "EraseDevice"}


async def tool(server: RunningServer, key: str, id: EnrollmentID, body: bytes) -> Answer:
    """What a tool made for NanoMDM sends."""
    basic = {"Authorization": "Basic " + b64encode(f"nanomdm:{key}".encode()).decode()}
    return await server.call("PUT", f"/v1/enqueue/{id}?nopush=1", headers=basic, data=body)


async def test_every_surface_refuses_without_the_scope_and_takes_with_it(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)
    sender = await server.key(*(scope for scope in Scope if scope is not Scope.COMMANDS_DESTROY))
    destroyer = await server.key(Scope.COMMANDS_SEND, Scope.COMMANDS_DESTROY)

    def forms(name: str) -> list[dict[str, Any]]:
        plist = plist_command(f"{name} inside", "EraseDevice")
        return [
            {"json": {"command": ERASE, "targets": [str(id)]}},
            {"json": {"plist": b64encode(plist).decode(), "targets": [str(id)]}},
            {"data": plist_command(f"{name} raw", "DeviceLock"), "headers": {"Content-Type": "application/xml"}},
        ]

    async def statuses(name: str, key: str) -> list[int]:
        answers = []
        for form in forms(name):
            path = f"/api/v1/commands?target={id}" if "data" in form else "/api/v1/commands"
            answers.append(await server.call("POST", path, key=key, **form))
        answers.append(await tool(server, key, id, plist_command(f"{name} tool", "EraseDevice")))
        return [answer.status for answer in answers]

    refused, kept = await statuses("refused", sender), await fleet.states(id)
    taken = await statuses("taken", destroyer)

    assert (refused, kept) == ([403, 403, 403, 500], {})
    assert taken == [201, 201, 201, 200]
    assert len(await fleet.states(id)) == 4


async def test_the_scope_alone_sends_nothing(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)
    key = await server.key(Scope.COMMANDS_DESTROY)

    answer = await server.call("POST", "/api/v1/commands", key=key, json={"command": ERASE, "targets": [str(id)]})

    assert answer.status == 403
    assert await fleet.states(id) == {}


async def test_the_pin_is_in_the_first_answer_and_in_no_other(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)
    body, headers = {"command": ERASE, "targets": [str(id)]}, {"Idempotency-Key": "monday"}

    first = await server.post("/api/v1/commands", body, headers=headers)
    again = await server.post("/api/v1/commands", body, headers=headers)
    uuid, pin = first.json["uuid"], first.json["pin"]
    await fleet.report(id, Status.IDLE)
    await fleet.report(id, Status.ACKNOWLEDGED, uuid, response={"PIN": pin})

    assert len(pin) == 6
    assert (again.json["uuid"], "pin" in again.json) == (uuid, False)
    for path in ("", f"/{uuid}", f"/{uuid}/targets", f"/{uuid}/results", f"/{uuid}/targets/{id}", f"/{uuid}/body"):
        shown = await server.get(f"/api/v1/commands{path}")
        assert f'"{pin}"'.encode() not in shown.body, path
        assert f"<string>{pin}".encode() not in shown.body, path
    assert pin.encode() not in b"".join(
        str(item["detail"]).encode() for item in (await server.get("/api/v1/audit")).json["items"]
    )


async def test_a_phone_gets_no_pin(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)
    await server.services.storage.run(lambda tx: tx.execute("UPDATE enrollment SET product_name = 'iPhone15,2'"))

    answer = await server.post("/api/v1/commands", {"command": ERASE, "targets": [str(id)]})

    assert (answer.status, "pin" in answer.json) == (201, False)


async def test_the_answer_says_from_when_to_when_it_may_go(server: RunningServer, fleet: Fleet) -> None:
    ids = [str(await fleet.enroll(number)) for number in (1, 2)]

    answer = await server.post("/api/v1/commands", {"command": ERASE, "targets": ids})

    assert (answer.json["not_before"], answer.json["expires_at"]) == ("2026-01-01T00:05:00Z", "2026-01-02T00:00:00Z")


async def test_beyond_the_cap_the_answer_says_when(server: RunningServer, fleet: Fleet) -> None:
    ids = [str(await fleet.enroll(number)) for number in range(6)]
    await server.post("/api/v1/commands", {"command": ERASE, "targets": ids[:5]})

    over = await server.post("/api/v1/commands", {"command": ERASE, "targets": ids[5:]})
    tool_over = await tool(server, server.admin_key, await fleet.enroll(7), plist_command("C9", "DeviceLock"))

    assert (over.status, over.json["code"]) == (409, "destructive_cap_reached")
    assert "2026-01-01T00:10:01+00:00" in over.json["detail"]
    assert "destructive.per_ten_minutes" in over.json["detail"]
    assert (tool_over.status, "00:10:01" in tool_over.json["command_error"]) == (500, True)


async def test_what_is_held_is_shown_and_released_by_those_who_may_destroy(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)
    uuid = (await server.post("/api/v1/commands", {"command": ERASE, "targets": [str(id)]})).json["uuid"]
    await server.services.commands.quarantine()
    sender = await server.key(Scope.COMMANDS_SEND)

    shown = (await server.get(f"/api/v1/commands/{uuid}/targets/{id}")).json
    refused = await server.call("POST", f"/api/v1/commands/{uuid}/release", key=sender)
    released = await server.post(f"/api/v1/commands/{uuid}/release")

    assert (shown["explanation"]["code"], shown["item"]["held_at"]) == ("held", "2026-01-01T00:00:00Z")
    assert (refused.status, released.status, released.json) == (403, 200, {"released": 1})
    assert await fleet.idle(id) == uuid
