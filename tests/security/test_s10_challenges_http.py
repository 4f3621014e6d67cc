"""S10, over HTTP: a challenge is worth one certificate, however it is used; a lost reply costs none."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from certs import FailInfo, PKIStatus
from tests.web.api_server import RunningServer
from tests.web.issuing import Applicant, challenge_of, invite, issuing_server, rsa_key


@pytest.fixture
async def issuing(tmp_path: Path) -> AsyncIterator[RunningServer]:
    async with issuing_server(tmp_path) as server:
        yield server


async def uses_of(server: RunningServer) -> list[int]:
    return [each["uses"] for each in (await server.get("/api/v1/invitations")).json["items"]]


async def test_parallel_uses_of_one_challenge_give_exactly_one_certificate(issuing: RunningServer) -> None:
    challenge = await challenge_of(issuing)
    applicants = [Applicant(server=issuing, key=rsa_key(f"device {number % 4}")) for number in range(24)]

    replies = await asyncio.gather(*(applicant.apply(challenge) for applicant in applicants))

    assert Counter(reply.status for reply in replies) == {PKIStatus.SUCCESS: 1, PKIStatus.FAILURE: 23}
    assert await uses_of(issuing) == [1]


async def test_parallel_repetitions_of_one_request_all_get_the_one_certificate(issuing: RunningServer) -> None:
    applicant = Applicant(server=issuing, key=rsa_key("device"))
    message = applicant.request(await challenge_of(issuing))

    replies = [applicant.read(each) for each in await asyncio.gather(*(applicant.send(message) for _ in range(24)))]

    assert {reply.status for reply in replies} == {PKIStatus.SUCCESS}
    assert len({reply.certificates for reply in replies}) == 1
    assert await uses_of(issuing) == [1]


async def test_challenge_ends_after_an_hour(issuing: RunningServer) -> None:
    challenge = await challenge_of(issuing)
    issuing.clock.advance(minutes=61)

    reply = await Applicant(server=issuing, key=rsa_key("device")).apply(challenge)

    assert (reply.status, reply.fail_info) == (PKIStatus.FAILURE, FailInfo.BAD_REQUEST)


@pytest.mark.parametrize("challenge", [None, "", "wrong", "x" * 200, "é", "' OR 1=1 --"])
async def test_guesses_are_refused(challenge: str | None, issuing: RunningServer) -> None:
    await challenge_of(issuing)

    reply = await Applicant(server=issuing, key=rsa_key("device")).apply(challenge)

    assert (reply.status, reply.fail_info) == (PKIStatus.FAILURE, FailInfo.BAD_REQUEST)
    assert await uses_of(issuing) == [0]


async def test_refusals_do_not_tell_why(issuing: RunningServer) -> None:
    used, ended = await challenge_of(issuing), await invite(issuing, challenge=True)
    applicant = Applicant(server=issuing, key=rsa_key("device"))
    await Applicant(server=issuing, key=rsa_key("device")).apply(used)
    await issuing.delete(f"/api/v1/invitations/{ended['invitation']['id']}")

    replies = [await applicant.apply(challenge) for challenge in (used, ended["challenge"]["challenge"], "unknown")]

    assert len({(reply.status, reply.fail_info, reply.fail_info_text) for reply in replies}) == 1
