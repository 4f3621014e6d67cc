"""Checks of a public name's certificate, as an Apple device looks at it."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from certs import CertificateError, DeviceCertificate, load_device_certificate
from mdmserver.cli.findings import Finding, failure, ok, warning
from mdmserver.cli.probe import NoAnswer, Site

# Apple: "Requirements for trusted certificates in iOS 13 and macOS 10.15", of whatever CA they are.
LONGEST_LIFETIME = timedelta(days=825)
_SOON = timedelta(days=21)
_SECONDS = 10
_HTTPS = 443
_CHECK = "tls"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """How a handshake went under one set of roots: what was presented, and why it is not trusted, if it is not."""

    certificate: DeviceCertificate | None
    refusal: str | None


async def check_public_tls(site: Site, ca_file: Path | None, *, now: datetime) -> AsyncIterator[Finding]:
    """Chain, name, age. `ca_file` is a CA that the organization's devices trust beside the public ones."""
    parts = urlsplit(site.url)
    if parts.scheme != "https":
        tell = warning if parts.hostname in _LOOPBACK else failure
        yield tell(_CHECK, "plain http: good for simulated devices; Apple's enroll only over https")
        return
    host, port = parts.hostname or "", parts.port or _HTTPS
    try:
        seen = await _handshake(host, port, _context(ca_file))
        if seen.refusal is None:
            yield ok(_CHECK, "the certificate is for this name and its chain is complete, by "
                     + ("the given CA" if ca_file else "this machine's public roots"))  # fmt: skip
        else:
            yield await _untrusted(site, host, port, seen.refusal)
        presented = seen.certificate or (await _handshake(host, port, _unverified())).certificate
    except (OSError, TimeoutError, CertificateError) as error:
        yield failure(_CHECK, f"no handshake with {host}:{port}: {error or type(error).__name__}")
        return
    if presented is not None:
        yield _age(presented, now)


async def _untrusted(site: Site, host: str, port: int, refusal: str) -> Finding:
    """Why devices do not trust it, unless it is the built-in CA's, which enrollment profiles bring."""
    try:
        answer = await site.ask("GET", "/ca/certificate")
        own = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        own.load_verify_locations(cadata=answer.body)
        if (await _handshake(host, port, own)).refusal is None:
            return warning(_CHECK, "the certificate is the built-in CA's (tls.own_ca): for trials, since a person has "
                           "to trust that CA by hand before the device can even fetch its profile")  # fmt: skip
    except (NoAnswer, ssl.SSLError, ValueError):
        pass
    return failure(_CHECK, f"devices do not trust the certificate: {refusal}; serve it with its intermediates "
                   "(fullchain.pem), or name a CA that your devices trust with --ca-file")  # fmt: skip


def _age(certificate: DeviceCertificate, now: datetime) -> Finding:
    text = f"valid from {certificate.not_before.date()} until {certificate.not_after.date()}"
    if not certificate.not_before <= now < certificate.not_after:
        return failure("tls age", f"{text}: not now")
    if certificate.not_after - certificate.not_before > LONGEST_LIFETIME:
        return failure("tls age", f"{text}: Apple devices accept at most {LONGEST_LIFETIME.days} days")
    return warning("tls age", f"{text}: renew it") if certificate.not_after - now < _SOON else ok("tls age", text)


async def _handshake(host: str, port: int, context: ssl.SSLContext) -> _Seen:
    """Raises OSError and TimeoutError where there is no TLS at all."""
    try:
        async with asyncio.timeout(_SECONDS):
            _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        return _Seen(certificate=None, refusal=error.verify_message or str(error))
    try:
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return _Seen(certificate=load_device_certificate(der) if der else None, refusal=None)
    finally:
        writer.transport.abort()


def _context(ca_file: Path | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
