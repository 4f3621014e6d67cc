"""The three ways to end an enrollment over the API."""

from tests.fleet import Fleet, device_id, user_id
from tests.web.api_server import RunningServer


async def test_device_that_is_to_unenroll_says_so(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)

    answer = await server.post(f"/api/v1/enrollments/{id}/unenroll")

    assert (answer.status, answer.json["is_to_unenroll"], answer.json["state"]) == (200, True, "enrolled")
    assert (await server.get(f"/api/v1/enrollments/{id}")).json["is_to_unenroll"] is True


async def test_retired_device_has_ended(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)

    first, second = [await server.post(f"/api/v1/enrollments/{id}/retire") for _ in range(2)]

    assert (first.status, first.json["state"]) == (200, "ended")
    assert (second.status, second.json["code"]) == (409, "enrollment_ended")


async def test_deleted_device_is_forgotten(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)

    answer = await server.delete(f"/api/v1/enrollments/{id}")

    assert (answer.status, answer.json["id"]) == (200, str(id))
    assert (await server.get(f"/api/v1/enrollments/{id}")).status == 404
    assert (await server.get("/api/v1/enrollments")).json["items"] == []
    assert (await server.get("/api/v1/status")).json["enrollments"] == {
        "enrolling": 0, "enrolled": 0, "erased": 0, "ended": 0,
    }  # fmt: skip


async def test_device_is_found_by_its_serial_number_while_it_ends(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)
    serial = (await server.get(f"/api/v1/enrollments/{id}")).json["serial_number"]

    answer = await server.post(f"/api/v1/enrollments/{serial}/retire")

    assert (answer.status, answer.json["id"], answer.json["state"]) == (200, str(id), "ended")


async def test_only_devices_leave_and_only_known_ones(server: RunningServer, fleet: Fleet) -> None:
    await fleet.enroll(1)
    await fleet.log_in(1)

    for path in ("unenroll", "retire"):
        user = await server.post(f"/api/v1/enrollments/{user_id(1)}/{path}")
        unknown = await server.post(f"/api/v1/enrollments/{device_id(9)}/{path}")
        assert (user.status, user.json["code"]) == (409, "not_a_device")
        assert (unknown.status, unknown.json["code"]) == (404, "enrollment_not_found")


async def test_each_ending_has_one_record_in_the_audit_trail(server: RunningServer, fleet: Fleet) -> None:
    one, other = await fleet.enroll(1), await fleet.enroll(2)
    await server.post(f"/api/v1/enrollments/{one}/unenroll")
    await server.post(f"/api/v1/enrollments/{one}/retire")
    await server.delete(f"/api/v1/enrollments/{other}")

    records = (await server.get("/api/v1/audit?limit=1000")).json["items"]

    endings = ["device.unenroll", "device.retire", "device.delete"]
    assert [record["action"] for record in records if record["action"] in endings] == endings
