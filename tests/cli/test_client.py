"""The client: every kind of answer becomes a value or one kind of error."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from mdmserver.cli.client import NOT_CONNECTED, APIClient, Missing, Refused, Unreachable, open_client
from mdmserver.secret import Secret

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[Handler], Awaitable[APIClient]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts a server with one handler for everything, and gives a client for it."""
    servers: list[web.ServerRunner] = []
    clients = []

    async def start(handler: Handler) -> APIClient:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            assert isinstance(request, web.BaseRequest)
            return await handler(request)  # type: ignore[arg-type]  # web.Server gives a BaseRequest

        runner = web.ServerRunner(web.Server(handle))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        servers.append(runner)
        host, port = runner.addresses[0][:2]
        client = open_client(f"http://{host}:{port}/", Secret("mdm_key"), timeout_seconds=0.5)
        clients.append(client)
        return await client.__aenter__()

    yield start
    for client in clients:
        await client.__aexit__(None, None, None)
    for runner in servers:
        await runner.cleanup()


def problem(status: int, code: str) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.json_response(
            {"status": status, "code": code, "detail": "it says why", "refused": {"X": "y"}}, status=status
        )

    return handler


async def test_the_key_and_the_quoted_path_and_query_are_sent(serve: Serve) -> None:
    async def echo(request: web.Request) -> web.StreamResponse:
        return web.json_response({"path": request.raw_path, "key": request.headers["Authorization"]})

    api = await serve(echo)

    answer = await api.get("enrollments", "UDID:a/b?c", query={"all": True, "name": "x y&z", "none": None})

    assert answer == {
        "path": "/api/v1/enrollments/UDID%3Aa%2Fb%3Fc?all=true&name=x+y%26z",
        "key": "Bearer mdm_key",
    }


async def test_an_empty_answer_is_an_empty_value(serve: Serve) -> None:
    async def nothing(request: web.Request) -> web.StreamResponse:
        return web.Response(status=204)

    assert await (await serve(nothing)).delete("keys", "x") == {}


@pytest.mark.parametrize("status", [400, 401, 403, 409, 413, 503])
async def test_a_problem_is_refused_with_its_words_and_code(serve: Serve, status: int) -> None:
    api = await serve(problem(status, "some_code"))

    with pytest.raises(Refused, match=r"it says why \(some_code\)") as caught:
        await api.get("status")

    assert caught.value.code == "some_code"


async def test_a_404_is_missing_and_keeps_its_body(serve: Serve) -> None:
    api = await serve(problem(404, "nothing_queued"))

    with pytest.raises(Missing) as caught:
        await api.post("commands")

    assert caught.value.body["refused"] == {"X": "y"}


@pytest.mark.parametrize("body", ["<html>", "[]", '"text"'])
async def test_an_answer_that_is_not_ours_is_no_answer(serve: Serve, body: str) -> None:
    async def other(request: web.Request) -> web.StreamResponse:
        return web.Response(text=body)

    with pytest.raises(Unreachable, match="not mdmserver's"):
        await (await serve(other)).get("status")


async def test_a_redirect_is_not_followed_with_the_key(serve: Serve) -> None:
    asked = []

    async def redirect(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return web.Response(status=302, headers={"Location": "/elsewhere"})

    with pytest.raises(Refused):
        await (await serve(redirect)).get("status")

    assert asked == ["/api/v1/status"]


async def test_nobody_listening_is_told_from_no_answer(serve: Serve) -> None:
    is_over = asyncio.Event()

    async def silent(request: web.Request) -> web.StreamResponse:
        await is_over.wait()
        return web.Response()

    api = await serve(silent)
    with pytest.raises(Unreachable) as no_answer:
        await api.get("status")
    async with open_client("http://127.0.0.1:1", None) as nobody:
        with pytest.raises(Unreachable, match="Connection refused") as refused:
            await nobody.get("status")
    is_over.set()

    assert (no_answer.value.code, refused.value.code) == ("no_answer", NOT_CONNECTED)


def numbers_up_to(last: int, *, asked: list[int]) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        start, limit = int(request.query.get("cursor", "0")), int(request.query["limit"])
        asked.append(limit)
        stop = min(start + limit, last)
        return web.json_response({"items": list(range(start, stop)), "next_cursor": str(stop) if stop < last else None})

    return handler


async def test_pages_are_put_together_up_to_the_limit(serve: Serve) -> None:
    asked: list[int] = []
    api = await serve(numbers_up_to(25, asked=asked))

    assert await api.items("things", limit=None, page=10) == (list(range(25)), False)
    assert await api.items("things", limit=15, page=10) == (list(range(15)), True)
    assert await api.items("things", limit=25, page=10) == (list(range(25)), False)
    assert asked == [10, 10, 10, 10, 5, 10, 10, 5]
