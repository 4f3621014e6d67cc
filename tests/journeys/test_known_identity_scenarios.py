"""What such servers have got wrong and this one must not (compatibility.md section 7): who may speak for whom."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from mdmserver.protocol import (
    DeclarativeManagement,
    EnrollmentID,
    EnrollmentType,
    GetBootstrapToken,
    SetBootstrapToken,
    UserAuthenticate,
    dumps,
    encode_checkin,
    parse_bootstrap_token,
    parse_declarative_endpoint,
    parse_digest_challenge,
)
from tests.journeys.devices import CHECKIN, Device, Reply, signed_by
from tests.journeys.fixtures import UDID, World
from tests.journeys.servers import running_server

Say = Callable[[Device], Awaitable[Reply]]
EVERYTHING_BUT_AUTHENTICATE: dict[str, Say] = {
    "TokenUpdate": lambda device: device.token_update(),
    "Idle": lambda device: device.idle(),
    "a result": lambda device: device.acknowledge("SOME-COMMAND"),
    "CheckOut": lambda device: device.check_out(),
}


async def test_enrolling_again_with_the_same_messages_begins_a_new_life(allowing_world: World) -> None:
    device = await allowing_world.enrolled()
    await device.send(encode_checkin(SetBootstrapToken(enrollment_id=device.id, bootstrap_token=b"boot")), CHECKIN)
    uuid = await allowing_world.api.enqueue(device.reference)

    await device.enroll()

    enrollment = await allowing_world.api.enrollment(device.reference)
    assert (enrollment["life"], enrollment["token_update_tally"], enrollment["state"]) == (2, 1, "enrolled")
    assert (await device.idle()).body == b""
    assert await allowing_world.api.state_of(uuid, device.reference) == "cancelled"
    reply = await device.send(encode_checkin(GetBootstrapToken(enrollment_id=device.id)), CHECKIN)
    assert (reply.status, reply.body) == (200, b"")


async def test_user_channels_end_when_their_device_enrolls_again(allowing_world: World) -> None:
    device = await allowing_world.enrolled()
    user = device.user("USER-1")
    assert (await user.token_update()).status == 200
    uuid = await allowing_world.api.enqueue(user.reference)

    await device.enroll()

    assert (await allowing_world.api.enrollment(user.reference))["state"] == "ended"
    assert (await user.idle()).body == b""
    assert await allowing_world.api.state_of(uuid, user.reference) == "cancelled"


async def test_a_user_channel_has_a_queue_of_its_own(world: World) -> None:
    device = await world.enrolled()
    user = device.user("USER-1")
    await user.token_update()
    for_user = await world.api.enqueue(user.reference)
    for_device = await world.api.enqueue(device.reference)

    assert (await device.idle()).command_uuid == for_device
    assert (await user.idle()).command_uuid == for_user
    assert (await user.acknowledge(for_user)).body == b""


async def test_the_old_certificate_is_refused_for_everything_after_a_re_enrollment(allowing_world: World) -> None:
    old = await allowing_world.enrolled()
    new = allowing_world.device(UDID)
    await new.enroll()

    for name, say in {"Authenticate": lambda device: device.authenticate(), **EVERYTHING_BUT_AUTHENTICATE}.items():
        reply = await say(old)
        assert (reply.status, reply.body) == (403, b""), name
    assert (await allowing_world.api.enrollment(new.reference))["state"] == "enrolled"


@pytest.mark.parametrize("name", EVERYTHING_BUT_AUTHENTICATE)
async def test_an_unused_certificate_of_the_same_ca_cannot_speak_for_a_device(world: World, name: str) -> None:
    device = await world.enrolled()
    uuid = await world.api.enqueue(device.reference)
    intruder = world.device(UDID)

    reply = await EVERYTHING_BUT_AUTHENTICATE[name](intruder)

    assert (reply.status, reply.body) == (403, b"")
    assert (await world.api.enrollment(device.reference))["state"] == "enrolled"
    assert (await device.idle()).command_uuid == uuid


async def test_a_new_certificate_for_a_known_device_waits_until_a_person_allows_it(world: World) -> None:
    device = await world.enrolled()
    uuid = await world.api.enqueue(device.reference)
    newcomer = world.device(UDID)

    assert (await newcomer.authenticate("SERIAL")).status == 403
    assert [item["id"] for item in (await world.api.get("/reenrollments"))["items"]] == [device.reference]
    assert (await device.idle()).command_uuid == uuid
    status, _ = await world.api.call("POST", f"/api/v1/enrollments/{device.reference}/allow-reenroll")
    assert status == 200
    await newcomer.enroll()

    assert (await device.idle()).status == 403
    assert (await newcomer.idle()).status == 200
    assert (await world.api.enrollment(device.reference))["life"] == 2


async def test_a_certificate_of_one_device_cannot_enroll_or_speak_for_another(allowing_world: World) -> None:
    device, other = await allowing_world.enrolled(), await allowing_world.enrolled("B" * 40)
    other_as_device = Device(allowing_world.session, allowing_world.server.url, device.id, other.sign)

    for reply in (await other_as_device.authenticate(), await other_as_device.idle()):
        assert (reply.status, reply.body) == (403, b"")
    assert (await device.idle()).status == 200


async def test_a_colon_in_a_device_id_cannot_make_it_meet_a_user_channel(world: World) -> None:
    device = await world.enrolled()
    user = device.user("USER-1")
    await user.token_update()
    uuid = await world.api.enqueue(user.reference)
    body = dumps({"MessageType": "Authenticate", "Topic": "t", "UDID": user.reference})

    reply = await world.device("C" * 40).send(body, CHECKIN)

    assert (reply.status, reply.body) == (400, b"")
    assert (await user.idle()).command_uuid == uuid


async def test_a_user_enrollment_with_a_devices_udid_as_its_id_does_not_meet_that_device(world: World) -> None:
    device = await world.enrolled()
    impostor = Device(
        world.session,
        world.server.url,
        EnrollmentID(EnrollmentType.USER_ENROLLMENT_DEVICE, UDID),
        signed_by(world.server.devices.identity()),
    )
    await impostor.enroll()

    uuid = await world.api.enqueue(UDID)

    assert (await impostor.idle()).body == b""
    assert (await device.idle()).command_uuid == uuid
    assert (await world.api.enrollment(UDID))["type"] == "Device"


@pytest.mark.parametrize(
    "endpoint", ["//elsewhere.example/tokens", "../../v1/enqueue", "tokens?x=y", "declaration/a/b/c", "http://x/", ""]
)
async def test_a_declarative_endpoint_outside_of_the_grammar_goes_nowhere(world: World, endpoint: str) -> None:
    device = await world.enrolled()
    body = dumps({"MessageType": "DeclarativeManagement", "UDID": UDID, "Endpoint": endpoint})

    reply = await device.send(body, CHECKIN)

    assert (reply.status, reply.body) == (400, b"")


async def test_a_declaration_that_is_not_there_is_a_404(world: World) -> None:
    device = await world.enrolled()
    endpoint = parse_declarative_endpoint("declaration/configuration/com.example.missing")

    reply = await device.send(
        encode_checkin(DeclarativeManagement(enrollment_id=device.id, endpoint=endpoint)), CHECKIN
    )

    assert reply.status == 404


async def test_a_bootstrap_token_comes_back_as_it_was_and_an_empty_one_deletes_it(world: World) -> None:
    device = await world.enrolled()

    async def set_token(token: bytes | None) -> Reply:
        message = SetBootstrapToken(enrollment_id=device.id, bootstrap_token=token)
        return await device.send(encode_checkin(message), CHECKIN)

    async def get_token() -> Reply:
        return await device.send(encode_checkin(GetBootstrapToken(enrollment_id=device.id)), CHECKIN)

    assert (await get_token()).body == b""
    assert (await set_token(b"\x00boot\xff")).status == 200
    assert parse_bootstrap_token((await get_token()).body) == b"\x00boot\xff"
    assert (await set_token(None)).status == 200
    assert (await get_token()).body == b""


async def test_after_a_check_out_nothing_is_served_and_the_certificate_is_revoked(world: World) -> None:
    device = await world.enrolled()
    uuid = await world.api.enqueue(device.reference)

    assert (await device.check_out()).status == 200

    assert (await device.idle()).status == 403
    assert (await device.authenticate()).status == 403
    assert await world.api.state_of(uuid, device.reference) == "cancelled"
    assert (await world.api.enrollment(device.reference))["state"] == "ended"


async def test_no_answer_to_a_device_is_ever_a_401(world: World) -> None:
    device = await world.enrolled()
    stranger = Device(world.session, world.server.url, device.id, lambda body: "bm90IGEgc2lnbmF0dXJl")
    unsigned = Device(world.session, world.server.url, device.id, lambda body: "")

    replies = [await device.send(b"no plist"), await stranger.idle(), await unsigned.idle()]

    assert [reply.status for reply in replies] == [400, 400, 400]
    assert not any(reply.body for reply in replies)


async def test_a_network_user_is_declined_unless_zero_digests_are_configured(tmp_path: Path, world: World) -> None:
    def asks(device: Device, digest_response: str | None = None) -> bytes:
        return encode_checkin(UserAuthenticate(enrollment_id=device.id, digest_response=digest_response))

    declined = (await world.enrolled()).user("USER-1")
    other_state = tmp_path / "other"
    async with running_server(other_state, user_authenticate="zero_digest") as server:
        user = (await World(server, world.session).enrolled()).user("USER-1")
        first = await user.send(asks(user), CHECKIN)
        second = await user.send(asks(user, "anything"), CHECKIN)

    assert (await declined.send(asks(declined), CHECKIN)).status == 410
    assert (first.status, parse_digest_challenge(first.body)) == (200, "")
    assert (second.status, second.body) == (200, b"")
