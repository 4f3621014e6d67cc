"""Waking devices and push certificates over the interface of NanoMDM, as its tools use it."""

from mdmserver.access.model import Scope
from mdmserver.commands.model import ItemState
from mdmserver.push.service import MOST_AT_ONCE
from tests.certs.push_parties import issue
from tests.fleet import TOPIC, Fleet, plist_command
from tests.push.fake_gateway import BAD_DEVICE_TOKEN, NO_ANSWER, FakeGateway
from tests.push.identities import identity, install, pem_of
from tests.web.api_server import RunningServer
from tests.web.test_nanomdm import NOT_ENROLLED, tool


async def test_certificate_with_its_key_is_put_and_asked_for(server: RunningServer) -> None:
    put = await tool(server, "PUT", "/v1/pushcert", pem_of(identity()).encode())
    got = await tool(server, "GET", f"/v1/pushcert?topic={TOPIC}")

    assert (put.status, got.status) == (200, 200)
    assert put.json == got.json == {"topic": TOPIC, "not_after": "2026-10-28T00:00:00Z"}


async def test_missing_newline_between_the_blocks_is_tolerated(server: RunningServer) -> None:
    party = identity()

    answer = await tool(server, "PUT", "/v1/pushcert", party.pem.rstrip() + party.key_pem)

    assert answer.status == 200


async def test_topic_of_any_name_is_taken(server: RunningServer) -> None:
    answer = await tool(server, "PUT", "/v1/pushcert", pem_of(identity("com.example.push")).encode())

    assert (answer.status, answer.json["topic"]) == (200, "com.example.push")


async def test_second_topic_is_refused_unless_it_is_meant(server: RunningServer) -> None:
    await tool(server, "PUT", "/v1/pushcert", pem_of(identity()).encode())
    other = pem_of(identity("com.example.push", name="other")).encode()

    refused = await tool(server, "PUT", "/v1/pushcert", other)
    topics = server.services.push_certificates.topics
    forced = await tool(server, "PUT", "/v1/pushcert?force=1", other)

    assert refused.status == 400
    assert "enroll again" in refused.json["error"]
    assert topics == {TOPIC}
    assert (forced.status, forced.json["topic"]) == (200, "com.example.push")
    assert server.services.push_certificates.topic == TOPIC


async def test_what_cannot_be_installed_is_a_400_with_an_error(server: RunningServer) -> None:
    party = identity()
    bodies = [b"", b"not PEM", party.pem, party.pem + issue("somebody else").key_pem]

    answers = [await tool(server, "PUT", "/v1/pushcert", body) for body in bodies]

    assert [(each.status, set(each.json)) for each in answers] == [(400, {"error"})] * len(bodies)


async def test_certificate_is_asked_for_by_its_topic(server: RunningServer) -> None:
    without = await tool(server, "GET", "/v1/pushcert")
    unknown = await tool(server, "GET", "/v1/pushcert?topic=com.apple.mgmt.unknown")

    assert (without.status, set(without.json)) == (400, {"error"})
    assert (unknown.status, set(unknown.json)) == (404, {"error"})


async def test_installing_needs_a_scope_of_its_own(server: RunningServer) -> None:
    key = await server.key(*(scope for scope in Scope if scope is not Scope.PUSH_CERTIFICATES_MANAGE))

    answer = await tool(server, "PUT", "/v1/pushcert", pem_of(identity()).encode(), key=key)

    assert answer.status == 403


async def test_push_gives_the_apns_id_of_each(server: RunningServer, fleet: Fleet, push_gateway: FakeGateway) -> None:
    await install(server.services)
    first, second = await fleet.enroll(1), await fleet.enroll(2)

    answer = await tool(server, "PUT", f"/v1/push/{first},{second}")

    assert answer.status == 200
    assert {result["push_result"] for result in answer.json["status"].values()} == {
        each.apns_id for each in push_gateway.pushes
    }
    assert set(answer.json["status"]) == {str(first), str(second)}


async def test_push_of_which_some_fail_is_a_207(server: RunningServer, fleet: Fleet, push_gateway: FakeGateway) -> None:
    await install(server.services)
    id = await fleet.enroll(1)

    answer = await tool(server, "GET", f"/v1/push/{id},{NOT_ENROLLED}")

    assert answer.status == 207
    assert answer.json["status"][NOT_ENROLLED] == {"push_error": "no such enrollment"}
    assert set(answer.json["status"][str(id)]) == {"push_result"}


async def test_push_that_apns_refuses_is_a_500_with_its_reason(
    server: RunningServer, fleet: Fleet, push_gateway: FakeGateway
) -> None:
    await install(server.services)
    id = await fleet.enroll(1)

    said = []
    for outcome in (BAD_DEVICE_TOKEN, NO_ANSWER):
        push_gateway.answer(outcome)
        answer = await tool(server, "PUT", f"/v1/push/{id}")
        said.append((answer.status, answer.json["status"][str(id)]["push_error"]))

    assert said == [(500, "400 BadDeviceToken"), (500, "no answer: connection lost")]


async def test_command_is_queued_and_its_device_pushed_once(
    server: RunningServer, fleet: Fleet, push_gateway: FakeGateway
) -> None:
    await install(server.services)
    id = await fleet.enroll(1)

    answer = await tool(server, "PUT", f"/v1/enqueue/{id},{NOT_ENROLLED}", plist_command("CMD1"))

    [pushed] = push_gateway.pushes
    assert answer.status == 207
    assert answer.json["status"] == {
        str(id): {"push_result": pushed.apns_id},
        NOT_ENROLLED: {"command_error": "no such enrollment"},
    }
    assert await fleet.states(id) == {"CMD1": ItemState.QUEUED}


async def test_command_whose_push_is_accepted_is_a_200(server: RunningServer, fleet: Fleet) -> None:
    await install(server.services)
    id = await fleet.enroll(1)

    answer = await tool(server, "PUT", f"/v1/enqueue/{id}", plist_command("CMD1"))

    assert answer.status == 200
    assert set(answer.json) == {"status", "command_uuid", "request_type"}


async def test_command_that_is_not_to_push_leaves_the_device_asleep(
    server: RunningServer, fleet: Fleet, push_gateway: FakeGateway
) -> None:
    await install(server.services)
    id = await fleet.enroll(1)

    await tool(server, "PUT", f"/v1/enqueue/{id}?nopush=1", plist_command("CMD1"))
    shown = (await server.get(f"/api/v1/enrollments/{id}")).json

    assert push_gateway.pushes == []
    assert shown["push"]["next_at"] == "2026-01-01T00:15:00Z"


async def test_more_than_can_be_waited_for_are_woken_in_the_background(
    server: RunningServer, fleet: Fleet, push_gateway: FakeGateway
) -> None:
    await install(server.services)
    id = await fleet.enroll(1)
    ids = ",".join([str(id), *(f"nobody-{number}" for number in range(MOST_AT_ONCE))])

    answer = await tool(server, "PUT", f"/v1/enqueue/{ids}", plist_command("CMD1"))
    await push_gateway.arrived(1)

    assert answer.status == 207
    assert str(id) not in answer.json["status"]
