"""The page behind an invitation's URL, and its profile. Refusals are pages too: a person reads them.

The token in the path opens them; looking at the page uses nothing up (S16).
"""

from http import HTTPStatus

from aiohttp import web

from mdmserver.enrollment.service import PAGE_PATH
from mdmserver.errors import Unavailable
from mdmserver.web.enroll_page import CONTENT_SECURITY_POLICY, enrollment_page, trouble_page
from mdmserver.web.errors import known, log_defect, status_of
from mdmserver.web.routes import AnyRoute, Call, Content, Lenient, Nothing, Open, Route, Surface

_HTML = "text/html; charset=utf-8"
_PROFILE = "application/x-apple-aspen-config"
_PAGE_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    # The address is the secret.
    "Referrer-Policy": "no-referrer",
}
_NOT_VALID = ("This invitation is not valid", "It may have expired or been used before. Ask for a new invitation.")
_LATER = ("Not available right now", "Try again in a few minutes.")
_REFUSED = ("This did not work", "Open the address of your invitation again, or ask for a new invitation.")


async def show_page(call: Call[Lenient, Nothing]) -> Content:
    """What the invitation is, and how to install its profile."""
    token = call.path["token"]
    page = await call.services.enrollment.page(token)
    return Content(body=enrollment_page(page, f"{PAGE_PATH}/{token}/profile"), media_type=_HTML, headers=_PAGE_HEADERS)


async def download_profile(call: Call[Lenient, Nothing]) -> Content:
    """The signed profile, with a challenge that replaces the one of the download before."""
    profile = await call.services.enrollment.profile(call.path["token"])
    disposition = {"Content-Disposition": 'attachment; filename="enrollment.mobileconfig"'}
    return Content(body=profile, media_type=_PROFILE, headers=disposition)


def error_response(error: Exception) -> web.Response:
    """A page that says what to do; it never says why an invitation is not valid."""
    ours = known(error)
    if ours is None:
        log_defect(error)
        return _page(HTTPStatus.INTERNAL_SERVER_ERROR)
    response = _page(status_of(ours))
    if isinstance(ours, Unavailable):
        response.headers["Retry-After"] = str(ours.retry_after_seconds)
    return response


def unrouted_response(status: int, allow: str | None) -> web.Response:
    """The page where there is no such path (404) or method (405, `allow` names those there are)."""
    response = _page(HTTPStatus(status))
    if allow is not None:
        response.headers["Allow"] = allow
    return response


def _page(status: HTTPStatus) -> web.Response:
    words = (
        _NOT_VALID
        if status == HTTPStatus.NOT_FOUND
        else _LATER
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR
        else _REFUSED
    )
    headers = {"Content-Type": _HTML, **_PAGE_HEADERS}
    return web.Response(status=status, body=trouble_page(*words), headers=headers)


_PAGE = f"{PAGE_PATH}/{{token}}"

ROUTES: list[AnyRoute] = [
    *(
        Route(
            method=method, path=_PAGE, scope=Open.PUBLIC, surface=Surface.ENROLLMENT,
            summary="Show an invitation to the person who enrolls", handler=show_page,
            query=Lenient, body=Nothing, response=Content, response_media_type="text/html",
        )
        for method in ("GET", "HEAD")
    ),
    Route(
        method="GET", path=f"{_PAGE}/profile", scope=Open.PUBLIC, surface=Surface.ENROLLMENT,
        summary="Download an invitation's enrollment profile", handler=download_profile,
        query=Lenient, body=Nothing, response=Content, response_media_type=_PROFILE,
    ),
]  # fmt: skip
