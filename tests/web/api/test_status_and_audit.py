"""The server at a glance, and the trail of changes."""

from mdmserver.audit.model import CHAIN_START
from tests.fleet import Fleet
from tests.web.api_server import RunningServer


async def test_status_counts_and_names_problems(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)
    await fleet.enqueue("A", id)

    status = (await server.get("/api/v1/status")).json

    assert status["enrollments"]["enrolled"] == 1
    assert status["open_commands"]["queued"] == 1
    assert status["pending_reenrollments"] == 0
    assert [problem["code"] for problem in status["problems"]] == ["no_push_certificate", "no_device_ca"]
    assert (status["version"], status["url"]) == ("0.1.0", "http://127.0.0.1:8080")


async def test_each_change_over_the_api_leaves_one_record_with_the_keys_id(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)
    before = len((await server.get("/api/v1/audit?limit=1000")).json["items"])
    command = {"command": {"RequestType": "ProfileList"}, "targets": [str(id)]}
    sent = (await server.post("/api/v1/commands", command)).json
    await server.post(f"/api/v1/commands/{sent['uuid']}/cancel")
    await server.delete(f"/api/v1/enrollments/{id}/commands")
    await server.post(f"/api/v1/enrollments/{id}/allow-reenroll")
    made = (await server.post("/api/v1/keys", {"name": "x", "scopes": ["status:read"]})).json
    await server.delete(f"/api/v1/keys/{made['key']['id']}")

    records = (await server.get("/api/v1/audit?limit=1000")).json["items"][before:]

    assert [record["action"] for record in records] == [
        "command.enqueue", "command.cancel", "queue.clear", "device.allow_reenroll", "key.create", "key.revoke",
    ]  # fmt: skip
    assert {record["actor"]["kind"] for record in records} == {"key"}
    assert {record["actor"]["name"] for record in records} == {server.admin_key.split("_")[1]}


async def test_chain_can_be_followed_over_pages(server: RunningServer) -> None:
    for name in ("a", "b", "c"):
        await server.post("/api/v1/keys", {"name": name, "scopes": ["status:read"]})
    records: list[dict[str, str]] = []
    cursor: str | None = ""

    while cursor is not None:
        page = (await server.get(f"/api/v1/audit?limit=2{cursor and '&cursor=' + cursor}")).json
        records += page["items"]
        cursor = page["next_cursor"]

    hashes = [CHAIN_START.hex(), *(record["hash"] for record in records)]
    assert [record["previous_hash"] for record in records] == hashes[:-1]
