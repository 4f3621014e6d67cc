"""Waking devices over the API, and what it says of that."""

from datetime import timedelta

import pytest

from mdmserver.access.model import Scope
from mdmserver.protocol import TokenUpdate
from tests.fleet import TOPIC, FakeClock, Fleet, certificate, device_id
from tests.push.fake_gateway import BAD_DEVICE_TOKEN, NO_ANSWER, UNREGISTERED, FakeGateway
from tests.push.identities import UNTIL, halt, install
from tests.web.api_server import RunningServer


@pytest.fixture(autouse=True)
async def installed(server: RunningServer) -> None:
    """There is a push certificate."""
    await install(server.services)


async def test_push_says_for_each_target_what_apns_answered(
    server: RunningServer, fleet: Fleet, push_gateway: FakeGateway
) -> None:
    first, second, third = [str(await fleet.enroll(number)) for number in (1, 2, 3)]
    push_gateway.answer(lambda _topic, sent: BAD_DEVICE_TOKEN if "002" in sent.magic.reveal() else NO_ANSWER)

    answer = await server.post("/api/v1/push", {"targets": [first, second, third, "nobody"]})

    results = answer.json["results"]
    assert answer.status == 200
    assert {id: (each["is_accepted"], each["status"], each["reason"]) for id, each in results.items()} == {
        first: (False, None, "connection lost"),
        second: (False, 400, "BadDeviceToken"),
        third: (False, None, "connection lost"),
    }
    assert answer.json["refused"] == {"nobody": "not_found"}
    assert answer.json["queued"] is None


async def test_accepted_push_has_its_apns_id(server: RunningServer, fleet: Fleet, push_gateway: FakeGateway) -> None:
    id = str(await fleet.enroll(1))

    result = (await server.post("/api/v1/push", {"targets": [id]})).json["results"][id]

    [pushed] = push_gateway.pushes
    assert result == {"is_accepted": True, "status": 200, "reason": None, "apns_id": pushed.apns_id}
    assert pushed.topic == TOPIC


async def test_everyone_is_woken_in_the_background(
    server: RunningServer, fleet: Fleet, push_gateway: FakeGateway
) -> None:
    for number in (1, 2, 3):
        await fleet.enroll(number)
    await fleet.log_in(1)

    answer = await server.post("/api/v1/push", {"everyone": True})

    assert answer.json == {"results": {}, "refused": {}, "queued": 3}


@pytest.mark.parametrize(
    "body",
    [{}, {"targets": ["X"], "everyone": True}, {"targets": ["X"], "types": ["Device"]}, {"targets": ["X"] * 501}],
)
async def test_push_that_is_for_nobody_in_particular_is_refused(body: dict[str, object], server: RunningServer) -> None:
    assert (await server.post("/api/v1/push", body)).status == 400


async def test_pushes_to_an_enrollment_are_listed_newest_first(
    server: RunningServer, fleet: Fleet, push_gateway: FakeGateway, clock: FakeClock
) -> None:
    id = await fleet.enroll(1)
    push_gateway.answer(UNREGISTERED)
    await server.post("/api/v1/push", {"targets": [str(id)]})
    clock.advance(hours=1)
    push_gateway.forget_answers()
    await server.post("/api/v1/push", {"targets": [str(id)]})

    items = (await server.get(f"/api/v1/enrollments/{id}/pushes")).json["items"]
    newest = (await server.get(f"/api/v1/enrollments/{id}/pushes?limit=1")).json["items"]

    assert [(each["at"], each["status"], each["reason"]) for each in items] == [
        ("2026-01-01T01:00:00Z", 200, None),
        ("2026-01-01T00:00:00Z", 410, "Unregistered"),
    ]
    assert newest == items[:1]


async def test_enrollment_shows_its_last_push_and_what_comes_next(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)
    before = (await server.get(f"/api/v1/enrollments/{id}")).json

    await server.post("/api/v1/push", {"targets": [str(id)]})

    after = (await server.get(f"/api/v1/enrollments/{id}")).json
    assert before["push"]["pushed_at"] is None
    assert before["push"]["next"].startswith("nothing waits for the device")
    assert before["problems"] == after["problems"] == []
    assert (after["push"]["status"], after["push"]["pushed_at"]) == (200, "2026-01-01T00:00:00Z")
    assert after["push"]["next"] == ("it is pushed again at 2026-01-01T00:15:00Z if a command still waits for it then")


