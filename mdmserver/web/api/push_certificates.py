"""Push certificates over the API: those in force, asking for one, installing one. A key that came in never goes out."""

from datetime import datetime
from typing import Annotated

import msgspec

from certs.pem import encode_request
from mdmserver.access.model import Scope
from mdmserver.errors import Invalid, NotFound
from mdmserver.push.certificates import Subject, days_left
from mdmserver.push.model import StoredPushCertificate, StoredRequest
from mdmserver.secret import Secret
from mdmserver.web.routes import AnyRoute, Call, Incoming, Nothing, Outgoing, Route, Surface

_Pem = Annotated[str, msgspec.Meta(min_length=1, max_length=262_144)]
_Short = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
_Mailed = Annotated[str, msgspec.Meta(min_length=1, max_length=786_432)]


class PushCertificateView(Outgoing, frozen=True):
    """A topic's certificate; `days_left` is negative once it has expired, halted: pushing was stopped, and why."""

    topic: str
    fingerprint: str
    not_before: datetime
    not_after: datetime
    days_left: int
    installed_at: datetime
    installed_by: str
    halted_at: datetime | None
    halted_reason: str | None


class PushCertificateList(Outgoing, frozen=True):
    """One certificate per topic; new enrollments get the first one's topic."""

    certificates: list[PushCertificateView]


class NewPushCertificate(Incoming, frozen=True):
    """Either `certificate` (PEM) or `pkcs12` (base64 of a .p12 or another binary form).

    The key stands with it, or in `key` (PEM), or is that of a request made here. `force` takes another topic.
    """

    certificate: _Pem | None = None
    pkcs12: Annotated[bytes, msgspec.Meta(min_length=1, max_length=262_144)] | None = None
    key: _Pem | None = None
    passphrase: _Short | None = None
    force: bool = False


class MdmcertAccess(Incoming, frozen=True):
    """What mdmcert.download knows its clients by."""

    api_key: _Short


class NewPushRequest(Incoming, frozen=True):
    """Whom the certificate is for. With `mdmcert` the request goes to mdmcert.download, which mails to `email`."""

    common_name: _Short
    email: _Short
    country: Annotated[str, msgspec.Meta(pattern="^[A-Za-z]{2}$")] = "US"
    mdmcert: MdmcertAccess | None = None


class PushRequestView(Outgoing, frozen=True):
    """A request that waits for its certificate; `awaits_mail`: mdmcert.download mails what is to be uploaded."""

    id: str
    csr: str
    created_at: datetime
    created_by: str
    awaits_mail: bool


class PushRequestList(Outgoing, frozen=True):
    """Newest first."""

    requests: list[PushRequestView]


class MailedFile(Incoming, frozen=True):
    """The text of the file that mdmcert.download mailed."""

    mailed: _Mailed


class UploadFile(Outgoing, frozen=True):
    """The text of the file to upload at identity.apple.com/pushcert."""

    upload: str


async def list_certificates(call: Call[Nothing, Nothing]) -> PushCertificateList:
    """Those in force."""
    at = call.services.clock()
    return PushCertificateList(
        certificates=[certificate_view(each, at) for each in call.services.push_certificates.all]
    )


async def install(call: Call[Nothing, NewPushCertificate]) -> PushCertificateView:
    """Put a certificate in force."""
    body = call.body
    encoded = body.pkcs12 if body.certificate is None else body.certificate.encode()
    if encoded is None or (body.certificate is not None and body.pkcs12 is not None):
        raise Invalid("give either certificate or pkcs12", code="invalid_push_certificate")
    installed = await call.services.push_certificates.install(
        encoded,
        passphrase=None if body.passphrase is None else Secret(body.passphrase.encode()),
        key=None if body.key is None else body.key.encode(),
        force=body.force,
        actor=call.actor,
    )
    return certificate_view(installed, call.services.clock())


