"""Turns a row of the route table into an aiohttp handler: host, key, query, body; then the handler; then the answer.

Everything that every call needs stands here once, so that a handler is only about its noun.
"""

import ipaddress
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, get_origin
from urllib.parse import urlsplit

import msgspec
from aiohttp import web
from aiohttp.hdrs import CONTENT_ENCODING, HOST

from mdmserver.access.model import ApiKey, Scope
from mdmserver.config import Config
from mdmserver.errors import Invalid, TooLarge
from mdmserver.web.auth import Gate
from mdmserver.web.body import BodyReader
from mdmserver.web.budget import BodyShare
from mdmserver.web.connection import BoundedConnection
from mdmserver.web.errors import Misdirected, UnsupportedMedia
from mdmserver.web.routes import AnyRoute, Call, Content, Lenient, Nothing, Surface
from mdmserver.web.services import Services

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# As many as a command can have targets, and some for the command itself.
_VALUES = 300_000
NANOMDM_USER = "nanomdm"
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
_LOOPBACK_NAMES = frozenset({"localhost"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all endpoints of a listener share."""

    config: Config
    services: Services
    gate: Gate
    bodies: BodyReader


def endpoint(route: AnyRoute, around: Surroundings) -> Handler:
    """The aiohttp handler of a route; it raises, and the listener's middleware makes answers of what it raises."""
    host = (urlsplit(around.config.server.url).hostname or "").lower()

    async def handle(request: web.Request) -> web.StreamResponse:
        if route.surface is Surface.API:
            _check_host(request, host)
        key = await _opening_key(request, route, around.gate)
        query = _query_of(request, route.query)
        with around.bodies.share() as share:
            call = Call(
                config=around.config,
                services=around.services,
                key=key,
                path=request.match_info,
                query=query,
                body=await _body_of(request, route, around.bodies, share),
                idempotency_key=_idempotency_key(request),
            )
            answer = await route.handler(call)
        if route.surface is Surface.ENROLLMENT:
            # The token in the path was good: an office that enrolls is one address (S21).
            _prove(request)
        return _response(route, answer)

    return handle


async def _opening_key(request: web.Request, route: AnyRoute, gate: Gate) -> ApiKey | None:
    if not isinstance(route.scope, Scope):
        return None
    user = NANOMDM_USER if route.surface is Surface.NANOMDM else None
    key = await gate.admit(request, route.scope, user=user)
    _prove(request)
    return key


def _prove(request: web.Request) -> None:
    if isinstance(request.protocol, BoundedConnection):
        request.protocol.prove()


def _check_host(request: web.Request, own: str) -> None:
    """A page of a stranger's whose name was pointed at this server is refused (DNS rebinding)."""
    matched = _HOST.fullmatch(request.headers.get(HOST, ""))
    name = matched["name"].strip("[]").lower() if matched is not None else None
    if name is None or (name != own and name not in _LOOPBACK_NAMES and not _is_address(name)):
        raise Misdirected(f"this server is called {own}; the request was for another host")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _query_of(request: web.Request, kind: type[msgspec.Struct]) -> Any:
    if kind is Nothing and not request.query:
        return Nothing()
    lists = {field.name for field in msgspec.structs.fields(kind) if get_origin(field.type) is tuple}
    given: dict[str, Any] = {}
    for name, value in _parameters(request, kind):
        if name in lists:
            given.setdefault(name, []).append(value)
        elif name in given:
            raise Invalid(f"the query parameter {name!r} is given twice", code="invalid_query")
        else:
            given[name] = value
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid(f"query parameters: {error}", code="invalid_query") from error


def _parameters(request: web.Request, kind: type[msgspec.Struct]) -> Iterable[tuple[str, str]]:
    """Those given, of which a Lenient query has only what it knows."""
    if not issubclass(kind, Lenient):
        return request.query.items()
    return [(name, value) for name, value in request.query.items() if name in kind.__struct_fields__]


async def _body_of(request: web.Request, route: AnyRoute, bodies: BodyReader, share: BodyShare) -> Any:
    if route.body is Nothing:
        return Nothing()
    if request.headers.get(CONTENT_ENCODING, "identity").lower() != "identity":
        raise UnsupportedMedia("bodies are taken without Content-Encoding")
    if route.body is not Content and request.content_type != "application/json":
        if _may_be_empty(route.body) and not request.body_exists:
            return route.body()
        raise UnsupportedMedia(f"send application/json, not {request.content_type}")
    body = await bodies.read(request, share, at_most=route.body_limit)
    if route.body is Content:
        return Content(body=body, media_type=request.content_type)
    return decode_json(body, route.body)


def _may_be_empty(kind: type[msgspec.Struct]) -> bool:
    return not any(field.required for field in msgspec.structs.fields(kind))


def decode_json(body: bytes, kind: type[Any]) -> Any:
    """The value in a JSON body; what is malformed or of another shape raises what `errors` knows to be the caller's."""
    # Counted before it is built: small values cost fifty times their bytes in memory.
    if body.count(b",") > _VALUES:
        raise TooLarge("the JSON body holds too many values", code="too_many_values")
    try:
        return msgspec.json.decode(body, type=kind)
    except UnicodeDecodeError as error:
        # The one fault that msgspec does not turn into an error of its own.
        raise Invalid("the JSON body is not UTF-8", code="invalid_body") from error


def _idempotency_key(request: web.Request) -> str | None:
    keys = request.headers.getall("Idempotency-Key", [])
    if len(keys) > 1:
        raise Invalid("give one Idempotency-Key", code="invalid_idempotency_key")
    return keys[0] if keys else None


def _response(route: AnyRoute, answer: Any) -> web.Response:
    if isinstance(answer, Content):
        status = route.status if answer.status is None else answer.status
        headers = {"Content-Type": answer.media_type, **answer.headers}
        response = web.Response(body=answer.body, status=status, headers=headers)
        if answer.is_last:
            response.force_close()
        return response
    if answer is None:
        return web.Response(status=204)
    return web.Response(
        body=msgspec.json.encode(answer), status=route.status, headers={"Content-Type": "application/json"}
    )