async def test_enrollment_with_a_dead_token_says_so(
    server: RunningServer, fleet: Fleet, push_gateway: FakeGateway
) -> None:
    id = await fleet.enroll(1)
    push_gateway.answer(UNREGISTERED)
    await server.post("/api/v1/push", {"targets": [str(id)]})

    shown = (await server.get(f"/api/v1/enrollments/{id}")).json

    assert [each["code"] for each in shown["problems"]] == ["push_token_stopped"]
    assert shown["push"]["next"] == f"no push: {shown['problems'][0]['text']}"
    assert "410 Unregistered" in shown["push"]["next"]


async def test_enrollment_on_a_topic_without_a_certificate_says_so(server: RunningServer, fleet: Fleet) -> None:
    await fleet.authenticate(1)
    other = TokenUpdate(enrollment_id=device_id(1), topic="com.apple.mgmt.other", push_magic="m", token=b"t")
    await fleet.services.checkin.answer(other, certificate(1))

    shown = (await server.get(f"/api/v1/enrollments/{device_id(1)}")).json

    assert [each["code"] for each in shown["problems"]] == ["no_push_certificate"]
    assert "com.apple.mgmt.other" in shown["push"]["next"]


async def test_enrollment_on_a_halted_topic_says_so(
    server: RunningServer, fleet: Fleet, push_gateway: FakeGateway
) -> None:
    id = await fleet.enroll(1)
    await halt(fleet, push_gateway)

    shown = (await server.get(f"/api/v1/enrollments/{id}")).json
    problems = {each["code"]: each["text"] for each in (await server.get("/api/v1/status")).json["problems"]}

    assert [each["code"] for each in shown["problems"]] == ["push_halted"]
    assert "BadDeviceToken" in problems["push_halted"]
    assert f"mdmctl push resume {TOPIC}" in problems["push_halted"]


async def test_enrollment_that_takes_no_commands_has_no_push_problems(server: RunningServer, fleet: Fleet) -> None:
    await fleet.authenticate(1)
    began = (await server.get(f"/api/v1/enrollments/{device_id(1)}")).json
    await fleet.token_update(device_id(1), certificate(1))
    await fleet.check_out(device_id(1), certificate(1))
    ended = (await server.get(f"/api/v1/enrollments/{device_id(1)}")).json

    assert began["problems"] == ended["problems"] == []
    assert began["push"]["next"] == "nothing until the device has finished enrolling"
    assert ended["push"]["next"] == "nothing: the enrollment has ended"


async def test_push_status_counts_by_standing(server: RunningServer, fleet: Fleet, push_gateway: FakeGateway) -> None:
    await fleet.enroll(1)
    dead = str(await fleet.enroll(2))
    push_gateway.answer(UNREGISTERED, times=1)
    await server.post("/api/v1/push", {"targets": [dead]})

    status = (await server.get("/api/v1/push")).json

    assert [each["topic"] for each in status["topics"]] == [TOPIC]
    assert (status["due"], status["waiting"], status["stopped"]) == (0, 0, 1)
    assert status["per_second"] > 0
    assert status["outcomes"] == {"accepted": 0, "refused": 0, "stopped": 1, "unanswered": 0}
    assert (await server.get("/api/v1/status")).json["push"] == status


async def test_silence_of_apns_is_a_problem_until_it_answers(
    server: RunningServer, fleet: Fleet, push_gateway: FakeGateway, caplog: pytest.LogCaptureFixture
) -> None:
    id = str(await fleet.enroll(1))
    said = []
    for outcome in (NO_ANSWER, NO_ANSWER, BAD_DEVICE_TOKEN):
        push_gateway.answer(outcome)
        await server.post("/api/v1/push", {"targets": [id]})
        problems = (await server.get("/api/v1/status")).json["problems"]
        said.append([each["text"] for each in problems if each["code"] == "apns_does_not_answer"])

    assert [len(texts) for texts in said] == [1, 1, 0]
    assert "connection lost" in said[0][0]
    events = [record.message for record in caplog.records if record.name == "mdmserver.push.sender"]
    assert events == ["apns_does_not_answer", "apns_answers_again"]


