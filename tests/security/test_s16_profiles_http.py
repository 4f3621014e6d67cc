"""S16, over HTTP: an invitation is used up by its certificate, not by a look; the last download's challenge works."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from certs import PKIStatus
from tests.web.api_server import RunningServer
from tests.web.issuing import Applicant, download, invite, issuing_server, path_of, rsa_key


@pytest.fixture
async def issuing(tmp_path: Path) -> AsyncIterator[RunningServer]:
    async with issuing_server(tmp_path) as server:
        yield server


async def test_a_hundred_downloads_use_nothing_up_and_the_last_one_works(issuing: RunningServer) -> None:
    made = await invite(issuing)
    profile = path_of(made["url"], issuing) + "/profile"

    answers = await asyncio.gather(*(issuing.call("GET", profile) for _ in range(99)))
    last = await download(issuing, made)
    reply = await Applicant(server=issuing, key=rsa_key("device")).apply(last.scep.challenge)

    assert {answer.status for answer in answers} == {200}
    shown = (await issuing.get(f"/api/v1/invitations/{made['invitation']['id']}")).json
    assert reply.status is PKIStatus.SUCCESS
    assert (shown["downloads"], shown["uses"], shown["is_open"]) == (100, 1, False)


async def test_each_download_replaces_the_challenge_before(issuing: RunningServer) -> None:
    made = await invite(issuing)
    first, second = [(await download(issuing, made)).scep.challenge for _ in range(2)]

    replies = [await Applicant(server=issuing, key=rsa_key("device")).apply(each) for each in (first, second)]

    assert first != second
    assert [reply.status for reply in replies] == [PKIStatus.FAILURE, PKIStatus.SUCCESS]


async def test_downloads_of_a_lab_all_work_as_often_as_it_has_devices(issuing: RunningServer) -> None:
    made = await invite(issuing, uses=3)
    challenges = [(await download(issuing, made)).scep.challenge for _ in range(5)]

    replies = [
        await Applicant(server=issuing, key=rsa_key(f"device {number % 4}")).apply(challenge)
        for number, challenge in enumerate(challenges)
    ]

    assert [reply.status for reply in replies] == [PKIStatus.SUCCESS] * 3 + [PKIStatus.FAILURE] * 2


async def test_downloads_are_audited(issuing: RunningServer) -> None:
    made = await invite(issuing)
    await download(issuing, made)
    await download(issuing, made)

    records = (await issuing.get("/api/v1/audit?limit=1000")).json["items"]

    assert [each["subject"] for each in records if each["action"] == "invitation.download"] == [
        made["invitation"]["id"]
    ] * 2


async def test_profile_and_page_are_not_kept_by_caches(issuing: RunningServer) -> None:
    made = await invite(issuing)

    for suffix in ("", "/profile"):
        answer = await issuing.call("GET", path_of(made["url"], issuing) + suffix)
        assert answer.headers["Cache-Control"] == "no-store"


async def test_token_is_nowhere_but_in_the_hands_of_who_was_given_it(
    issuing: RunningServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    made = await invite(issuing, challenge=True)
    profile = await download(issuing, made)
    token = made["url"].rpartition("/")[2]
    assert profile.scep.challenge is not None

    shown = [await issuing.get(path) for path in ("/api/v1/invitations", "/api/v1/audit?limit=1000", "/api/v1/status")]
    shown.append(await issuing.call("GET", "/metrics", url=issuing.operations_url))
    stored = b"".join(path.read_bytes() for path in _database_files(issuing.state))

    for secret in (token, profile.scep.challenge, made["challenge"]["challenge"]):
        assert secret not in caplog.text
        assert not [answer for answer in shown if secret.encode() in answer.body]
        assert secret.encode() not in stored
        assert b64encode(secret.encode()) not in stored


def _database_files(state: Path) -> list[Path]:
    return list(state.glob("mdmserver.sqlite*"))


@pytest.mark.parametrize("damage", ["shorter", "longer", "another", "other case"])
async def test_token_must_be_the_very_one(damage: str, issuing: RunningServer) -> None:
    token = (await invite(issuing))["url"].rpartition("/")[2]
    wrong = {
        "shorter": token[:-1],
        "longer": token + "A",
        "another": ("B" if token[0] == "A" else "A") + token[1:],
        "other case": token.swapcase(),
    }[damage]

    answers = [await issuing.call("GET", f"/enroll/{wrong}{suffix}") for suffix in ("", "/profile")]

    assert [answer.status for answer in answers] == [404, 404]
