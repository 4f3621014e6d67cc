"""The HTTP interface of NanoMDM, for tools that speak it (compatibility.md section 1).

Its convention for statuses is kept, also where it is not ours: 200 when all went well, 207 when some of it did, 500
when nothing did or the command itself was refused, with the reason in `command_error`. One choice is ours: a command
that was queued while no push could be sent is a 207, never a 500, since it was queued and devices will fetch it.
Push certificates are in `nanomdm_push`.
"""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

from mdmserver.access.model import Scope
from mdmserver.audit.model import Actor
from mdmserver.commands.request import CommandRequest
from mdmserver.config import MIB
from mdmserver.errors import AccessRefused, Conflict, Invalid, ScopeMissing, Unavailable
from mdmserver.push.model import Outcome
from mdmserver.push.service import MOST_AT_ONCE
from mdmserver.web.api.push_standing import answer_of
from mdmserver.web.errors import TooManyAttempts, known, log_defect, status_of
from mdmserver.web.routes import AnyRoute, Call, Content, Nothing, Open, Outgoing, Route, Surface
from mdmserver.web.services import Services
from mdmserver.web.version import VERSION

_REFUSALS = {
    "not_found": "no such enrollment",
    "not_enrolled": "the enrollment has ended",
    "no_unlock_token": "the device has sent no unlock token",
    "no_push_token": "no push token",
    "no_push_certificate": "no push certificate",
}
_JSON = "application/json"


class Version(Outgoing, frozen=True):
    """The server's version."""

    version: str


class EnqueueQuery(msgspec.Struct, frozen=True):
    """Any value of `nopush` but the empty one leaves the devices asleep. Other parameters mean nothing here."""

    nopush: str = ""


class EnrollmentResult(Outgoing, frozen=True, omit_defaults=True):
    """What came of it for one enrollment."""

    push_error: str = ""
    push_result: str = ""
    command_error: str = ""


class APIResult(Outgoing, frozen=True, omit_defaults=True):
    """What came of it, by enrollment id; what is empty is left out."""

    status: dict[str, EnrollmentResult] = msgspec.field(default_factory=dict)
    no_push: bool = False
    push_error: str = ""
    command_error: str = ""
    command_uuid: str = ""
    request_type: str = ""


async def show_version(call: Call[Nothing, Nothing]) -> Version:
    """Which version this is; needs no key."""
    return Version(version=VERSION)


async def enqueue(call: Call[EnqueueQuery, Content]) -> Content:
    """Queue a command as it is, and wake its devices unless told not to."""
    ids = _ids(call.path)
    no_push = bool(call.query.nopush)
    # So many cannot be waited for: those are woken in the background, at the server's pace.
    is_pushed_here = not no_push and len(ids) <= MOST_AT_ONCE
    try:
        enqueued = await call.services.commands.enqueue(
            CommandRequest(plist=call.body.body, idempotency_key=call.idempotency_key, may_destroy=call.may_destroy),
            ids,
            actor=call.actor,
            wake=not no_push and not is_pushed_here,
        )
    except (Invalid, Conflict, ScopeMissing) as error:
        return _content(APIResult(command_error=str(error), no_push=no_push), HTTPStatus.INTERNAL_SERVER_ERROR)
    status = {id: EnrollmentResult(command_error=_REFUSALS[code]) for id, code in enqueued.refused.items()}
    queued = [id for id in ids if id not in status]
    if is_pushed_here and queued:
        status |= await _pushed(call.services, queued, call.actor)
    result = APIResult(
        status=status,
        no_push=no_push,
        command_uuid=enqueued.uuid,
        request_type=enqueued.request_type,
    )
    return _content(result, _status(failures=_failures(status), successes=enqueued.queued))


async def push(call: Call[EnqueueQuery, Nothing]) -> Content:
    """Wake devices and wait for what APNs says of each."""
    status = await _pushed(call.services, _ids(call.path), call.actor)
    failures = _failures(status)
    return _content(APIResult(status=status), _status(failures=failures, successes=len(status) - failures))


def error_response(error: Exception) -> web.Response:
    """This surface's answer to what no handler turned into a result."""
    ours = known(error)
    if ours is None:
        log_defect(error)
        return web.Response(status=500, text="Internal Server Error\n")
    if isinstance(ours, AccessRefused) and not isinstance(ours, TooManyAttempts):
        challenge = {"WWW-Authenticate": 'Basic realm="nanomdm"'}
        return web.Response(status=401, text="Unauthorized\n", headers=challenge)
    response = web.Response(
        body=msgspec.json.encode({"error": str(ours)}), status=status_of(ours), headers={"Content-Type": _JSON}
    )
    if isinstance(ours, Unavailable | TooManyAttempts):
        response.headers["Retry-After"] = str(ours.retry_after_seconds)
    return response


async def _pushed(services: Services, ids: Sequence[str], actor: Actor) -> dict[str, EnrollmentResult]:
    results: dict[str, EnrollmentResult] = {}
    for start in range(0, len(ids), MOST_AT_ONCE):
        sent = await services.push.send(ids[start : start + MOST_AT_ONCE], actor=actor)
        results |= {id: _result_of(outcome) for id, outcome in sent.outcomes.items()}
        results |= {id: EnrollmentResult(push_error=_REFUSALS[code]) for id, code in sent.refused.items()}
    return results


def _result_of(outcome: Outcome) -> EnrollmentResult:
    if outcome.is_accepted:
        return EnrollmentResult(push_result=outcome.apns_id or "")
    return EnrollmentResult(push_error=answer_of(outcome.status, outcome.reason))


def _failures(status: Mapping[str, EnrollmentResult]) -> int:
    return sum(bool(result.push_error or result.command_error) for result in status.values())


def _ids(path: Mapping[str, str]) -> list[str]:
    return list(dict.fromkeys(path["ids"].split(",")))


def _status(*, failures: int, successes: int) -> HTTPStatus:
    if not failures:
        return HTTPStatus.OK
    return HTTPStatus.MULTI_STATUS if successes else HTTPStatus.INTERNAL_SERVER_ERROR


def _content(result: APIResult, status: HTTPStatus) -> Content:
    plain: dict[str, Any] = msgspec.to_builtins(result)
    if "status" in plain:
        plain["status"] = dict(sorted(plain["status"].items()))
    # Indented with tabs and ended with a line feed, as that server writes it.
    body = json.dumps(plain, indent="\t", ensure_ascii=False) + "\n"
    return Content(body=body.encode(), media_type=_JSON, status=status)


ROUTES: list[AnyRoute] = [
    Route(
        method="GET", path="/version", scope=Open.PUBLIC, surface=Surface.NANOMDM,
        summary="Show the server's version", handler=show_version,
        query=EnqueueQuery, body=Nothing, response=Version,
    ),
    *(
        Route(
            method=method, path="/v1/enqueue/{ids:.+}", scope=Scope.COMMANDS_SEND, surface=Surface.NANOMDM,
            summary="Queue a command for enrollments, separated by commas", handler=enqueue,
            query=EnqueueQuery, body=Content, response=Content, body_limit=16 * MIB,
            media_types={"application/xml": None},
        )
        for method in ("PUT", "POST")
    ),
    *(
        Route(
            method=method, path="/v1/push/{ids:.+}", scope=Scope.PUSH_SEND, surface=Surface.NANOMDM,
            summary="Wake enrollments, separated by commas", handler=push,
            query=EnqueueQuery, body=Nothing, response=Content,
        )
        for method in ("GET", "PUT", "POST")
    ),
]  # fmt: skip
