"""API keys over the API."""

from mdmserver.access.model import Scope
from tests.web.api_server import RunningServer


async def test_made_key_works_and_its_secret_is_shown_once(server: RunningServer) -> None:
    made = await server.post("/api/v1/keys", {"name": "script", "scopes": ["status:read"]})

    secret = made.json["secret"]
    listed = await server.get("/api/v1/keys")
    assert made.status == 201
    assert (await server.call("GET", "/api/v1/status", key=secret)).status == 200
    assert made.json["key"] in listed.json["items"] or made.json["key"]["id"] in str(listed.json)
    assert secret.split("_")[2] not in listed.body.decode()


async def test_key_grants_only_what_it_has_itself(server: RunningServer) -> None:
    limited = await server.key(Scope.KEYS_MANAGE, Scope.STATUS_READ)
    wanted = {"name": "more", "scopes": ["status:read", "commands:send"]}

    answer = await server.call("POST", "/api/v1/keys", key=limited, json=wanted)

    assert (answer.status, answer.json["code"]) == (403, "scope_not_held")
    assert "commands:send" in answer.json["detail"]


async def test_revoked_key_is_refused_from_then_on(server: RunningServer) -> None:
    made = (await server.post("/api/v1/keys", {"name": "script", "scopes": ["status:read"]})).json

    answer = await server.delete(f"/api/v1/keys/{made['key']['id']}")

    assert (answer.status, answer.body) == (204, b"")
    assert (await server.call("GET", "/api/v1/status", key=made["secret"])).status == 401
    again = await server.delete(f"/api/v1/keys/{made['key']['id']}")
    assert (again.status, again.json["code"]) == (409, "key_already_revoked")


async def test_unknown_key_cannot_be_revoked(server: RunningServer) -> None:
    answer = await server.delete("/api/v1/keys/0123456789")

    assert (answer.status, answer.json["code"]) == (404, "key_not_found")


async def test_key_that_cannot_be_right_is_refused(server: RunningServer) -> None:
    bodies: list[dict[str, object]] = [
        {"name": "", "scopes": ["status:read"]},
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["everything"]},
        {"name": "x", "scopes": ["status:read"], "expires_at": "2020-01-01T00:00:00Z"},
        {"name": "x", "scopes": ["status:read"], "expires_at": "tomorrow"},
        {"name": "x\r\ny", "scopes": ["status:read"]},
        {"scopes": ["status:read"]},
    ]

    answers = [await server.post("/api/v1/keys", body) for body in bodies]

    assert {answer.status for answer in answers} == {400}
