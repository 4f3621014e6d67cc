"""Enrollments over the API."""

from urllib.parse import quote

import pytest

from mdmserver.commands.model import ItemState
from mdmserver.errors import IdentityRefused
from mdmserver.protocol import EnrollmentID, EnrollmentType
from tests.fleet import Fleet, certificate, device_id
from tests.web.api_server import RunningServer


async def test_enrollment_is_shown_by_its_id(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)

    shown = (await server.get(f"/api/v1/enrollments/{id}")).json

    assert shown["id"] == shown["key"] == str(id)
    assert (shown["type"], shown["state"], shown["life"]) == ("Device", "enrolled", 1)
    assert (shown["serial_number"], shown["model"]) == ("C00001", "Mac15,3")
    assert shown["created_at"] == "2026-01-01T00:00:00Z"
    assert shown["has_push_token"] is True
    assert [problem["code"] for problem in shown["problems"]] == ["no_push_certificate"]
    assert "row" not in shown


async def test_enrollment_is_shown_by_its_serial_number(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)

    assert (await server.get("/api/v1/enrollments/C00001")).json["id"] == str(id)


async def test_unknown_enrollment_is_a_problem_with_a_code(server: RunningServer) -> None:
    answer = await server.get("/api/v1/enrollments/nobody")

    assert answer.status == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "code": "enrollment_not_found",
        "detail": "there is no enrollment 'nobody'",
    }


@pytest.mark.parametrize(
    "reference",
    ["..%2f..%2fetc%2fpasswd", "%2e%2e", "%00", "'%20OR%201=1--", "%ff%fe", "%0d%0aX-Injected:1", "a%2fb", "%25"],
)
async def test_reference_is_data_and_nothing_else(reference: str, server: RunningServer, fleet: Fleet) -> None:
    await fleet.enroll(1)

    answer = await server.get(f"/api/v1/enrollments/{reference}")

    assert answer.status in (400, 404)
    assert "X-Injected" not in answer.headers


async def test_dots_in_the_path_lead_nowhere(server: RunningServer) -> None:
    answer = await server.get("/api/v1/enrollments/../keys")

    assert answer.status == 404


async def test_user_channel_with_any_name_can_be_named(server: RunningServer, fleet: Fleet) -> None:
    await fleet.enroll(1)
    id = EnrollmentID(EnrollmentType.SHARED_IPAD, device_id(1).device, "ada/löve lace@example.com?#%")
    await fleet.token_update(id, certificate(1))

    answer = await server.get(f"/api/v1/enrollments/{quote(str(id), safe='')}")

    assert answer.status == 200
    assert answer.json["type"] == "Shared iPad"
    assert answer.json["key"] == f"ipad/{id}"


async def test_list_goes_on_where_the_page_before_ended(server: RunningServer, fleet: Fleet) -> None:
    ids = [str(await fleet.enroll(number)) for number in range(1, 6)]
    found: list[str] = []
    cursor: str | None = ""
    pages = 0

    while cursor is not None:
        page = (await server.get(f"/api/v1/enrollments?limit=2{cursor and '&cursor=' + cursor}")).json
        found += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        pages += 1

    assert (found, pages) == (ids, 3)


async def test_list_is_filtered(server: RunningServer, fleet: Fleet) -> None:
    await fleet.enroll(1)
    second = await fleet.enroll(2)
    user = await fleet.log_in(2)
    await fleet.authenticate(3)

    async def ids(query: str) -> list[str]:
        return [item["id"] for item in (await server.get(f"/api/v1/enrollments?{query}")).json["items"]]

    assert await ids("state=enrolling") == [str(device_id(3))]
    assert await ids("serial=C00002") == [str(second)]
    assert await ids(f"device={second.device}") == [str(second), str(user)]
    assert await ids("type=User&type=Shared%20iPad") == [str(user)]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("limt=5", "limt"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("limit=1&limit=2", "limit"),
        ("state=broken", "state"),
        ("type=Toaster", "type"),
        ("cursor=!!!", "cursor"),
        ("cursor=MTotMQ", "cursor"),
        ("limit=99999999999999999999999999", "limit"),
    ],
)
async def test_query_that_cannot_be_right_is_refused_by_name(query: str, named: str, server: RunningServer) -> None:
    answer = await server.get(f"/api/v1/enrollments?{query}")

    assert answer.status == 400
    assert named in answer.json["detail"]


async def test_timeline_tells_newest_first(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)

    answer = await server.get(f"/api/v1/enrollments/{id}/timeline")

    kinds = [entry["kind"] for entry in answer.json["items"]]
    assert kinds[0] == "enrolled"
    assert "enrollment_began" in kinds


async def test_queue_is_listed_filtered_and_cleared(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)
    await fleet.enqueue("A", id)
    await fleet.enqueue("B", id, priority=5)
    await fleet.idle(id)

    items = (await server.get(f"/api/v1/enrollments/{id}/commands")).json["items"]
    sent = (await server.get(f"/api/v1/enrollments/{id}/commands?state=sent&state=not_now")).json["items"]
    cleared = await server.delete(f"/api/v1/enrollments/{id}/commands")

    assert [(item["command_uuid"], item["state"]) for item in items] == [("A", "queued"), ("B", "sent")]
    assert [item["command_uuid"] for item in sent] == ["B"]
    assert items[0]["id"] == str(id)
    assert cleared.json == {"cancelled": 2}
    assert (await fleet.states(id))["A"] is ItemState.CANCELLED


async def test_device_that_waits_to_enroll_again_is_listed_and_let_in(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)
    another = certificate(1, version=2)
    with pytest.raises(IdentityRefused):
        await fleet.authenticate(1, another)

    waiting = (await server.get("/api/v1/reenrollments")).json["items"]
    allowed = await server.post(f"/api/v1/enrollments/{id}/allow-reenroll")
    await fleet.enroll(1, another)

    assert [(item["id"], item["fingerprint"], item["attempts"]) for item in waiting] == [
        (str(id), another.fingerprint.hex(), 1)
    ]
    assert allowed.json["id"] == str(id)
    assert (await server.get(f"/api/v1/enrollments/{id}")).json["life"] == 2
    assert (await server.get("/api/v1/reenrollments")).json == {"items": []}


async def test_user_channel_cannot_be_let_in_again(server: RunningServer, fleet: Fleet) -> None:
    await fleet.enroll(1)
    id = await fleet.log_in(1)

    answer = await server.post(f"/api/v1/enrollments/{id}/allow-reenroll")

    assert (answer.status, answer.json["code"]) == (409, "not_a_device")
