"""Invitations over the API: made, listed, ended; their secrets are shown once."""

from typing import Any

import pytest

from mdmserver.access.model import Scope
from tests.fleet import ADMIN
from tests.web.api_server import RunningServer


async def made(server: RunningServer, **wanted: object) -> Any:
    answer = await server.post("/api/v1/invitations", wanted)
    assert answer.status == 201, answer.body
    return answer.json


async def test_invitation_is_for_seven_days_and_one_device_unless_it_says_otherwise(server: RunningServer) -> None:
    answer = await made(server)

    invitation = answer["invitation"]
    assert (invitation["created_at"], invitation["expires_at"]) == ("2026-01-01T00:00:00Z", "2026-01-08T00:00:00Z")
    assert (invitation["uses_allowed"], invitation["uses"], invitation["is_open"]) == (1, 0, True)
    assert answer["url"].startswith("http://127.0.0.1:8080/enroll/")
    assert answer["challenge"] is None


async def test_invitation_keeps_what_was_asked_for(server: RunningServer) -> None:
    wanted = {"user": "Ada", "serial_number": "C02X", "expires_at": "2026-02-01T00:00:00Z", "allow_reenroll": True}

    invitation = (await made(server, **wanted))["invitation"]

    assert {name: invitation[name] for name in wanted} == wanted
    assert (await server.get(f"/api/v1/invitations/{invitation['id']}")).json == invitation


async def test_challenge_comes_with_the_invitation_and_again_when_asked_for(server: RunningServer) -> None:
    answer = await made(server, challenge=True)
    again = await server.post(f"/api/v1/invitations/{answer['invitation']['id']}/challenge")

    assert answer["challenge"]["url"] == "http://127.0.0.1:8080/scep"
    assert answer["invitation"]["downloads"] == 1
    assert (again.status, again.json["url"]) == (201, "http://127.0.0.1:8080/scep")
    assert again.json["challenge"] != answer["challenge"]["challenge"]


async def test_secrets_are_in_no_later_answer(server: RunningServer) -> None:
    answer = await made(server, challenge=True)
    secrets = [answer["url"].rpartition("/")[2], answer["challenge"]["challenge"]]

    later = [
        await server.get(path)
        for path in ("/api/v1/invitations", f"/api/v1/invitations/{answer['invitation']['id']}", "/api/v1/audit")
    ]

    assert [each.status for each in later] == [200, 200, 200]
    assert not [secret for secret in secrets for each in later if secret.encode() in each.body]


async def test_list_goes_back_in_time_page_by_page(server: RunningServer) -> None:
    ids = [(await made(server))["invitation"]["id"] for _ in range(5)]

    first = (await server.get("/api/v1/invitations?limit=3")).json
    second = (await server.get(f"/api/v1/invitations?limit=3&cursor={first['next_cursor']}")).json

    assert [each["id"] for each in first["items"] + second["items"]] == ids[::-1]
    assert second["next_cursor"] is None


async def test_ended_invitation_stays_listed_and_cannot_be_ended_again(server: RunningServer) -> None:
    id = (await made(server))["invitation"]["id"]

    first, second = [await server.delete(f"/api/v1/invitations/{id}") for _ in range(2)]

    assert (first.status, second.status, second.json["code"]) == (204, 409, "invitation_revoked")
    shown = (await server.get(f"/api/v1/invitations/{id}")).json
    assert (shown["is_open"], shown["revoked_at"]) == (False, "2026-01-01T00:00:00Z")
    challenge = await server.post(f"/api/v1/invitations/{id}/challenge")
    assert (challenge.status, challenge.json["code"]) == (404, "invitation_not_valid")


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"expires_at": "2025-12-31T00:00:00Z"}, "invalid_expiry"),
        ({"expires_at": "2036-01-01T00:00:00Z"}, "invalid_expiry"),
        ({"expires_at": "2026-02-01T00:00:00"}, "invalid_body"),
        ({"uses": 0}, "invalid_uses"),
        ({"uses": 2, "serial_number": "X"}, "invalid_uses"),
        ({"uses": True}, "invalid_body"),
        ({"user": ""}, "invalid_invitation"),
        ({"user": "a\u202eb"}, "invalid_invitation"),
        ({"user": "x" * 201}, "invalid_invitation"),
        ({"serial": "X"}, "invalid_body"),
    ],
)
async def test_what_no_invitation_can_be_is_refused(wanted: dict[str, Any], code: str, server: RunningServer) -> None:
    answer = await server.post("/api/v1/invitations", wanted)

    assert (answer.status, answer.json["code"]) == (400, code)


@pytest.mark.parametrize("id", ["7", "x", "-1", "0x1", "%D9%A1", "9" * 19, "9" * 5000, "1%20"])
async def test_unknown_invitation_is_not_found(id: str, server: RunningServer) -> None:
    for answer in (
        await server.get(f"/api/v1/invitations/{id}"),
        await server.delete(f"/api/v1/invitations/{id}"),
        await server.post(f"/api/v1/invitations/{id}/challenge"),
    ):
        assert (answer.status, answer.json["code"]) == (404, "invitation_not_found")


async def test_each_change_has_one_record_in_the_audit_trail(server: RunningServer) -> None:
    before = len((await server.get("/api/v1/audit?limit=1000")).json["items"])
    id = (await made(server, user="Ada"))["invitation"]["id"]
    await server.post(f"/api/v1/invitations/{id}/challenge")
    await server.delete(f"/api/v1/invitations/{id}")

    records = (await server.get("/api/v1/audit?limit=1000")).json["items"][before:]

    assert [record["action"] for record in records] == [
        "invitation.create", "invitation.download", "invitation.revoke",
    ]  # fmt: skip
    assert {record["actor"]["kind"] for record in records} == {"key"}


async def test_reading_does_not_let_one_invite(server: RunningServer) -> None:
    key = await server.key(Scope.INVITATIONS_READ)
    await server.services.own_authorities.create(common_name="CA", actor=ADMIN)

    answer = await server.call("POST", "/api/v1/invitations", key=key, json={})

    assert (answer.status, answer.json["code"]) == (403, "scope_missing")
