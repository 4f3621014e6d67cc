"""The messages that are answered with more than nothing: bootstrap tokens, users, tokens, declarations, return."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from mdmserver.bootstrap import open_services
from mdmserver.checkin.model import EMPTY, Answer, Reply
from mdmserver.config import Config, Device
from mdmserver.errors import IdentityRefused
from mdmserver.protocol import (
    CheckinMessage,
    DeclarativeManagement,
    EnrollmentID,
    GetBootstrapToken,
    GetToken,
    ReturnToService,
    SetBootstrapToken,
    UserAuthenticate,
    parse_bootstrap_token,
    parse_declarative_endpoint,
    parse_digest_challenge,
    parse_return_to_service,
    parse_token_data,
)
from tests.fleet import FakeClock, Fleet, certificate, device_id, expired, user_id

DEVICE = device_id(1)
SET = SetBootstrapToken(enrollment_id=DEVICE, bootstrap_token=b"bootstrap")
GET = GetBootstrapToken(enrollment_id=DEVICE)
LOGIN = UserAuthenticate(enrollment_id=user_id(1), user_short_name="ann")


class Tokens:
    """A provider that says whom it made a token for."""

    async def token_data(self, id: EnrollmentID, message: GetToken) -> bytes:
        return f"{message.token_service_type} for {id}".encode()


@pytest.fixture
async def lenient(tmp_path: Path, keys: Path, clock: FakeClock) -> AsyncIterator[Fleet]:
    """A server that lets network users in and knows one token service."""
    config = msgspec.structs.replace(Config(), device=Device(user_authenticate="zero_digest"))
    providers = {"com.apple.maid": Tokens()}
    async with open_services(config, tmp_path, clock=clock, token_providers=providers) as services:
        fleet = Fleet(services)
        await fleet.enroll(1)
        yield fleet


@pytest.fixture
async def enrolled(fleet: Fleet) -> Fleet:
    """A server as it is configured at first, with one device."""
    await fleet.enroll(1)
    return fleet


async def say(fleet: Fleet, message: CheckinMessage) -> Reply:
    return await fleet.services.checkin.answer(message, certificate(1))


async def test_without_a_bootstrap_token_the_answer_is_empty(enrolled: Fleet) -> None:
    assert await say(enrolled, GET) == EMPTY


async def test_a_bootstrap_token_is_given_back_with_a_place_in_the_timeline(enrolled: Fleet) -> None:
    assert await say(enrolled, SET) == EMPTY

    reply = await say(enrolled, GET)

    assert reply.answer is Answer.PLIST
    assert parse_bootstrap_token(reply.body) == b"bootstrap"
    assert (await enrolled.kinds(DEVICE))[-2:] == ["bootstrap_token_stored", "bootstrap_token_returned"]


@pytest.mark.parametrize("nothing", [None, b""])
async def test_an_empty_bootstrap_token_deletes_the_stored_one(enrolled: Fleet, nothing: bytes | None) -> None:
    await say(enrolled, SET)

    await say(enrolled, replace(SET, bootstrap_token=nothing))

    assert await say(enrolled, GET) == EMPTY
    assert (await enrolled.kinds(DEVICE))[-1] == "bootstrap_token_deleted"


async def test_a_bootstrap_token_is_given_sixty_times_an_hour(enrolled: Fleet, clock: FakeClock) -> None:
    await say(enrolled, SET)
    for _ in range(60):
        assert (await say(enrolled, GET)).answer is Answer.PLIST
        clock.advance(seconds=1)

    assert (await say(enrolled, GET)).answer is Answer.LATER
    clock.advance(hours=1)
    assert (await say(enrolled, GET)).answer is Answer.PLIST


async def test_a_user_channel_has_its_devices_bootstrap_token(enrolled: Fleet) -> None:
    user = await enrolled.log_in(1)

    await say(enrolled, replace(SET, enrollment_id=user))

    assert parse_bootstrap_token((await say(enrolled, GET)).body) == b"bootstrap"
    assert parse_bootstrap_token((await say(enrolled, replace(GET, enrollment_id=user))).body) == b"bootstrap"


async def test_one_devices_bootstrap_token_is_not_anothers(enrolled: Fleet) -> None:
    await enrolled.enroll(2)
    await say(enrolled, SET)

    reply = await enrolled.services.checkin.answer(replace(GET, enrollment_id=device_id(2)), certificate(2))

    assert reply == EMPTY


@pytest.mark.parametrize("response", [None, "digest"])
async def test_network_users_are_declined_unless_configured_otherwise(enrolled: Fleet, response: str | None) -> None:
    reply = await say(enrolled, replace(LOGIN, digest_response=response))

    assert reply == Reply(answer=Answer.USER_DECLINED)


async def test_network_users_are_let_in_without_a_digest_where_configured(lenient: Fleet) -> None:
    first = await say(lenient, LOGIN)
    second = await say(lenient, replace(LOGIN, digest_response=""))

    assert (first.answer, parse_digest_challenge(first.body)) == (Answer.PLIST, "")
    assert second == EMPTY


async def test_a_token_comes_from_the_provider_of_its_service(lenient: Fleet) -> None:
    reply = await say(lenient, GetToken(enrollment_id=DEVICE, token_service_type="com.apple.maid"))

    assert reply.answer is Answer.PLIST
    assert parse_token_data(reply.body) == f"com.apple.maid for {DEVICE}".encode()


async def test_a_service_nobody_provides_is_a_bad_request(lenient: Fleet) -> None:
    reply = await say(lenient, GetToken(enrollment_id=DEVICE, token_service_type="com.example.unknown"))

    assert reply == Reply(answer=Answer.BAD_REQUEST)


async def test_a_stranger_gets_no_token(lenient: Fleet) -> None:
    wanted = GetToken(enrollment_id=DEVICE, token_service_type="com.apple.maid")

    for presented in (certificate(2), expired(certificate(1))):
        with pytest.raises(IdentityRefused):
            await lenient.services.checkin.answer(wanted, presented)


@pytest.mark.parametrize("endpoint", ["tokens", "declaration-items", "declaration/configuration/x"])
async def test_there_are_no_declarations_yet(enrolled: Fleet, endpoint: str) -> None:
    message = DeclarativeManagement(enrollment_id=DEVICE, endpoint=parse_declarative_endpoint(endpoint))

    assert await say(enrolled, message) == Reply(answer=Answer.NOT_FOUND)


async def test_return_to_service_is_not_enabled(enrolled: Fleet) -> None:
    reply = await say(enrolled, ReturnToService(enrollment_id=DEVICE))

    assert reply.answer is Answer.PLIST
    assert parse_return_to_service(reply.body).enabled is False