@pytest.mark.parametrize(
    ("days", "code"),
    [(61, None), (60, "push_certificate_expiring"), (1, "push_certificate_expiring"), (0, "push_certificate_expired")],
)
async def test_status_warns_of_the_certificates_end(
    days: int, code: str | None, server: RunningServer, clock: FakeClock
) -> None:
    clock.now = UNTIL - timedelta(days=days)

    codes = [each["code"] for each in (await server.get("/api/v1/status")).json["problems"]]

    assert [each for each in codes if each.startswith("push")] == ([] if code is None else [code])


async def test_metrics_show_certificates_outcomes_and_what_is_due(
    server: RunningServer, fleet: Fleet, push_gateway: FakeGateway
) -> None:
    await install(server.services, 'com.example."quoted"\\topic', until=UNTIL)
    id = str(await fleet.enroll(1))
    await server.post("/api/v1/push", {"targets": [id]})

    lines = (await server.call("GET", "/metrics", url=server.operations_url)).body.decode().splitlines()

    assert f'mdmserver_push_certificate_expires_seconds{{topic="{TOPIC}"}} {300 * 86400}' in lines
    assert 'mdmserver_push_certificate_expires_seconds{topic="com.example.\\"quoted\\"\\\\topic"} 25920000' in lines
    assert f'mdmserver_push_halted{{topic="{TOPIC}"}} 0' in lines
    assert 'mdmserver_pushes_total{outcome="accepted"} 1' in lines
    assert 'mdmserver_pushes_total{outcome="unanswered"} 0' in lines
    assert 'mdmserver_push_enrollments{state="stopped"} 0' in lines
    assert "mdmserver_push_pace_per_second 250.0" in lines


async def test_pushing_and_reading_have_scopes_of_their_own(server: RunningServer, fleet: Fleet) -> None:
    id = str(await fleet.enroll(1))
    pusher, reader = await server.key(Scope.PUSH_SEND), await server.key(Scope.STATUS_READ)

    statuses = [
        (await server.call("POST", "/api/v1/push", key=pusher, json={"targets": [id]})).status,
        (await server.call("POST", "/api/v1/push", key=reader, json={"targets": [id]})).status,
        (await server.call("GET", "/api/v1/push", key=reader)).status,
        (await server.call("GET", "/api/v1/push", key=pusher)).status,
    ]

    assert statuses == [200, 403, 200, 403]


async def test_queued_command_says_what_push_did(
    server: RunningServer, fleet: Fleet, push_gateway: FakeGateway, clock: FakeClock
) -> None:
    id = await fleet.enroll(1)
    await fleet.enqueue("C1", id)
    await server.post("/api/v1/push", {"targets": [str(id)]})
    clock.advance(minutes=5)
    await fleet.idle(id)

    detail = (await server.get(f"/api/v1/commands/C1/targets/{id}")).json

    kinds = [entry["kind"] for entry in detail["timeline"]]
    pushed = next(entry for entry in detail["timeline"] if entry["kind"] == "push_accepted")
    assert kinds[0] == "queued"
    assert kinds[-1] == "sent"
    assert set(kinds[1:-1]) == {"push_accepted"}
    assert pushed["detail"].removeprefix("apns-id ") in {each.apns_id for each in push_gateway.pushes}


async def test_command_on_a_topic_without_a_certificate_says_that_no_push_comes(
    server: RunningServer, fleet: Fleet
) -> None:
    await fleet.authenticate(1)
    other = TokenUpdate(enrollment_id=device_id(1), topic="com.apple.mgmt.other", push_magic="m", token=b"t")
    await fleet.services.checkin.answer(other, certificate(1))
    await fleet.enqueue("C1", device_id(1))

    explanation = (await server.get(f"/api/v1/commands/C1/targets/{device_id(1)}")).json["explanation"]

    assert explanation["code"] == "no_push_certificate"
    assert "was last seen 2026-01-01" in explanation["text"]
