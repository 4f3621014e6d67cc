"""The catalogue and assignments over the API."""

from typing import Any

import pytest

from mdmserver.access.model import Scope
from tests.apps.office import Office
from tests.web.api_server import RunningServer

CRM = {"key": "crm", "name": "CRM", "bundle_id": "com.example.crm", "platforms": ["ios", "macos"]}


async def test_pingid_is_there_without_anybody_adding_it(server: RunningServer) -> None:
    [app] = (await server.get("/api/v1/apps")).json["items"]

    assert (app["key"], app["app_store_id"], app["platforms"]) == ("pingid", 891247102, ["ios"])


async def test_an_app_is_added_changed_and_removed(server: RunningServer) -> None:
    added = await server.post("/api/v1/apps", CRM)
    facts = {name: value for name, value in added.json.items() if name != "key"}
    changed = await server.put("/api/v1/apps/crm", {**facts, "app_store_id": 7, "preference_domain": "com.example"})
    shown = await server.get("/api/v1/apps/crm")
    removed = await server.delete("/api/v1/apps/crm")

    assert (added.status, changed.status, removed.status) == (201, 200, 204)
    assert (shown.json["app_store_id"], shown.json["preference_domain"]) == (7, "com.example")
    assert (shown.json["assignments"], shown.json["configurations"]) == ([], [])
    assert (await server.get("/api/v1/apps/crm")).json["code"] == "app_not_found"


async def test_a_key_is_given_once(server: RunningServer) -> None:
    await server.post("/api/v1/apps", CRM)

    again = await server.post("/api/v1/apps", CRM)

    assert (again.status, again.json["code"]) == (409, "app_exists")


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"key": "C R M"}, "invalid_app"),
        ({"name": ""}, "invalid_app"),
        ({"bundle_id": "com/example"}, "invalid_app"),
        ({"app_store_id": 0}, "invalid_app"),
        ({"app_store_id": True}, "invalid_body"),
        ({"manifest_url": "http://example.com/m.plist"}, "invalid_app"),
        ({"platforms": []}, "invalid_app"),
        ({"platforms": ["windows"]}, "invalid_body"),
        ({"licence": "vpp"}, "invalid_body"),
    ],
)
async def test_what_no_app_can_be_is_refused(wrong: dict[str, Any], code: str, server: RunningServer) -> None:
    answer = await server.post("/api/v1/apps", {**CRM, **wrong})

    assert (answer.status, answer.json["code"]) == (400, code)


async def test_an_assignment_says_whether_it_is_new_and_how_many_devices_are_meant(
    server: RunningServer, office: Office
) -> None:
    await office.phone(1)
    await office.phone(2)

    first, again = [await server.put("/api/v1/apps/pingid/assignments", {"scope": "all"}) for _ in range(2)]
    taken_back = await server.delete("/api/v1/apps/pingid/assignments?scope=all")
    nothing = await server.delete("/api/v1/apps/pingid/assignments?scope=all")

    assert first.json == {"scope": "all", "changed": True, "devices": 2}
    assert again.json["changed"] is False
    assert (taken_back.json["changed"], nothing.json["changed"]) == (True, False)


async def test_a_device_is_meant_by_its_serial_number_and_shown_by_its_key(
    server: RunningServer, office: Office
) -> None:
    phone = await office.phone(1)

    answer = await server.put("/api/v1/apps/pingid/assignments", {"scope": "device:C00001", "effect": "remove"})

    shown = (await server.get("/api/v1/apps/pingid")).json["assignments"]
    assert answer.json["devices"] == 1
    assert shown == [{"scope": f"device:{phone.id.key}", "effect": "remove"}]


async def test_an_assignment_of_a_device_that_is_gone_can_be_taken_back(server: RunningServer, office: Office) -> None:
    phone = await office.phone(1)
    await server.put("/api/v1/apps/pingid/assignments", {"scope": "device:C00001"})
    await server.delete(f"/api/v1/enrollments/{phone.id}")

    answer = await server.delete(f"/api/v1/apps/pingid/assignments?scope=device:{phone.id.key}")

    assert (answer.status, answer.json["changed"]) == (200, True)


@pytest.mark.parametrize("scope", ["", "everyone", "all:x", "tag", "tag:", "tag:a,b", "group: x", "Tag:x"])
async def test_what_is_no_scope_is_refused(scope: str, server: RunningServer) -> None:
    answer = await server.put("/api/v1/apps/pingid/assignments", {"scope": scope})

    assert answer.status == 400


async def test_a_scope_of_an_unknown_device_is_not_found(server: RunningServer) -> None:
    answer = await server.put("/api/v1/apps/pingid/assignments", {"scope": "device:nobody"})

    assert (answer.status, answer.json["code"]) == (404, "enrollment_not_found")


async def test_an_app_that_is_assigned_is_not_removed(server: RunningServer) -> None:
    await server.put("/api/v1/apps/pingid/assignments", {"scope": "all"})

    answer = await server.delete("/api/v1/apps/pingid")

    assert (answer.status, answer.json["code"]) == (409, "app_in_use")


async def test_reading_does_not_let_one_change_anything(server: RunningServer) -> None:
    key = await server.key(Scope.APPS_READ)
    calls: list[tuple[str, str, object]] = [
        ("POST", "/api/v1/apps", CRM),
        ("PUT", "/api/v1/apps/pingid", CRM),
        ("DELETE", "/api/v1/apps/pingid", None),
        ("PUT", "/api/v1/apps/pingid/assignments", {"scope": "all"}),
        ("PUT", "/api/v1/apps/pingid/configuration", {"scope": "all", "values": {"a": 1}}),
        ("POST", "/api/v1/apps/pingid/profile", {"scope": "all"}),
        ("POST", "/api/v1/apps/pingid/again", None),
    ]

    answers = [await server.call(method, path, key=key, json=body) for method, path, body in calls]

    assert {(answer.status, answer.json["code"]) for answer in answers} == {(403, "scope_missing")}
    assert (await server.call("GET", "/api/v1/apps/pingid", key=key)).status == 200


async def test_each_change_has_one_record_in_the_audit_trail(server: RunningServer) -> None:
    before = len((await server.get("/api/v1/audit?limit=1000")).json["items"])
    await server.post("/api/v1/apps", CRM)
    for _ in range(2):
        await server.put("/api/v1/apps/crm/assignments", {"scope": "tag:sales"})
        await server.put("/api/v1/apps/crm/configuration", {"scope": "all", "values": {"a": 1}})
        await server.delete("/api/v1/apps/crm/configuration?scope=all")
        await server.delete("/api/v1/apps/crm/assignments?scope=tag:sales")
    await server.delete("/api/v1/apps/crm")

    records = (await server.get("/api/v1/audit?limit=1000")).json["items"][before:]

    assert [record["action"] for record in records] == [
        "app.add", *["app.assign", "app.configure", "app.unconfigure", "app.unassign"] * 2, "app.remove",
    ]  # fmt: skip
