"""A SCEP server as its clients meet it over HTTP (RFC 8894 §4): who it is, what it can, and where messages go."""

import base64
import hashlib
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from certs import CertificateError, SCEPMediaType, load_device_certificate
from certs.cms import parse_certificates
from mdmserver.simulator.browser import Browser, Page
from mdmserver.simulator.errors import CertificateDenied
from profiles import SCEPPayload


@dataclass(frozen=True, slots=True, kw_only=True)
class SCEPServer:
    """`authority` issues, `recipient` decrypts: the same certificate, unless the CA has an RA. Capabilities in lower
    case."""

    browser: Browser
    url: str
    certificates: tuple[bytes, ...]
    authority: bytes
    recipient: bytes
    capabilities: frozenset[str]

    @classmethod
    async def meet(cls, browser: Browser, payload: SCEPPayload) -> "SCEPServer":
        """The server that a SCEP payload names. Raises CertificateDenied, also for a CA with another fingerprint."""
        name = {} if payload.name is None else {"message": payload.name}
        page = await browser.get(_operation(payload.url, "GetCACert", **name))
        certificates = _certificates(page)
        authority = _authority(certificates, payload.ca_fingerprint)
        page = await browser.get(_operation(payload.url, "GetCACaps", **name))
        # A server that has no GetCACaps has no capabilities: RFC 8894 §3.5.1.
        lines = page.body.decode("ascii", errors="replace").split() if page.status == 200 else []
        return cls(
            browser=browser,
            url=payload.url,
            certificates=certificates,
            authority=authority,
            recipient=next((each for each in certificates if each != authority), authority),
            capabilities=frozenset(line.lower() for line in lines),
        )

    async def operate(self, message: bytes, *, loses_reply: bool = False) -> Page:
        """The answer to a PKIOperation, by POST where the server takes it and by GET elsewhere."""
        if self.capabilities & {"postpkioperation", "scepstandard"}:
            url = _operation(self.url, "PKIOperation")
            return await self.browser.post(url, message, media_type=SCEPMediaType.MESSAGE, loses_reply=loses_reply)
        url = _operation(self.url, "PKIOperation", message=base64.b64encode(message).decode("ascii"))
        return await self.browser.get(url, loses_reply=loses_reply)


def _operation(url: str, name: str, **query: str) -> str:
    joined = "&" if "?" in url else "?"
    return f"{url}{joined}{urlencode({'operation': name, **query}, quote_via=quote)}"


def _certificates(page: Page) -> tuple[bytes, ...]:
    if page.status != 200:
        raise CertificateDenied(f"GetCACert: the SCEP server answered {page.status}")
    try:
        match page.media_type:
            case SCEPMediaType.ONE_CERTIFICATE:
                found: tuple[bytes, ...] = (page.body,)
            case SCEPMediaType.SEVERAL_CERTIFICATES:
                found = parse_certificates(page.body)
            case other:
                raise CertificateDenied(f"GetCACert: {other or 'content without a type'} is no CA certificate")
        for certificate in found:
            load_device_certificate(certificate)
    except CertificateError as error:
        raise CertificateDenied(f"GetCACert: no certificate can be read: {error}") from error
    if not found:
        raise CertificateDenied("GetCACert: there is no certificate")
    return found


def _authority(certificates: tuple[bytes, ...], fingerprint: bytes | None) -> bytes:
    """The certificate with this fingerprint (SHA-1 or SHA-256); the first one where the profile names none."""
    if fingerprint is None:
        return certificates[0]
    for certificate in certificates:
        sha1 = hashlib.sha1(certificate, usedforsecurity=False).digest()
        if fingerprint in (sha1, hashlib.sha256(certificate).digest()):
            return certificate
    raise CertificateDenied("the CA is not the one that the profile names: its fingerprint differs (CAFingerprint)")
