"""What a hostile or broken caller sends to the API: a refusal each time, never a 500, and the server goes on (S20)."""

import asyncio
from collections.abc import AsyncIterator
from io import BytesIO
from time import perf_counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mdmserver.web.api.sending import NewCommand
from mdmserver.web.endpoint import decode_json
from mdmserver.web.errors import known
from tests.web.api_server import Answer, RunningServer

JSON = {"Content-Type": "application/json"}
MIB = 1024 * 1024


async def send(server: RunningServer, path: str, body: bytes) -> Answer:
    return await server.post(path, data=BytesIO(body), headers=JSON)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"\x00",
        b"null",
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"command":{"RequestType":"A","B":' + b"[" * 90_000,
        b'{"command":{"RequestType":"A","B":' + b"[" * 900 + b"]" * 900 + b'},"targets":["x"]}',
        b'{"command":{"RequestType":"A","B":NaN},"targets":["x"]}',
        b'{"command":{"RequestType":"A","B":Infinity},"targets":["x"]}',
        b'{"command":{"RequestType":"A","B":1e999},"targets":["x"]}',
        b'{"command":{"RequestType":"A","B":' + b"9" * 100_000 + b'},"targets":["x"]}',
        b'{"command":{"RequestType":"A"},"targets":["\\ud800"]}',
        b'{"command":{"RequestType":"\\u0000"},"targets":["x"]}',
        b'{"priority":1e308,"targets":["x"],"command":{"RequestType":"A"}}',
        b'{"priority":99999999999999999999,"targets":["x"],"command":{"RequestType":"A"}}',
        b'{"everyone":"yes","command":{"RequestType":"A"}}',
        b'{"not_before":"9999-12-31T23:59:59.999999-23:59","targets":["x"],"command":{"RequestType":"A"}}',
        b'{"__class__":"x"}',
    ],
)
async def test_json_that_is_none_is_refused(body: bytes, server: RunningServer) -> None:
    for path in ("/api/v1/commands", "/api/v1/keys"):
        answer = await send(server, path, body)

        assert 400 <= answer.status < 500, (path, answer.body)
        assert answer.headers["Content-Type"] == "application/problem+json"


async def test_field_that_is_given_twice_has_one_meaning_for_all(server: RunningServer) -> None:
    answer = await send(server, "/api/v1/keys", b'{"name":"a","name":"b","scopes":["status:read"]}')

    assert answer.json["key"]["name"] == "b"
    listed = await server.get("/api/v1/keys")
    assert [item["name"] for item in listed.json["items"] if item["id"] == answer.json["key"]["id"]] == ["b"]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300) | st.text(alphabet='{}[]":,0123456789eE+-.truefalsn\\u ', max_size=300).map(str.encode))
def test_no_bytes_raise_anything_but_a_refusal(body: bytes) -> None:
    raised = None
    try:
        decode_json(body, NewCommand)
    except Exception as error:
        raised = error

    assert raised is None or known(raised) is not None


async def test_body_over_its_limit_is_refused(server: RunningServer) -> None:
    answer = await send(server, "/api/v1/keys", b" " * (1 * MIB + 1))

    assert (answer.status, answer.json["code"]) == (413, "body_too_large")


async def test_body_that_does_not_say_its_length_is_refused_over_the_limit(server: RunningServer) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 65536

    answer = await server.post("/api/v1/keys", data=pieces(), headers=JSON)

    assert answer.status == 413


async def test_json_bomb_is_refused_before_it_is_built(server: RunningServer) -> None:
    bomb = b'{"command":{"RequestType":"A","B":[' + b"[]," * 5_000_000 + b"[]]}}"
    started = perf_counter()

    answer = await send(server, "/api/v1/commands", bomb)

    assert (answer.status, answer.json["code"]) == (413, "too_many_values")
    assert perf_counter() - started < 5


async def test_costliest_command_does_not_hold_up_others(server: RunningServer) -> None:
    payload = b'{"command":{"RequestType":"A","B":[1' + b",1" * 99_000 + b']},"targets":["x"]}'
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            started = perf_counter()
            await asyncio.sleep(0.005)
            longest = max(longest, perf_counter() - started)

    watching = asyncio.create_task(watch())
    answer = await send(server, "/api/v1/commands", payload)
    watching.cancel()

    assert answer.status == 404
    # Written on the event loop, it stops everybody for a second.
    assert longest < 0.4


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
async def test_compressed_body_is_refused(encoding: str, server: RunningServer) -> None:
    answer = await server.post("/api/v1/keys", data=b"{}", headers={**JSON, "Content-Encoding": encoding})

    assert (answer.status, answer.json["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("media_type", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data"])
async def test_what_a_web_form_could_send_is_refused(media_type: str, server: RunningServer) -> None:
    answer = await server.post("/api/v1/keys", data=b"{}", headers={"Content-Type": media_type})

    assert answer.status == 415


@pytest.mark.parametrize("key", ["", "x" * 256, "\u200b", "\u202e"])
async def test_idempotency_key_that_cannot_be_kept_is_refused(key: str, server: RunningServer) -> None:
    body = {"command": {"RequestType": "ProfileList"}, "everyone": True}

    answer = await server.post("/api/v1/commands", body, headers={"Idempotency-Key": key})

    assert answer.status == 400


async def test_unknown_path_and_method_are_problems(server: RunningServer) -> None:
    nowhere = await server.get("/api/v1/nothing")
    wrong = await server.call("PATCH", "/api/v1/keys", key=server.admin_key)

    assert (nowhere.status, nowhere.json["code"]) == (404, "no_such_path")
    assert (wrong.status, wrong.json["code"]) == (405, "method_not_allowed")
    assert wrong.headers["Allow"] == "GET,POST"


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "REPORT"])
async def test_methods_nobody_serves_are_refused(method: str, server: RunningServer) -> None:
    answer = await server.call(method, "/api/v1/status", key=server.admin_key)

    assert answer.status == 405


async def test_unknown_path_outside_the_api_has_an_empty_answer(server: RunningServer) -> None:
    answer = await server.get("/index.html")

    assert (answer.status, answer.body) == (404, b"")
