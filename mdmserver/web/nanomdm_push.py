"""Push certificates as NanoMDM's tools upload and ask for them (compatibility.md section 1).

An upload that adds a topic is refused unless the address says `force=1`: it is most often a certificate that was
created anew where it had to be renewed, and every device would have to enroll again.
"""

from datetime import datetime

import msgspec

from mdmserver.access.model import Scope
from mdmserver.errors import Conflict, Invalid, NotFound
from mdmserver.web.routes import AnyRoute, Call, Content, Nothing, Outgoing, Route, Surface


class TopicQuery(msgspec.Struct, frozen=True):
    """Which topic; other parameters mean nothing here."""

    topic: str = ""


class UploadQuery(msgspec.Struct, frozen=True):
    """Any value of `force` but the empty one adds a topic to those in force; other parameters mean nothing here."""

    force: str = ""


class TopicCertificate(Outgoing, frozen=True):
    """A topic and when its certificate ends."""

    topic: str
    not_after: datetime


async def show_certificate(call: Call[TopicQuery, Nothing]) -> TopicCertificate:
    """The certificate of a topic."""
    topic = call.query.topic
    if not topic:
        raise Invalid("the parameter topic is missing", code="invalid_query")
    for certificate in call.services.push_certificates.all:
        if certificate.topic == topic:
            return TopicCertificate(topic=topic, not_after=certificate.not_after)
    raise NotFound(f"there is no push certificate for {topic}", code="push_certificate_not_found")


async def store_certificate(call: Call[UploadQuery, Content]) -> TopicCertificate:
    """Put a certificate in force; the body is PEM of it and of its key."""
    try:
        installed = await call.services.push_certificates.install(
            call.body.body, passphrase=None, key=None, force=bool(call.query.force), actor=call.actor
        )
    except Conflict as error:
        # Its tools know 400 alone for a certificate that is not taken.
        raise Invalid(f"{error} (?force=1)", code=error.code) from error
    return TopicCertificate(topic=installed.topic, not_after=installed.not_after)


_PATH = "/v1/pushcert"

ROUTES: list[AnyRoute] = [
    Route(
        method="GET", path=_PATH, scope=Scope.PUSH_CERTIFICATES_READ, surface=Surface.NANOMDM,
        summary="Show when a topic's push certificate ends", handler=show_certificate,
        query=TopicQuery, body=Nothing, response=TopicCertificate,
    ),
    Route(
        method="PUT", path=_PATH, scope=Scope.PUSH_CERTIFICATES_MANAGE, surface=Surface.NANOMDM,
        summary="Install a push certificate, PEM with its key", handler=store_certificate,
        query=UploadQuery, body=Content, response=TopicCertificate, media_types={"application/x-pem-file": None},
    ),
]  # fmt: skip
