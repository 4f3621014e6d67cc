"""What devices are answered, in HTTP. Faults have empty bodies, and none is ever a 401: a device may unenroll on it.

One 403 has a body: the error document on which a device that is to unenroll removes its enrollment (protocol.md 1.6).
"""

from dataclasses import dataclass, field

from aiohttp import web

from certs import CertificateError, CertificateRefused
from mdmserver.checkin.gate import UnenrollDevice
from mdmserver.checkin.model import Answer, Reply
from mdmserver.errors import IdentityRefused, MDMError, TooLarge, Unavailable
from mdmserver.protocol import ProtocolError
from mdmserver.web.body import BodyTooSlow

# Nothing of what runs here is anybody's business.
_SERVER = {"Server": "mdmserver"}
_PLIST = {"Content-Type": "application/xml; charset=UTF-8", **_SERVER}
_JSON = {"Content-Type": "application/json", **_SERVER}

_UNENROLL = (
    b'{"code":"com.apple.unrecognized.device",'
    b'"description":"This device is not managed here any more.","message":"Management has ended."}'
)

_STATUSES = {
    Answer.EMPTY: 200,
    Answer.PLIST: 200,
    Answer.JSON: 200,
    Answer.USER_DECLINED: 410,
    Answer.BAD_REQUEST: 400,
    Answer.NOT_FOUND: 404,
    Answer.LATER: 503,
}
_HEADERS = {Answer.PLIST: _PLIST, Answer.JSON: _JSON}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a request was refused: the status for the device, the code for the log."""

    status: int
    code: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def response_of(reply: Reply) -> web.Response:
    """The response for a reply of the check-in service."""
    headers = _HEADERS.get(reply.answer, _SERVER)
    if reply.answer is Answer.LATER:
        headers = _later(Unavailable.retry_after_seconds)
    return web.Response(status=_STATUSES[reply.answer], body=reply.body or None, headers=headers)


def command_response(body: bytes | None) -> web.Response:
    """The next command, verbatim; zero bytes when there is none, which ends the device's session."""
    if body is None:
        return web.Response(headers=_SERVER)
    return web.Response(body=body, headers=_PLIST)


def refused(refusal: Refusal) -> web.Response:
    """The response of a refusal, empty but for the one that makes a device unenroll."""
    return web.Response(status=refusal.status, body=refusal.body or None, headers={**_SERVER, **refusal.headers})


def refusal_of(error: Exception) -> Refusal:
    """How an error is answered; what is not in our trees is a 500 that says nothing."""
    match error:
        case UnenrollDevice():
            return Refusal(status=403, code=error.code, headers=_JSON, body=_UNENROLL)
        case IdentityRefused() | CertificateRefused():
            return Refusal(status=403, code=error.code)
        case TooLarge():
            return Refusal(status=413, code=error.code)
        case Unavailable():
            return Refusal(status=503, code=error.code, headers=_later(error.retry_after_seconds))
        case BodyTooSlow():
            return Refusal(status=408, code=error.code)
        case MDMError() | CertificateError() | ProtocolError():
            return Refusal(status=400, code=error.code)
        case _:
            return Refusal(status=500, code="internal")


def _later(seconds: int) -> dict[str, str]:
    return {"Retry-After": str(seconds)}
