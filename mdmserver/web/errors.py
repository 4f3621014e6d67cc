"""The one place that knows HTTP statuses: our errors as problem+json (RFC 9457) for the API surface.

What is not one of our errors is a 500 that says nothing, logged once. The nanomdm and device surfaces say no in their
own ways.
"""

import logging
from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from aiohttp import web

from mdmserver.errors import (
    AccessRefused,
    Conflict,
    IdentityRefused,
    Invalid,
    MDMError,
    NotFound,
    ScopeMissing,
    TooLarge,
    Unavailable,
)
from mdmserver.protocol import ProtocolError
from mdmserver.web.body import BodyTooSlow

_log = logging.getLogger(__name__)


class UnsupportedMedia(Invalid):
    """The body is not of a media type that the route takes."""

    code = "unsupported_media_type"


class Misdirected(Invalid):
    """The request names a host that this server is not (DNS rebinding)."""

    code = "misdirected_request"


class TooManyAttempts(AccessRefused):
    """So many bad keys came from an address that no more are looked at for a while."""

    code = "too_many_attempts"
    retry_after_seconds = 10


class NothingQueued(NotFound):
    """A command of which every target was refused; `refused` maps each to a code."""

    code = "no_usable_target"

    def __init__(self, refused: Mapping[str, str]) -> None:
        super().__init__("none of the targets takes commands, so nothing was queued")
        self.refused = dict(refused)


_STATUSES: dict[type[MDMError], HTTPStatus] = {
    UnsupportedMedia: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    Misdirected: HTTPStatus.MISDIRECTED_REQUEST,
    TooManyAttempts: HTTPStatus.TOO_MANY_REQUESTS,
    BodyTooSlow: HTTPStatus.REQUEST_TIMEOUT,
    Invalid: HTTPStatus.BAD_REQUEST,
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    AccessRefused: HTTPStatus.UNAUTHORIZED,
    ScopeMissing: HTTPStatus.FORBIDDEN,
    IdentityRefused: HTTPStatus.FORBIDDEN,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error as the API tells it; `code` is stable and for programs, `detail` is for people."""

    # RFC 9457 §4.2.1: with about:blank the title is the status's own phrase; `code` says what kind it is.
    type: str
    title: str
    status: int
    code: str
    detail: str = ""
    refused: dict[str, str] = {}


def known(error: Exception) -> MDMError | None:
    """The error of ours that this is, or that stands for it; None for a defect."""
    match error:
        case MDMError():
            return error
        case msgspec.DecodeError():
            return Invalid(str(error), code="invalid_body")
        case RecursionError():
            return Invalid("the body is nested too deeply", code="invalid_body")
        case ProtocolError():
            return Invalid(str(error), code=error.code)
    return None


def status_of(error: MDMError) -> HTTPStatus:
    """The status of the nearest class in the table."""
    return next((_STATUSES[kind] for kind in type(error).__mro__ if kind in _STATUSES), HTTPStatus.BAD_REQUEST)


def log_defect(error: Exception) -> None:
    """Say once, in the log alone, what nobody meant to happen."""
    _log.error("request_failed", exc_info=error)


def problem_response(error: Exception) -> web.Response:
    """The API's answer to any exception; a defect is logged and told to nobody."""
    ours = known(error)
    if ours is None:
        log_defect(error)
        return _response(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error")
    refused = ours.refused if isinstance(ours, NothingQueued) else {}
    response = _response(status_of(ours), ours.code, str(ours), refused)
    if isinstance(ours, Unavailable | TooManyAttempts):
        response.headers["Retry-After"] = str(ours.retry_after_seconds)
    elif isinstance(ours, AccessRefused):
        response.headers["WWW-Authenticate"] = 'Bearer realm="mdmserver"'
    return response


def unrouted_response(status: int, allow: str | None) -> web.Response:
    """The API's answer where there is no such path (404) or method (405, `allow` names those there are)."""
    code = "method_not_allowed" if status == HTTPStatus.METHOD_NOT_ALLOWED else "no_such_path"
    response = _response(HTTPStatus(status), code)
    if allow is not None:
        response.headers["Allow"] = allow
    return response


def _response(status: HTTPStatus, code: str, detail: str = "", refused: dict[str, str] | None = None) -> web.Response:
    problem = Problem(
        type="about:blank",
        title=status.phrase,
        status=status.value,
        code=code,
        detail=detail,
        refused=refused or {},
    )
    return web.Response(
        body=msgspec.json.encode(problem), status=status, headers={"Content-Type": "application/problem+json"}
    )
