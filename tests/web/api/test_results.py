"""What devices answered, over the API."""

from datetime import UTC, datetime

from mdmserver.commands.model import ReportedResult
from mdmserver.protocol import CommandReport, CommandUUID, Status
from tests.fleet import Fleet, certificate
from tests.web.api_server import RunningServer


async def test_result_is_json_with_its_secrets_masked(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)
    await fleet.enqueue("A", id, request_type="SecurityInfo")
    await fleet.idle(id)
    response: dict[str, object] = {
        "SecurityInfo": {
            "FDE_PersonalRecoveryKeyCMS": b"canary",
            "Data": b"\0\1",
            "At": datetime(2026, 1, 2, tzinfo=UTC),
            "Big": 2**63,
        },
        "UnlockToken": b"canary",
    }
    await fleet.report(id, Status.ACKNOWLEDGED, "A", response=response)

    answer = await server.get("/api/v1/commands/A/results")

    (result,) = answer.json["items"]
    assert (result["id"], result["state"], result["status"]) == (str(id), "acknowledged", "Acknowledged")
    assert result["received_at"] == "2026-01-01T00:00:00Z"
    assert result["result"]["SecurityInfo"] == {
        "FDE_PersonalRecoveryKeyCMS": "***",
        "Data": {"$data": "AAE="},
        "At": {"$date": "2026-01-02T00:00:00Z"},
        "Big": 2**63,
    }
    assert result["result"]["UnlockToken"] == "***"
    assert b"canary" not in answer.body
    assert b"Y2FuYXJ5" not in answer.body


async def test_target_is_shown_with_its_result(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)
    await fleet.enqueue("A", id)
    await fleet.idle(id)
    await fleet.report(id, Status.ERROR, "A")

    answer = await server.get(f"/api/v1/commands/A/targets/{id}")

    assert answer.json["item"]["state"] == "error"
    assert answer.json["result"]["status"] == "Error"
    assert answer.json["result"]["result"]["CommandUUID"] == "A"


async def test_result_that_could_not_be_read_is_null(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)
    await fleet.enqueue("A", id)
    await fleet.idle(id)
    report = CommandReport(enrollment_id=id, status=Status.ACKNOWLEDGED, command_uuid=CommandUUID("A"))
    unreadable = ReportedResult(status=Status.ACKNOWLEDGED, body=b"<plist", is_readable=False)
    await server.services.exchange.report(report, certificate(1), unreadable)

    answer = await server.get("/api/v1/commands/A/results")

    assert answer.json["items"][0]["result"] is None


async def test_large_result_comes_whole(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)
    await fleet.enqueue("A", id)
    await fleet.idle(id)
    await fleet.report(id, Status.ACKNOWLEDGED, "A", response={"Items": ["x" * 100] * 5000})

    answer = await server.get("/api/v1/commands/A/results")

    assert len(answer.json["items"][0]["result"]["Items"]) == 5000


async def test_results_come_in_pages(server: RunningServer, fleet: Fleet) -> None:
    ids = [await fleet.enroll(number) for number in range(1, 4)]
    await fleet.enqueue("A", *ids)
    for id in ids:
        await fleet.idle(id)
        await fleet.answer(id, "A")

    page = (await server.get("/api/v1/commands/A/results?limit=2")).json
    rest = (await server.get(f"/api/v1/commands/A/results?limit=2&cursor={page['next_cursor']}")).json

    assert [item["id"] for item in page["items"] + rest["items"]] == [str(id) for id in ids]
    assert rest["next_cursor"] is None