async def resume(call: Call[Nothing, Nothing]) -> PushCertificateView:
    """Push again on a topic that was halted."""
    topic = call.path["topic"]
    await call.services.push_certificates.resume(topic, actor=call.actor)
    for each in call.services.push_certificates.all:
        if each.topic == topic:
            return certificate_view(each, call.services.clock())
    raise NotFound(f"there is no push certificate for {topic}", code="push_certificate_not_found")


async def request(call: Call[Nothing, NewPushRequest]) -> PushRequestView:
    """Make a key and its request."""
    body, certificates = call.body, call.services.push_certificates
    subject = Subject(common_name=body.common_name, email=body.email, country=body.country)
    if body.mdmcert is None:
        return request_view(await certificates.request(subject, actor=call.actor))
    api_key = Secret(body.mdmcert.api_key)
    return request_view(await certificates.request_by_mail(subject, api_key=api_key, actor=call.actor))


async def list_requests(call: Call[Nothing, Nothing]) -> PushRequestList:
    """Those that wait for their certificate."""
    return PushRequestList(requests=[request_view(each) for each in await call.services.push_certificates.requests()])


async def open_mailed(call: Call[Nothing, MailedFile]) -> UploadFile:
    """Decrypt what mdmcert.download mailed."""
    upload = await call.services.push_certificates.open_mailed(call.body.mailed.encode())
    return UploadFile(upload=upload.decode("ascii"))


def certificate_view(certificate: StoredPushCertificate, at: datetime) -> PushCertificateView:
    """A certificate as it is shown."""
    return PushCertificateView(
        topic=certificate.topic,
        fingerprint=certificate.fingerprint,
        not_before=certificate.not_before,
        not_after=certificate.not_after,
        days_left=days_left(certificate.not_after, at),
        installed_at=certificate.installed_at,
        installed_by=certificate.installed_by,
        halted_at=certificate.halted_at,
        halted_reason=certificate.halted_reason,
    )


def request_view(request: StoredRequest) -> PushRequestView:
    """A request as it is shown: without its keys."""
    return PushRequestView(
        id=request.id,
        csr=encode_request(request.csr).decode("ascii"),
        created_at=request.created_at,
        created_by=request.created_by,
        awaits_mail=request.reply_certificate is not None,
    )


_ALL = "/api/v1/push-certificates"

ROUTES: list[AnyRoute] = [
    Route(
        method="GET", path=_ALL, scope=Scope.PUSH_CERTIFICATES_READ, surface=Surface.API,
        summary="List the push certificates in force", handler=list_certificates,
        query=Nothing, body=Nothing, response=PushCertificateList,
    ),
    Route(
        method="POST", path=_ALL, scope=Scope.PUSH_CERTIFICATES_MANAGE, surface=Surface.API,
        summary="Install a push certificate", handler=install,
        query=Nothing, body=NewPushCertificate, response=PushCertificateView, status=201,
    ),
    Route(
        method="GET", path=f"{_ALL}/requests", scope=Scope.PUSH_CERTIFICATES_READ, surface=Surface.API,
        summary="List requests that wait for their certificate", handler=list_requests,
        query=Nothing, body=Nothing, response=PushRequestList,
    ),
    Route(
        method="POST", path=f"{_ALL}/requests", scope=Scope.PUSH_CERTIFICATES_MANAGE, surface=Surface.API,
        summary="Make a request for a push certificate", handler=request,
        query=Nothing, body=NewPushRequest, response=PushRequestView, status=201,
    ),
    Route(
        method="POST", path=f"{_ALL}/requests/open-mailed", scope=Scope.PUSH_CERTIFICATES_MANAGE, surface=Surface.API,
        summary="Decrypt the file that mdmcert.download mailed", handler=open_mailed,
        query=Nothing, body=MailedFile, response=UploadFile,
    ),
    Route(
        method="POST", path=f"{_ALL}/{{topic}}/resume", scope=Scope.PUSH_CERTIFICATES_MANAGE, surface=Surface.API,
        summary="Push again on a topic that was halted", handler=resume,
        query=Nothing, body=Nothing, response=PushCertificateView,
    ),
]  # fmt: skip
