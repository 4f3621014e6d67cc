"""A page, a profile and a SCEP server of a few lines, in which a test can change what each of them says."""

from collections import deque
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from aiohttp import web

from certs import (
    Authority,
    CertificateProfile,
    FailInfo,
    MessageType,
    SCEPRequest,
    build_failure,
    build_pending,
    build_success,
    ca_certificates,
    decode_get_message,
    generate_rsa,
    parse_request,
)
from certs.keys import RSAKey
from mdmserver.clock import utc_now
from mdmserver.simulator.applicant import Applicant
from mdmserver.simulator.identity import RSAKeys
from mdmserver.simulator.scep import SCEPClient
from profiles import CONTENT_TYPE, EnrollmentSettings, SCEPSettings, enrollment_profile, identifiers_of, render
from profiles import sign_profile as signed

CHALLENGE = "correct horse"
TOPIC = "com.apple.mgmt.External.test"
TOKEN = "a-token"  # of a test
PAGE = '<html><body><a href="/help">Help</a><a class="button" href="/enroll/a-token/profile">Download</a></body></html>'
NEVER = datetime(2046, 1, 1, tzinfo=UTC)


@cache
def key(name: str) -> RSAKey:
    """A key of this name, made once."""
    return generate_rsa()


@cache
def authority(name: str = "CA") -> Authority:
    """A CA of this name."""
    return Authority.create(
        common_name=name, key=key(name), not_before=datetime(2024, 1, 1, tzinfo=UTC), not_after=NEVER, serial_number=9
    )


@dataclass(kw_only=True)
class InvitingServer:
    """What it says next stands in its fields; `seen` are the requests that its CA could read."""

    url: str = ""
    page: str = PAGE
    page_status: int = 200
    page_type: str = "text/html"
    profile_type: str = CONTENT_TYPE
    is_signed: bool = True
    profile: bytes | None = None
    capabilities: str = "POSTPKIOperation\nSHA-256\nAES"
    statuses: deque[int] = field(default_factory=deque)
    pendings: int = 0
    fails: bool = False
    certified_key: str | None = None
    ca_fingerprint: bytes | None = None
    retries: int | None = None
    methods: list[str] = field(default_factory=list)
    seen: list[SCEPRequest] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    polled: SCEPRequest | None = None

    @property
    def invitation(self) -> str:
        """The URL of its only invitation."""
        return f"{self.url}/enroll/{TOKEN}"

    def settings(self, **changes: Any) -> EnrollmentSettings:
        """What its profile is made of."""
        scep = SCEPSettings(
            url=f"{self.url}/scep", challenge=CHALLENGE, ca_fingerprint=self.ca_fingerprint, retries=self.retries
        )
        usual = EnrollmentSettings(
            identifiers=identifiers_of("mdm.example.org"), topic=TOPIC, server_url=f"{self.url}/mdm", scep=scep
        )
        return replace(usual, **changes)

    def signed_profile(self, **changes: Any) -> bytes:
        """Its profile with these settings changed."""
        rendered = render(enrollment_profile(self.settings(**changes)))
        return signed(rendered, authority().certificate_der, authority().private_key)

    async def show_page(self, request: web.Request) -> web.Response:
        """The page."""
        return web.Response(text=self.page, status=self.page_status, content_type=self.page_type)

    async def show_profile(self, request: web.Request) -> web.Response:
        """The profile."""
        body = self.profile or self.signed_profile()
        if not self.is_signed:
            body = render(enrollment_profile(self.settings()))
        return web.Response(body=body, content_type=self.profile_type)

    async def scep(self, request: web.Request) -> web.Response:
        """The CA."""
        match request.query["operation"]:
            case "GetCACert":
                found = ca_certificates([authority().certificate_der])
                return web.Response(body=found.content, content_type=found.media_type)
            case "GetCACaps":
                return web.Response(text=self.capabilities)
        self.methods.append(request.method)
        message = decode_get_message(request.query["message"]) if request.method == "GET" else await request.read()
        self.messages.append(message)
        if self.statuses and (status := self.statuses.popleft()) != 200:
            return web.Response(status=status)
        return web.Response(body=self._reply(parse_request(message, [authority()])))

    def _reply(self, request: SCEPRequest) -> bytes:
        self.seen.append(request)
        nonce = bytes(16)
        if self.fails:
            return build_failure(request, FailInfo.BAD_REQUEST, authority(), sender_nonce=nonce)
        if request.message_type is MessageType.PKCS_REQ:
            self.polled = request
        if self.pendings:
            self.pendings -= 1
            return build_pending(request, authority(), sender_nonce=nonce)
        assert self.polled is not None
        assert self.polled.csr is not None
        certified = key(self.certified_key).public_key() if self.certified_key else self.polled.csr.public_key
        profile = CertificateProfile(common_name="device", enrollment_id="1", lifetime=timedelta(days=30))
        certificate = authority().issue(certified, profile, len(self.seen) + 100, profile.not_before(utc_now()))
        return build_success(request, certificate, authority(), sender_nonce=nonce)

    def application(self) -> web.Application:
        """What serves it."""
        application = web.Application()
        application.router.add_get(f"/enroll/{TOKEN}", self.show_page)
        application.router.add_get(f"/enroll/{TOKEN}/profile", self.show_profile)
        application.router.add_get("/scep", self.scep)
        application.router.add_post("/scep", self.scep)
        return application


class Pauses:
    """Waits for nothing and remembers for how long."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        """Called in the place of a pause."""
        self.seconds.append(seconds)


def applicant(pauses: Pauses, **options: Any) -> Applicant:
    """Applies with one key."""
    return Applicant(
        keys=RSAKeys(shared=1, make=lambda bits: key("device")),
        scep=SCEPClient(clock=utc_now, pause=pauses),
        **options,
    )
