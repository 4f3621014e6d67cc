"""The built-in CA over the API: shown, rolled over, imported; its key is never given out."""

from datetime import timedelta

import pytest

from certs import Authority, dump_private_key, generate_ec
from certs.pem import encode_certificate
from tests.web.api_server import RunningServer
from tests.web.issuing import rsa_key


def existing(server: RunningServer, name: str = "Existing CA") -> dict[str, str]:
    now = server.clock()
    authority = Authority.create(
        common_name=name,
        key=rsa_key("existing CA"),
        not_before=now - timedelta(days=1),
        not_after=now + timedelta(days=3650),
        serial_number=2**70,
    )
    return {
        "certificate": encode_certificate(authority.certificate_der).decode(),
        "key": dump_private_key(authority.private_key).decode(),
    }


async def test_without_a_ca_the_list_is_empty(server: RunningServer) -> None:
    assert (await server.get("/api/v1/ca")).json == {"authorities": []}


async def test_roll_over_makes_a_ca_that_issues_while_the_other_stays_trusted(server: RunningServer) -> None:
    first = await server.post("/api/v1/ca/rollover", {"name": "First"})
    second = await server.post("/api/v1/ca/rollover", {"name": "Second"})

    listed = (await server.get("/api/v1/ca")).json["authorities"]
    assert (first.status, second.status) == (201, 201)
    assert [(each["name"], each["role"]) for each in listed] == [("CN=Second", "issuing"), ("CN=First", "trusted")]
    assert listed[0] == second.json
    own = server.services.own_authorities.issuing.authority
    assert (listed[0]["sha256"], listed[0]["created_at"]) == (own.sha256_fingerprint.hex(), "2026-01-01T00:00:00Z")
    assert (await server.call("GET", "/ca/certificate")).body == own.certificate_der


async def test_imported_ca_issues(server: RunningServer) -> None:
    answer = await server.post("/api/v1/ca/import", existing(server))
    again = await server.post("/api/v1/ca/import", existing(server) | {"certificate": "x"})

    assert (answer.status, answer.json["name"], answer.json["role"]) == (201, "CN=Existing CA", "issuing")
    assert (again.status, again.json["code"]) == (400, "invalid_ca")


async def test_same_ca_is_imported_once(server: RunningServer) -> None:
    ca = existing(server)

    answers = [await server.post("/api/v1/ca/import", ca) for _ in range(2)]

    assert [answer.status for answer in answers] == [201, 409]
    assert answers[1].json["code"] == "ca_exists"


async def test_key_that_is_not_the_cas_is_refused_and_not_repeated(server: RunningServer) -> None:
    key = dump_private_key(generate_ec()).decode()

    answer = await server.post("/api/v1/ca/import", existing(server) | {"key": key})

    assert (answer.status, answer.json["code"]) == (400, "invalid_ca")
    assert key.splitlines()[1].encode() not in answer.body


async def test_keys_of_cas_are_in_no_answer(server: RunningServer) -> None:
    ca = existing(server)
    await server.post("/api/v1/ca/import", ca)

    for path in ("/api/v1/ca", "/api/v1/audit", "/api/v1/status"):
        body = (await server.get(path)).body
        assert not [line for line in ca["key"].splitlines() if line.encode() in body]


@pytest.mark.parametrize("name", ["", "x" * 65])
async def test_name_that_no_certificate_can_hold_is_refused(name: str, server: RunningServer) -> None:
    answer = await server.post("/api/v1/ca/rollover", {"name": name})

    assert answer.status == 400


async def test_each_change_has_one_record_in_the_audit_trail(server: RunningServer) -> None:
    await server.post("/api/v1/ca/rollover", {"name": "First"})
    await server.post("/api/v1/ca/import", existing(server))

    records = (await server.get("/api/v1/audit?limit=1000")).json["items"]

    assert [record["action"] for record in records if record["action"].startswith("ca.")] == ["ca.create", "ca.import"]
