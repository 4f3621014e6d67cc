"""Which surfaces are on which listener (design.md section 5), as one aiohttp application for each listener.

Devices' requests do not come through it: `server` gives them to the device surface, which has endpoints, not routes.
They are in the table all the same, and on `mtls` there is nothing else.
"""

from collections.abc import Awaitable, Callable, Iterable

import msgspec
from aiohttp import web

from mdmserver.config import MIB, Config, Device
from mdmserver.enrollment.service import PAGE_PATH
from mdmserver.errors import AccessRefused, Invalid
from mdmserver.web import ca, enroll, nanomdm, nanomdm_push, operations
from mdmserver.web.api.routes import ROUTES as API_ROUTES
from mdmserver.web.auth import FailureLimit, Gate
from mdmserver.web.body import BodyReader
from mdmserver.web.device.surface import DeviceSurface
from mdmserver.web.endpoint import Surroundings, endpoint
from mdmserver.web.errors import problem_response, unrouted_response
from mdmserver.web.listener import ListenerKind
from mdmserver.web.metrics import Counter, Metrics, class_of
from mdmserver.web.openapi import openapi_route
from mdmserver.web.routes import AnyRoute, Open, Row, Surface, check_declared
from mdmserver.web.services import Services

_SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Server": "mdmserver",
    "X-Content-Type-Options": "nosniff",
}
_ERROR_RESPONSES = {
    Surface.API: problem_response,
    Surface.NANOMDM: nanomdm.error_response,
    Surface.ENROLLMENT: enroll.error_response,
    Surface.CA: ca.error_response,
}
_SURFACES_OF_PATHS = {"/api/": Surface.API, f"{PAGE_PATH}/": Surface.ENROLLMENT}
# Of its own, so that a flood of devices does not shut out those who could do something about it.
_BODIES_IN_FLIGHT = 64 * MIB
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build_application(
    kind: ListenerKind, config: Config, services: Services, device: DeviceSurface | None
) -> web.Application:
    """The application of one listener, for what is not in `device.paths`.

    Raises UndeclaredRoute for a route without a row or a row without a scope, and Invalid for a device path that
    would hide a route.
    """
    routes = routes_on(kind, device_rows(config.device))
    if device is not None:
        _check_no_route_is_hidden(routes, device.paths)
    around = Surroundings(
        config=config,
        services=services,
        gate=Gate(services.access, FailureLimit()),
        bodies=BodyReader(msgspec.structs.replace(config.limits, bodies_in_flight_bytes=_BODIES_IN_FLIGHT)),
    )
    application = web.Application(middlewares=[_answers(routes, services.metrics)])
    for route in routes:
        application.router.add_route(route.method, route.path, endpoint(route, around))
    check_declared(application, routes)
    return application


def routes_on(kind: ListenerKind, device: list[Row]) -> list[AnyRoute]:
    """The rows of a listener's application."""
    match kind:
        case ListenerKind.HTTPS | ListenerKind.HTTP:
            routes = [*API_ROUTES, *nanomdm.ROUTES, *nanomdm_push.ROUTES, *enroll.ROUTES, *ca.ROUTES]
            return [*routes, openapi_route([*device, *routes])]
        case ListenerKind.OPERATIONS:
            return operations.ROUTES
        case ListenerKind.MTLS:
            return []


def device_rows(device: Device) -> list[Row]:
    """What the table says of ServerURL and CheckInURL."""
    endpoints = {device.checkin_path: "Take a check-in message"}
    endpoints[device.command_path] = "Take a report and give the next command"
    if device.checkin_path == device.command_path:
        endpoints = {device.command_path: "Take a check-in message, or a report and give the next command"}
    return [
        Row(method=method, path=path, scope=Open.DEVICE, surface=Surface.DEVICE, summary=summary)
        for path, summary in endpoints.items()
        for method in ("PUT", "POST")
    ]


def _check_no_route_is_hidden(routes: list[AnyRoute], device_paths: Iterable[str]) -> None:
    reserved = {"/" + route.path.split("/")[1] for route in routes}
    for path in device_paths:
        if "/" + path.split("/")[1] in reserved:
            raise Invalid(
                f"configuration: the device path {path!r} would hide the server's own paths",
                code="invalid_configuration",
            )


def _answers(routes: list[AnyRoute], metrics: Metrics) -> Callable[..., Awaitable[web.StreamResponse]]:
    """The middleware that makes an answer of whatever happens."""
    surfaces = {route.template: route.surface for route in routes}

    @web.middleware
    async def answers(request: web.Request, handler: _Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        surface = surfaces.get(resource.canonical) if resource is not None else _surface_of_path(request.path, routes)
        missed = request.match_info.http_exception
        try:
            response = _unrouted(surface, missed) if missed is not None else await handler(request)
        except ConnectionError:
            raise
        except Exception as error:
            response = _ERROR_RESPONSES.get(surface or Surface.API, problem_response)(error)
            if isinstance(error, AccessRefused) and surface is not None:
                metrics.count(Counter.AUTHENTICATION_FAILURES, surface)
        for name, value in _SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        if surface is not None:
            metrics.count(Counter.REQUESTS, surface, class_of(response.status))
        return response

    return answers


def _surface_of_path(path: str, routes: list[AnyRoute]) -> Surface | None:
    here = {route.surface for route in routes}
    surfaces = (surface for prefix, surface in _SURFACES_OF_PATHS.items() if path.startswith(prefix))
    return next((surface for surface in surfaces if surface in here), None)


def _unrouted(surface: Surface | None, missed: web.HTTPException) -> web.Response:
    allow = missed.headers.get("Allow")
    if surface is Surface.API:
        return unrouted_response(missed.status, allow)
    if surface is Surface.ENROLLMENT:
        return enroll.unrouted_response(missed.status, allow)
    # Whoever asked, a device perhaps, an empty body tells it nothing.
    return web.Response(status=missed.status, headers={"Allow": allow} if allow is not None else None)
