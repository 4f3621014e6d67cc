"""Push certificates over the API."""

import base64
from datetime import timedelta

from cryptography.hazmat.primitives.serialization import BestAvailableEncryption
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates

from certs import load_private_key, parse_csr
from mdmserver.access.model import Scope
from tests.certs.push_parties import issue
from tests.fleet import START, TOPIC, Fleet
from tests.push.fake_gateway import FakeGateway
from tests.push.identities import UNTIL, halt, identity, install, pem_of
from tests.web.api_server import RunningServer

PATH = "/api/v1/push-certificates"
OTHER = "com.apple.mgmt.External.other"


async def test_certificate_that_is_installed_is_used_at_once_and_shown(
    server: RunningServer, push_gateway: FakeGateway
) -> None:
    answer = await server.post(PATH, {"certificate": pem_of(identity())})

    [shown] = (await server.get(PATH)).json["certificates"]
    assert answer.status == 201
    assert answer.json == shown
    assert (shown["topic"], shown["days_left"], shown["halted_at"]) == (TOPIC, 300, None)
    assert shown["not_after"] == "2026-10-28T00:00:00Z"
    assert shown["installed_by"] == server.admin_key.split("_")[1]
    assert push_gateway.identities is not None
    assert [each.fingerprint for each in push_gateway.identities] == [shown["fingerprint"]]


async def test_certificate_comes_as_pkcs12_with_its_passphrase(server: RunningServer) -> None:
    party = identity()
    encrypted = serialize_key_and_certificates(
        b"push", party.key, party.certificate, None, BestAvailableEncryption(b"open sesame")
    )
    body = {"pkcs12": base64.b64encode(encrypted).decode()}

    without = await server.post(PATH, body)
    wrong = await server.post(PATH, {**body, "passphrase": "sesame"})
    right = await server.post(PATH, {**body, "passphrase": "open sesame"})

    assert [without.status, wrong.status, right.status] == [400, 400, 201]
    assert without.json["code"] == wrong.json["code"] == "push_certificate_refused"
    assert "sesame" not in wrong.body.decode()


async def test_key_comes_apart_from_its_certificate(server: RunningServer) -> None:
    party = identity()

    answer = await server.post(PATH, {"certificate": party.pem.decode(), "key": party.key_pem.decode()})

    assert answer.status == 201


async def test_another_topic_is_refused_unless_forced(server: RunningServer) -> None:
    await install(server.services)
    body = {"certificate": pem_of(identity(OTHER, name="other"))}

    refused = await server.post(PATH, body)
    forced = await server.post(PATH, {**body, "force": True})

    assert (refused.status, refused.json["code"]) == (409, "push_topic_differs")
    assert "enroll again" in refused.json["detail"]
    assert forced.status == 201
    assert [each["topic"] for each in (await server.get(PATH)).json["certificates"]] == [TOPIC, OTHER]


async def test_what_is_no_push_certificate_is_refused_and_says_why(server: RunningServer) -> None:
    party = identity()
    cases = {
        "expired": pem_of(identity(until=START - timedelta(days=1))),
        "no topic": pem_of(issue("nobody")),
        "does not belong": party.pem.decode() + issue("somebody else").key_pem.decode(),
        "the private key of": party.pem.decode(),
        "neither PEM": "hello",
    }

    for said, certificate in cases.items():
        answer = await server.post(PATH, {"certificate": certificate})

        assert answer.status == 400, said
        assert said in answer.json["detail"], answer.json
    assert (await server.get(PATH)).json == {"certificates": []}


async def test_one_of_both_forms_is_wanted(server: RunningServer) -> None:
    both = {"certificate": "x", "pkcs12": "eA=="}

    answers = [await server.post(PATH, body) for body in ({}, both)]

    assert [(each.status, each.json["code"]) for each in answers] == [(400, "invalid_push_certificate")] * 2


async def test_no_answer_and_no_audit_record_holds_a_key(server: RunningServer) -> None:
    text = pem_of(identity())
    await server.post(PATH, {"certificate": text})
    await server.post(f"{PATH}/requests", {"common_name": "Example", "email": "it@example.com"})

    seen = [(await server.get(path)).body for path in (PATH, f"{PATH}/requests", "/api/v1/audit", "/api/v1/status")]

    assert b"push_certificate.install" in seen[2]
    assert not any(b"PRIVATE KEY" in body or text.splitlines()[-3].encode() in body for body in seen)


async def test_certificate_for_a_request_finds_its_key(server: RunningServer) -> None:
    made = await server.post(f"{PATH}/requests", {"common_name": "Example", "email": "it@example.com"})
    [waiting] = await server.services.push_certificates.requests()
    key = load_private_key(waiting.key.reveal())
    party = issue("APSP", topic=TOPIC, key=key, not_after=UNTIL)

    installed = await server.post(PATH, {"certificate": party.pem.decode()})

    assert (made.status, made.json["awaits_mail"]) == (201, False)
    assert made.json["csr"].startswith("-----BEGIN CERTIFICATE REQUEST-----\n")
    assert installed.status == 201
    assert (await server.get(f"{PATH}/requests")).json == {"requests": []}


async def test_request_that_waits_is_listed_without_its_key(server: RunningServer) -> None:
    made = (await server.post(f"{PATH}/requests", {"common_name": "Example", "email": "it@example.com"})).json

    listed = (await server.get(f"{PATH}/requests")).json["requests"]

    assert listed == [made]
    assert set(made) == {"id", "csr", "created_at", "created_by", "awaits_mail"}
    [waiting] = await server.services.push_certificates.requests()
    assert parse_csr(waiting.csr).public_key_der


async def test_mailed_file_that_nobody_waits_for_is_refused(server: RunningServer) -> None:
    answer = await server.post(f"{PATH}/requests/open-mailed", {"mailed": "00"})

    assert (answer.status, answer.json["code"]) == (400, "mailed_file_refused")


async def test_topic_that_was_halted_is_resumed(server: RunningServer, fleet: Fleet, push_gateway: FakeGateway) -> None:
    await install(server.services)
    await halt(fleet, push_gateway)
    [before] = (await server.get(PATH)).json["certificates"]

    answer = await server.post(f"{PATH}/{TOPIC}/resume")
    unknown = await server.post(f"{PATH}/nothing/resume")

    assert "BadDeviceToken" in before["halted_reason"]
    assert (answer.status, answer.json["halted_at"], answer.json["halted_reason"]) == (200, None, None)
    assert (unknown.status, unknown.json["code"]) == (404, "push_certificate_not_found")


async def test_reading_needs_another_scope_than_installing(server: RunningServer) -> None:
    reader = await server.key(Scope.PUSH_CERTIFICATES_READ)

    read = await server.call("GET", PATH, key=reader)
    write = await server.call("POST", PATH, key=reader, json={"certificate": pem_of(identity())})

    assert (read.status, write.status) == (200, 403)
