"""S27: a route without a declared scope stops the start-up, and every route is walked with every kind of credential."""

import re
from base64 import b64encode
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from multidict import CIMultiDict

from mdmserver.access.model import Scope
from mdmserver.audit.model import Actor, ActorKind
from mdmserver.config import Config, Device
from mdmserver.errors import Invalid
from mdmserver.web.app import build_application, device_rows, routes_on
from mdmserver.web.listener import ListenerKind
from mdmserver.web.routes import AnyRoute, Open, Row, Surface, UndeclaredRoute, check_declared
from tests.web.api_server import RunningServer

ROUTES = routes_on(ListenerKind.HTTPS, device_rows(Device()))
CLOSED = [route for route in ROUTES if isinstance(route.scope, Scope)]
CREDENTIALS = ["none", "garbage", "another scheme", "unknown", "wrong secret", "revoked", "expired", "twice"]


def name_of(route: Row) -> str:
    return f"{route.method} {route.path}"


def path_of(route: Row) -> str:
    return re.sub(r"\{\w+\}", "X", route.template)


def headers_for(route: AnyRoute, key: str) -> dict[str, str]:
    if route.surface is Surface.NANOMDM:
        return {"Authorization": "Basic " + b64encode(f"nanomdm:{key}".encode()).decode()}
    return {"Authorization": f"Bearer {key}"}


async def bad_headers(server: RunningServer, route: AnyRoute, credential: str) -> Any:
    scopes = tuple(Scope)
    match credential:
        case "none":
            return {}
        case "garbage":
            return {"Authorization": "Bearer \u00ff\u00fe mdm__"}
        case "another scheme":
            return {"Authorization": f"Digest {await server.key(*scopes)}"}
        case "unknown":
            return headers_for(route, "mdm_0123456789_" + "0" * 64)
        case "wrong secret":
            key = await server.key(*scopes)
            return headers_for(route, key[:-1] + ("0" if key[-1] != "0" else "1"))
        case "revoked":
            key = await server.key(*scopes)
            await server.services.access.revoke_key(key.split("_")[1], actor=Actor(kind=ActorKind.CLI, name="test"))
            return headers_for(route, key)
        case "expired":
            key = await server.key(*scopes, expires_at=server.clock.now + timedelta(hours=1))
            server.clock.advance(hours=1)
            return headers_for(route, key)
        case _:
            good = headers_for(route, await server.key(*scopes))["Authorization"]
            return [("Authorization", good), ("Authorization", good)]


@pytest.mark.parametrize("credential", CREDENTIALS)
async def test_no_route_opens_to_a_bad_credential(credential: str, server: RunningServer) -> None:
    for number, route in enumerate(CLOSED):
        headers = CIMultiDict(await bad_headers(server, route, credential))
        # From another address each time: what is tried here is the credential, not the limit on failures.
        headers["X-Forwarded-For"] = f"10.0.0.{number}"

        async with server.session.request(route.method, server.url + path_of(route), headers=headers) as answer:
            assert answer.status == 401, name_of(route)
            assert "WWW-Authenticate" in answer.headers, name_of(route)
            assert await answer.read() != b"", name_of(route)


async def test_no_route_opens_to_a_key_that_has_every_scope_but_its_own(server: RunningServer) -> None:
    for route in CLOSED:
        key = await server.key(*(scope for scope in Scope if scope is not route.scope))

        answer = await server.call(route.method, path_of(route), headers=headers_for(route, key))

        assert answer.status == 403, name_of(route)


async def test_every_route_opens_to_a_key_that_has_its_scope_alone(server: RunningServer) -> None:
    for route in CLOSED:
        assert isinstance(route.scope, Scope)
        key = await server.key(route.scope)

        answer = await server.call(route.method, path_of(route), headers=headers_for(route, key))

        assert answer.status not in (401, 403, 429), name_of(route)


def test_public_routes_are_these_and_no_others() -> None:
    public = {name_of(route) for route in ROUTES if route.scope is Open.PUBLIC}

    assert public == {
        "GET /api/v1/openapi.json",
        "GET /version",
        "GET /enroll/{token}",
        "HEAD /enroll/{token}",
        "GET /enroll/{token}/profile",
        "GET /scep",
        "POST /scep",
        "GET /ca/certificate",
        "GET /ca/crl",
    }


async def test_metrics_and_health_are_not_on_the_public_listener(server: RunningServer) -> None:
    key = server.admin_key

    answers = [await server.call("GET", path, key=key) for path in ("/metrics", "/healthz", "/readyz")]

    assert [answer.status for answer in answers] == [404, 404, 404]
    assert [answer.body for answer in answers] == [b"", b"", b""]


async def test_api_is_not_on_the_operations_listener(server: RunningServer) -> None:
    answer = await server.call("GET", "/api/v1/status", key=server.admin_key, url=server.operations_url)

    assert answer.status == 404


async def _handler(request: web.Request) -> web.Response:
    return web.Response()


def _row(**changes: Any) -> Row:
    fields: dict[str, Any] = {
        "method": "GET", "path": "/a/{b}", "scope": Scope.STATUS_READ, "surface": Surface.API, "summary": "A",
    }  # fmt: skip
    return Row(**{**fields, **changes})


def test_route_that_stands_in_no_table_stops_the_start() -> None:
    application = web.Application()
    application.router.add_get("/a/{b}", _handler, allow_head=False)
    application.router.add_get("/backdoor", _handler, allow_head=False)

    with pytest.raises(UndeclaredRoute, match="GET /backdoor"):
        check_declared(application, [_row()])


def test_row_without_a_scope_stops_the_start() -> None:
    application = web.Application()
    application.router.add_get("/a/{b}", _handler, allow_head=False)

    with pytest.raises(UndeclaredRoute, match="declares no scope"):
        check_declared(application, [_row(scope=None)])


def test_row_that_nobody_serves_stops_the_start() -> None:
    with pytest.raises(UndeclaredRoute, match="not served"):
        check_declared(web.Application(), [_row()])


@pytest.mark.parametrize("path", ["/api/v1/keys", "/version", "/v1/mdm", "/api"])
async def test_device_path_that_would_hide_a_route_stops_the_start(path: str, server: RunningServer) -> None:
    class Surface:
        paths = frozenset({path})

    device: Any = Surface()

    with pytest.raises(Invalid, match="would hide"):
        build_application(ListenerKind.HTTP, Config(), server.services, device)
