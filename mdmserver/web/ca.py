"""What devices and anyone else get from the built-in CA: SCEP (RFC 8894 §4), its certificate, its CRL.

Refusals have empty bodies, and none is ever a 401: a device may take that as an order to unenroll.
"""

from http import HTTPStatus

from aiohttp import web

from certs import CertificateError, SCEPMediaType, decode_get_message
from mdmserver.config import KIB
from mdmserver.enrollment.profile import SCEP_PATH
from mdmserver.errors import AccessRefused, Invalid, Unavailable
from mdmserver.issuance.crls import FRESH_SECONDS
from mdmserver.issuance.model import AuthorityRow
from mdmserver.web.errors import known, log_defect, status_of
from mdmserver.web.routes import AnyRoute, Call, Content, Lenient, Nothing, Open, Route, Surface

_LONGEST_MESSAGE = 64 * KIB
_CERTIFICATE = "application/pkix-cert"
_CRL = "application/pkix-crl"


class SCEPQuery(Lenient, frozen=True):
    """`message` is the request of a PKIOperation by GET in base64, with other operations a name that is not needed."""

    operation: str = ""
    message: str = ""


class CRLQuery(Lenient, frozen=True):
    """`authority` is the number of one of the CAs; without it the one that issues now."""

    authority: int | None = None


async def answer_get(call: Call[SCEPQuery, Nothing]) -> Content:
    """Capabilities, the CA's certificate, or the reply to a message in the query."""
    match call.query.operation:
        case "GetCACaps":
            return Content(body=call.services.scep.capabilities(), media_type=SCEPMediaType.CAPABILITIES)
        case "GetCACert":
            certificates = call.services.scep.certificates()
            return Content(body=certificates.content, media_type=certificates.media_type)
        case "PKIOperation":
            # A plus arrives as a space, which the decoding of messages knows.
            return await _reply(call, decode_get_message(call.query.message))
    raise _unknown_operation()


async def answer_post(call: Call[SCEPQuery, Content]) -> Content:
    """The reply to a message, whatever its Content-Type."""
    if call.query.operation != "PKIOperation":
        raise _unknown_operation()
    return await _reply(call, call.body.body)


async def show_certificate(call: Call[Lenient, Nothing]) -> Content:
    """The certificate of the CA that issues now."""
    authority = call.services.own_authorities.issuing.authority
    return Content(body=authority.certificate_der, media_type=_CERTIFICATE)


async def show_crl(call: Call[CRLQuery, Nothing]) -> Content:
    """What a CA has revoked, as it stood a few minutes ago at most."""
    row = None if call.query.authority is None else AuthorityRow(call.query.authority)
    crl = await call.services.crls.published(row)
    return Content(body=crl, media_type=_CRL, headers={"Cache-Control": f"public, max-age={FRESH_SECONDS}"})


def error_response(error: Exception) -> web.Response:
    """The status alone."""
    ours = known(error)
    if isinstance(ours, Unavailable):
        return web.Response(
            status=HTTPStatus.SERVICE_UNAVAILABLE, headers={"Retry-After": str(ours.retry_after_seconds)}
        )
    if ours is not None and not isinstance(ours, AccessRefused):
        return web.Response(status=status_of(ours))
    if isinstance(error, CertificateError):
        return web.Response(status=HTTPStatus.BAD_REQUEST)
    log_defect(error)
    return web.Response(status=HTTPStatus.INTERNAL_SERVER_ERROR)


async def _reply(call: Call[SCEPQuery, Nothing] | Call[SCEPQuery, Content], message: bytes) -> Content:
    # A device is done with SCEP then, and nobody proved anything: its seat is for the next one (S21).
    reply = await call.services.scep.answer(message)
    return Content(body=reply, media_type=SCEPMediaType.MESSAGE, is_last=True)


def _unknown_operation() -> Invalid:
    return Invalid("there is no such SCEP operation", code="unknown_operation")


ROUTES: list[AnyRoute] = [
    Route(
        method="GET", path=SCEP_PATH, scope=Open.PUBLIC, surface=Surface.CA,
        summary="SCEP: GetCACaps, GetCACert, PKIOperation", handler=answer_get,
        query=SCEPQuery, body=Nothing, response=Content, response_media_type=SCEPMediaType.MESSAGE,
    ),
    Route(
        method="POST", path=SCEP_PATH, scope=Open.PUBLIC, surface=Surface.CA,
        summary="SCEP: PKIOperation", handler=answer_post,
        query=SCEPQuery, body=Content, response=Content, body_limit=_LONGEST_MESSAGE,
        media_types={SCEPMediaType.MESSAGE: None}, response_media_type=SCEPMediaType.MESSAGE,
    ),
    Route(
        method="GET", path="/ca/certificate", scope=Open.PUBLIC, surface=Surface.CA,
        summary="Show the CA's certificate (DER)", handler=show_certificate,
        query=Lenient, body=Nothing, response=Content, response_media_type=_CERTIFICATE,
    ),
    Route(
        method="GET", path="/ca/crl", scope=Open.PUBLIC, surface=Surface.CA,
        summary="Show the CA's revocation list (DER)", handler=show_crl,
        query=CRLQuery, body=Nothing, response=Content, response_media_type=_CRL,
    ),
]  # fmt: skip
