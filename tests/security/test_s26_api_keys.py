"""S26, the API's part: keys of 256 bits, stored hashed, shown once, with scopes, expiry, last use and revocation."""

import logging
from base64 import b64encode
from datetime import timedelta

import pytest

from mdmserver.access.model import Scope
from mdmserver.errors import AccessRefused
from mdmserver.web.auth import FailureLimit, presented_key
from tests.web.api_server import RunningServer

STATUS = "/api/v1/status"


async def test_secret_has_256_bits_and_is_nowhere_in_the_state_directory(server: RunningServer) -> None:
    key = await server.key(Scope.STATUS_READ)

    secret = key.split("_")[2]

    assert len(bytes.fromhex(secret)) == 32
    stored = b"".join(path.read_bytes() for path in server.state.rglob("*") if path.is_file())
    assert secret.encode() not in stored
    assert bytes.fromhex(secret) not in stored
    assert key.split("_")[1].encode() in stored


async def test_key_works_as_bearer_and_as_the_basic_password(server: RunningServer) -> None:
    key = await server.key(Scope.STATUS_READ)
    basic = b64encode(f"anyone:{key}".encode()).decode()

    as_bearer = await server.call("GET", STATUS, key=key)
    as_password = await server.call("GET", STATUS, headers={"Authorization": f"Basic {basic}"})
    lower_case = await server.call("GET", STATUS, headers={"Authorization": f"bearer {key}"})

    assert [as_bearer.status, as_password.status, lower_case.status] == [200, 200, 200]


async def test_key_ends_at_its_expiry(server: RunningServer) -> None:
    key = await server.key(Scope.STATUS_READ, expires_at=server.clock.now + timedelta(hours=1))

    before = await server.call("GET", STATUS, key=key)
    server.clock.advance(hours=1)
    after = await server.call("GET", STATUS, key=key)

    assert (before.status, after.status) == (200, 401)


async def test_last_use_is_shown_after_a_flush(server: RunningServer) -> None:
    key = await server.key(Scope.STATUS_READ)
    server.clock.advance(minutes=5)
    await server.call("GET", STATUS, key=key)
    await server.services.access.flush_last_used()

    listed = (await server.get("/api/v1/keys")).json["items"]

    used = {item["id"]: item["last_used_at"] for item in listed}
    assert used[key.split("_")[1]] == "2026-01-01T00:05:00Z"


async def test_refusals_do_not_tell_what_was_wrong(server: RunningServer) -> None:
    key = await server.key(Scope.STATUS_READ)
    wrong = key[:-1] + ("0" if key[-1] != "0" else "1")

    answers = [await server.call("GET", STATUS, key=each) for each in ("garbage", "mdm_0123456789_00", wrong)]

    assert {(answer.status, answer.body) for answer in answers} == {(401, answers[0].body)}


async def test_key_is_in_no_log_line(server: RunningServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key = await server.key(Scope.STATUS_READ)

    for path in (STATUS, "/api/v1/keys", "/api/v1/none"):
        await server.call("GET", path, key=key)
        await server.call("GET", path, key=key + "x")

    assert key.split("_")[2] not in caplog.text


async def test_address_that_keeps_failing_is_told_to_wait(server: RunningServer) -> None:
    for _ in range(25):
        answer = await server.call("GET", STATUS, key="mdm_0123456789_bad", headers={"X-Forwarded-For": "192.0.2.1"})

    elsewhere = await server.call("GET", STATUS, key="mdm_0123456789_bad", headers={"X-Forwarded-For": "192.0.2.2"})

    assert (answer.status, answer.json["code"]) == (429, "too_many_attempts")
    assert int(answer.headers["Retry-After"]) > 0
    assert elsewhere.status == 401


async def test_key_that_has_worked_goes_on_working_from_an_address_that_fails(server: RunningServer) -> None:
    office = {"X-Forwarded-For": "192.0.2.1"}
    key = await server.key(Scope.STATUS_READ)
    await server.call("GET", STATUS, key=key, headers=office)
    for _ in range(25):
        await server.call("GET", STATUS, key="mdm_0123456789_bad", headers=office)

    answer = await server.call("GET", STATUS, key=key, headers=office)

    assert answer.status == 200


async def test_what_a_client_claims_of_its_address_is_believed_only_in_the_last_place(server: RunningServer) -> None:
    for number in range(25):
        headers = {"X-Forwarded-For": f"10.0.0.{number}, 192.0.2.1"}
        answer = await server.call("GET", STATUS, key="mdm_0123456789_bad", headers=headers)

    assert answer.status == 429


def test_failures_are_forgiven_at_a_steady_rate() -> None:
    now = 0.0
    limit = FailureLimit(seconds=lambda: now)

    for _ in range(20):
        assert not limit.is_spent("a")
        limit.failed("a")
    spent = limit.is_spent("a")
    now = 1.0

    assert spent
    assert not limit.is_spent("a")
    limit.failed("a")
    assert limit.is_spent("a")
    assert not limit.is_spent("b")


def test_memory_of_failures_is_bounded() -> None:
    limit = FailureLimit(seconds=lambda: 0.0)

    for number in range(10_000):
        limit.failed(str(number))

    assert len(limit._full_again_at) == 4096


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [""],
        ["Bearer"],
        ["Bearer "],
        ["Basic"],
        ["Basic !!!"],
        ["Basic " + b64encode(b"\xff\xfe:x").decode()],
        ["Basic " + b64encode(b"nocolon").decode()],
        ["Basic " + b64encode(b"user:a\0b").decode()],
        ["Basic " + b64encode("user:mdm_é".encode()).decode()],
        ["Bearer mdm_\udcff"],
        ["Digest mdm_0123456789_x"],
        ["Bearer a", "Bearer b"],
    ],
)
def test_header_that_holds_no_key_is_refused(headers: list[str]) -> None:
    with pytest.raises(AccessRefused):
        presented_key(headers, user=None)
