"""Tags and groups over the API."""

import pytest

from tests.apps.office import Office
from tests.web.api_server import RunningServer


@pytest.fixture(autouse=True)
async def devices(office: Office) -> None:
    for number in range(1, 4):
        await office.phone(number)


async def test_tags_are_put_on_and_taken_off(server: RunningServer) -> None:
    put = await server.post("/api/v1/enrollments/C00001/tags", {"add": ["sales", "with / slash"]})
    taken = await server.post("/api/v1/enrollments/C00001/tags", {"add": ["x"], "remove": ["sales"]})

    assert put.json["tags"] == ["sales", "with / slash"]
    assert taken.json["tags"] == ["with / slash", "x"]
    assert (await server.get("/api/v1/tags")).json["items"] == [
        {"name": "with / slash", "devices": 1}, {"name": "x", "devices": 1},
    ]  # fmt: skip
    [member] = (await server.get("/api/v1/tags/with%20%2F%20slash/members")).json["items"]
    assert member["serial_number"] == "C00001"


async def test_a_group_is_given_its_members_and_lists_them_in_pages(server: RunningServer) -> None:
    path = "/api/v1/groups/lab/members"
    put = await server.post(path, {"add": ["C00001", "C00002", "C00003"]})
    first = (await server.get(f"{path}?limit=2")).json
    second = (await server.get(f"{path}?limit=2&cursor={first['next_cursor']}")).json
    taken = await server.post(path, {"remove": ["C00002"]})

    assert put.json == {"name": "lab", "devices": 3, "added": 3, "removed": 0}
    assert [each["serial_number"] for each in first["items"] + second["items"]] == ["C00001", "C00002", "C00003"]
    assert (taken.json["devices"], taken.json["removed"]) == (2, 1)
    assert (await server.get("/api/v1/groups")).json["items"] == [{"name": "lab", "devices": 2}]
    assert (await server.get("/api/v1/enrollments/C00001/settings")).json["groups"] == ["lab"]


async def test_an_unknown_device_leaves_the_whole_change_undone(server: RunningServer) -> None:
    answer = await server.post("/api/v1/groups/lab/members", {"add": ["C00001"], "remove": ["nobody"]})

    assert (answer.status, answer.json["code"]) == (404, "enrollment_not_found")
    assert (await server.get("/api/v1/groups")).json["items"] == []


@pytest.mark.parametrize("kind", ["tag", "group"])
async def test_what_no_device_has_is_not_found(kind: str, server: RunningServer) -> None:
    answer = await server.get(f"/api/v1/{kind}s/nothing/members")

    assert (answer.status, answer.json["code"]) == (404, f"{kind}_not_found")


@pytest.mark.parametrize(
    "body", [{}, {"add": []}, {"add": [""]}, {"add": ["a,b"]}, {"add": ["x" * 65]}, {"add": ["a"], "remove": ["a"]}]
)
async def test_what_no_tag_can_be_is_refused(body: dict[str, list[str]], server: RunningServer) -> None:
    answer = await server.post("/api/v1/enrollments/C00001/tags", body)

    assert (answer.status, answer.json["code"]) == (400, "invalid_name")


async def test_a_device_is_not_put_in_and_taken_out_at_once(server: RunningServer, office: Office) -> None:
    id = str(office.handsets[0].id)

    answer = await server.post("/api/v1/groups/lab/members", {"add": ["C00001"], "remove": [id]})

    assert (answer.status, answer.json["code"]) == (400, "invalid_targets")


async def test_an_app_follows_a_tag(server: RunningServer, office: Office) -> None:
    await server.put("/api/v1/apps/pingid/assignments", {"scope": "tag:sales"})
    await server.put("/api/v1/apps/pingid/configuration", {"scope": "all", "values": {"PINGID_MDM_TOKEN": "one"}})
    await server.post("/api/v1/enrollments/C00002/tags", {"add": ["sales"]})

    await office.quiet()

    has_token = [(each.configuration or {}).get("PINGID_MDM_TOKEN") for each in office.handsets]
    assert has_token == [None, "one", None]
