"""The interface of NanoMDM, as its tools use it."""

from base64 import b64encode

import aiohttp
import pytest

from mdmserver.access.model import Scope
from mdmserver.commands.model import ItemState
from mdmserver.protocol import CommandUUID
from tests.fleet import Fleet, certificate, plist_command
from tests.web.api_server import Answer, RunningServer

NOT_ENROLLED = "00000000-0000-4000-8000-999999999999"


async def tool(server: RunningServer, method: str, path: str, body: bytes = b"", *, key: str | None = None) -> Answer:
    """A call as NanoMDM's own scripts make it: Basic, user nanomdm."""
    headers = {"Authorization": aiohttp.encode_basic_auth("nanomdm", key or server.admin_key)}
    return await server.call(method, path, headers=headers, data=body)


async def test_version_needs_no_key(server: RunningServer) -> None:
    answer = await server.call("GET", "/version")

    assert answer.status == 200
    assert answer.body == b'{"version":"0.1.0"}'


@pytest.mark.parametrize("method", ["PUT", "POST"])
async def test_command_is_queued_byte_for_byte_without_push(method: str, server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)
    command = plist_command("CMD1") + b"<!-- kept -->\n"

    answer = await tool(server, method, f"/v1/enqueue/{id}?nopush=1", command)

    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.body == (b'{\n\t"no_push": true,\n\t"command_uuid": "CMD1",\n\t"request_type": "ProfileList"\n}\n')
    assert await server.services.commands.command_body(CommandUUID("CMD1")) == command


async def test_queued_command_that_could_not_be_pushed_is_a_207(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)

    answer = await tool(server, "PUT", f"/v1/enqueue/{id}", plist_command("CMD1"))

    assert answer.status == 207
    assert answer.json == {
        "status": {str(id): {"push_error": "no push certificate"}},
        "command_uuid": "CMD1",
        "request_type": "ProfileList",
    }
    assert await fleet.states(id) == {"CMD1": ItemState.QUEUED}


async def test_some_unknown_ids_are_a_207_and_the_others_have_the_command(server: RunningServer, fleet: Fleet) -> None:
    first, second = await fleet.enroll(1), await fleet.enroll(2)

    answer = await tool(server, "PUT", f"/v1/enqueue/{first},{NOT_ENROLLED},{second}?nopush=1", plist_command("CMD1"))

    assert answer.status == 207
    assert answer.json["status"] == {NOT_ENROLLED: {"command_error": "no such enrollment"}}
    assert await fleet.states(first) == await fleet.states(second) == {"CMD1": ItemState.QUEUED}


async def test_only_unknown_ids_are_a_500(server: RunningServer) -> None:
    answer = await tool(server, "PUT", f"/v1/enqueue/{NOT_ENROLLED},nobody", plist_command("CMD1"))

    assert answer.status == 500
    assert set(answer.json["status"]) == {NOT_ENROLLED, "nobody"}
    assert all(set(result) == {"command_error"} for result in answer.json["status"].values())


async def test_user_channel_is_named_with_a_colon(server: RunningServer, fleet: Fleet) -> None:
    await fleet.enroll(1)
    id = await fleet.log_in(1)

    answer = await tool(server, "PUT", f"/v1/enqueue/{id}?nopush=1", plist_command("CMD1"))

    assert answer.status == 200
    assert await fleet.states(id) == {"CMD1": ItemState.QUEUED}


async def test_ended_enrollment_is_refused_by_its_id(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)
    await fleet.check_out(id, certificate(1))

    answer = await tool(server, "PUT", f"/v1/enqueue/{id}?nopush=1", plist_command("CMD1"))

    assert (answer.status, answer.json["status"]) == (500, {str(id): {"command_error": "the enrollment has ended"}})


@pytest.mark.parametrize(
    "body",
    [b"", b"not a plist", b"bplist00"],
)
async def test_command_that_cannot_be_taken_is_a_500_with_a_command_error(
    body: bytes, server: RunningServer, fleet: Fleet
) -> None:
    id = await fleet.enroll(1)

    answer = await tool(server, "PUT", f"/v1/enqueue/{id}?nopush=1", body)

    assert answer.status == 500
    assert set(answer.json) == {"no_push", "command_error"}
    assert await fleet.states(id) == {}


async def test_same_uuid_with_another_content_is_a_command_error(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)
    await tool(server, "PUT", f"/v1/enqueue/{id}?nopush=1", plist_command("CMD1"))

    answer = await tool(server, "PUT", f"/v1/enqueue/{id}?nopush=1", plist_command("CMD1", "SecurityInfo"))

    assert answer.status == 500
    assert "another content" in answer.json["command_error"]


async def test_thousands_of_ids_fit_in_one_request(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)
    ids = [str(id), *(f"00000000-0000-4000-8000-{number:012d}" for number in range(100, 3100))]

    answer = await tool(server, "PUT", f"/v1/enqueue/{','.join(ids)}?nopush=1", plist_command("CMD1"))

    assert answer.status == 207
    assert len(answer.json["status"]) == 3000
    assert await fleet.states(id) == {"CMD1": ItemState.QUEUED}


async def test_id_that_is_named_twice_has_the_command_once(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)

    answer = await tool(server, "PUT", f"/v1/enqueue/{id},{id}?nopush=1", plist_command("CMD1"))

    assert answer.status == 200
    assert list(await fleet.items(id)) == ["CMD1"]


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
async def test_push_to_ids_that_nobody_has_is_a_500(method: str, server: RunningServer) -> None:
    answer = await tool(server, method, "/v1/push/B,A")

    assert answer.status == 500
    assert answer.json == {
        "status": {"A": {"push_error": "no such enrollment"}, "B": {"push_error": "no such enrollment"}}
    }
    assert list(answer.json["status"]) == ["A", "B"]


async def test_without_a_key_the_realm_is_named(server: RunningServer) -> None:
    answer = await server.call("PUT", "/v1/enqueue/X", data=plist_command("CMD1"))

    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="nanomdm"'


@pytest.mark.parametrize("user", ["admin", "", "NANOMDM"])
async def test_another_user_is_refused_even_with_a_good_key(user: str, server: RunningServer) -> None:
    credentials = b64encode(f"{user}:{server.admin_key}".encode()).decode()

    answer = await server.call("GET", "/v1/push/X", headers={"Authorization": f"Basic {credentials}"})

    assert answer.status == 401


async def test_bearer_is_not_this_surfaces_way(server: RunningServer) -> None:
    answer = await server.call("GET", "/v1/push/X", key=server.admin_key)

    assert answer.status == 401


async def test_key_for_pushing_may_not_send_commands(server: RunningServer) -> None:
    key = await server.key(Scope.PUSH_SEND)
    headers = {"Authorization": aiohttp.encode_basic_auth("nanomdm", key)}

    answer = await server.call("PUT", "/v1/enqueue/X", headers=headers, data=plist_command("CMD1"))

    assert answer.status == 403
    assert "commands:send" in answer.json["error"]


async def test_unknown_parameters_and_content_types_are_taken(server: RunningServer, fleet: Fleet) -> None:
    id = await fleet.enroll(1)
    headers = {
        "Authorization": aiohttp.encode_basic_auth("nanomdm", server.admin_key),
        "Content-Type": "application/x-www-form-urlencoded",
    }

    answer = await server.call(
        "POST", f"/v1/enqueue/{id}?nopush=yes&trace=1", headers=headers, data=plist_command("CMD1")
    )

    assert answer.status == 200
