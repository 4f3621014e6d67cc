"""The shape of the one route table: what a route takes, gives and demands of its caller.

The rows themselves stand in each surface's `ROUTES`; `app` puts them on listeners, and a route that no row declares
stops the start-up (S27). OpenAPI is written from the same rows, and mypy holds handlers to them.
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto
from typing import Any, Generic, TypeVar

import msgspec
from aiohttp import web

from mdmserver.access.model import ApiKey, Scope
from mdmserver.audit.model import Actor, ActorKind
from mdmserver.config import MIB, Config
from mdmserver.web.services import Services

Q = TypeVar("Q", bound=msgspec.Struct)
B = TypeVar("B")
R = TypeVar("R")


class Surface(StrEnum):
    """Who a route is for, and with that how it says no."""

    DEVICE = "device"
    ENROLLMENT = "enrollment"
    """Pages for the person who enrolls a device."""
    CA = "ca"
    """SCEP and what else a CA shows: to devices, so that a refusal has no body and is never a 401."""
    API = "api"
    NANOMDM = "nanomdm"
    OPERATIONS = "operations"


class Open(Enum):
    """What stands where a route needs no API key."""

    PUBLIC = auto()
    DEVICE = auto()
    """The device's certificate decides."""


class Incoming(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What callers send; a field or parameter that is not known is refused, so that a typing error shows."""


class Lenient(msgspec.Struct, frozen=True, kw_only=True):
    """A query whose unknown parameters do not matter: mail programs and old clients add their own."""


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """What callers are given."""


class Nothing(Incoming, frozen=True):
    """No query parameters, or no body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Bytes as they come or go, for what is not JSON of one type. `status` None leaves it to the route.

    `headers` go with an answer, and before those that all answers have; with `is_last` the connection ends.
    """

    body: bytes
    media_type: str
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    is_last: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[Q, B]):
    """One call of a route, checked and decoded: all that a handler sees of a request."""

    config: Config
    services: Services
    key: ApiKey | None
    """The key that opened the route; None on routes that need none."""
    path: Mapping[str, str]
    query: Q
    body: B
    idempotency_key: str | None

    @property
    def actor(self) -> Actor:
        """Who calls, as the audit trail names it."""
        if self.key is None:
            raise TypeError("a route without a key changes nothing and has no actor")
        return Actor(kind=ActorKind.KEY, name=self.key.id)

    @property
    def may_destroy(self) -> bool:
        """Whether the caller may send what erases, locks, clears a passcode or ends management (S28)."""
        return self.key is not None and Scope.COMMANDS_DESTROY in self.key.scopes


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What the table says of any route; device routes say no more. `{name}` in a path is a parameter."""

    method: str
    path: str
    scope: Scope | Open
    surface: Surface
    summary: str

    @property
    def template(self) -> str:
        """The path with bare parameter names, as aiohttp calls it and OpenAPI writes it."""
        return re.sub(r"\{(\w+)(?::[^}]*)?\}", r"{\1}", self.path)

    @property
    def parameters(self) -> list[str]:
        """The names of the path's parameters."""
        return re.findall(r"\{(\w+)", self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route(Row, Generic[Q, B, R]):
    """A route with its handler. `body` and `response` are structs for JSON, or Content; a None response is a 204.

    `media_types` are those of a Content body, each with the struct that it holds, or None for bytes.
    """

    handler: Callable[[Call[Q, B]], Awaitable[R]]
    query: type[Q]
    body: type[B]
    response: type[R] | None
    status: int = 200
    body_limit: int = 1 * MIB
    media_types: Mapping[str, type[msgspec.Struct] | None] = field(default_factory=dict)
    response_media_type: str = "application/json"


AnyRoute = Route[Any, Any, Any]


class UndeclaredRoute(RuntimeError):
    """The application and the table disagree; a defect of ours, found at start-up."""


def check_declared(application: web.Application, rows: Iterable[Row]) -> None:
    """Raises UndeclaredRoute unless the application has exactly the table's routes, each with a scope."""
    declared = {(row.method, row.template): row.scope for row in rows}
    for (method, path), scope in declared.items():
        if not isinstance(scope, Scope | Open):
            raise UndeclaredRoute(f"{method} {path} declares no scope")
    present = {
        (route.method, route.resource.canonical if route.resource is not None else "?")
        for route in application.router.routes()
    }
    for method, path in sorted(present - declared.keys()):
        raise UndeclaredRoute(f"{method} {path} is served but stands in no route table")
    for method, path in sorted(declared.keys() - present):
        raise UndeclaredRoute(f"{method} {path} stands in the route table but is not served")
