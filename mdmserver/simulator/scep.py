"""Asks a CA for a certificate as Apple's client does (RFC 8894; protocol.md 6): loose encodings, short nonces, PKCSReq.

What a request and a reply look like is `certs`; here is the order in which they go, and what happens on the way.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from random import Random

from certs import (
    CertificateError,
    Cipher,
    Digest,
    MessageType,
    PKIStatus,
    SCEPReply,
    build_request,
    create_csr,
    create_signer_certificate,
    issuer_and_subject,
    load_device_certificate,
    parse_csr,
    parse_reply,
)
from certs.keys import RSAKey
from mdmserver.clock import Clock
from mdmserver.simulator.browser import Browser
from mdmserver.simulator.errors import CertificateDenied, ReplyLost
from mdmserver.simulator.scep_server import SCEPServer
from profiles import SCEPPayload

CSR_VERSION = 2  # RFC 2986 knows 0 alone; Apple's client writes 2
NONCE_BYTES = 8
"""RFC 8894 §3.2.1.5 says 16; Apple's client sends 8."""
RETRIES, RETRY_DELAY_SECONDS = 3, 10
"""Apple's defaults of the SCEP payload."""

Pause = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Application:
    """One request with what its replies are read by; a repetition and a poll belong to the same transaction."""

    payload: SCEPPayload
    server: SCEPServer
    key: RSAKey
    csr: bytes
    signer: bytes
    transaction_id: str


class SCEPClient:
    """Obtains certificates. `pause` waits so many seconds; `lost` hears of each reply that was lost on purpose."""

    def __init__(self, *, clock: Clock, pause: Pause, lost: Callable[[], None] = lambda: None) -> None:
        self._clock = clock
        self._pause = pause
        self._lost = lost

    async def obtain(
        self,
        browser: Browser,
        payload: SCEPPayload,
        key: RSAKey,
        *,
        random: Random,
        loses_reply: bool = False,
    ) -> bytes:
        """The certificate (DER) for this key. Raises CertificateDenied, ServerUnreachable.

        With `loses_reply` the first reply does not arrive, and the same request is sent again.
        """
        server = await SCEPServer.meet(browser, payload)
        now = self._clock()
        signer = create_signer_certificate(
            key, not_before=now - timedelta(hours=1), not_after=now + timedelta(days=365)
        )
        application = _Application(
            payload=payload,
            server=server,
            key=key,
            csr=create_csr(
                key, common_name=_common_name(payload), challenge_password=payload.challenge, version=CSR_VERSION
            ),
            signer=signer,
            transaction_id=random.randbytes(20).hex(),
        )
        reply = await self._exchange(application, MessageType.PKCS_REQ, application.csr, random, loses_reply)
        certificate = await self._granted(application, reply, random)
        if load_device_certificate(certificate).public_key != key.public_key():
            raise CertificateDenied("the CA certified another key than the device's")
        return certificate

    async def _granted(self, application: _Application, reply: SCEPReply, random: Random) -> bytes:
        """The certificate, after polling for it while the CA says PENDING."""
        polls = _retries(application.payload)
        while reply.status is PKIStatus.PENDING:
            if not polls:
                raise CertificateDenied("the CA has not decided about the certificate (PENDING)")
            polls -= 1
            await self._pause(_retry_delay(application.payload))
            content = issuer_and_subject(application.server.authority, parse_csr(application.csr).subject_der)
            reply = await self._exchange(application, MessageType.CERT_POLL, content, random, loses_reply=False)
        if reply.status is PKIStatus.FAILURE:
            why = reply.fail_info.name if reply.fail_info else "no reason"
            text = f": {reply.fail_info_text}" if reply.fail_info_text else ""
            raise CertificateDenied(f"the CA refused the certificate ({why}{text})")
        return reply.certificates[0]

    async def _exchange(
        self,
        application: _Application,
        kind: MessageType,
        content: bytes,
        random: Random,
        loses_reply: bool,
    ) -> SCEPReply:
        server, nonce = application.server, random.randbytes(NONCE_BYTES)
        try:
            request = build_request(
                kind,
                content,
                signer_der=application.signer,
                signer_key=application.key,
                authority_der=server.recipient,
                transaction_id=application.transaction_id,
                sender_nonce=nonce,
                digest=_digest(server.capabilities),
                cipher=_cipher(server.capabilities),
                challenge_password=application.payload.challenge,
                apple_encoding=True,
            )
            return parse_reply(
                await self._sent(application, request, loses_reply),
                signer_der=application.signer,
                signer_key=application.key,
                transaction_id=application.transaction_id,
                sender_nonce=nonce,
                authorities=server.certificates,
                allow_des=True,  # in which scepserver answers Apple's clients
            )
        except CertificateError as error:
            raise CertificateDenied(f"the CA's answer cannot be used: {error}") from error

    async def _sent(self, application: _Application, request: bytes, loses_reply: bool) -> bytes:
        """The reply to this request, which is sent again as it is when it was lost or the server was busy."""
        for _ in range(_retries(application.payload)):
            try:
                page = await application.server.operate(request, loses_reply=loses_reply)
            except ReplyLost:
                loses_reply = False
                self._lost()
                continue
            if page.status != 503:
                break
            await self._pause(_retry_delay(application.payload))
        else:
            page = await application.server.operate(request)
        if page.status != 200:
            raise CertificateDenied(f"PKIOperation: the SCEP server answered {page.status}")
        return page.body


def _retries(payload: SCEPPayload) -> int:
    return RETRIES if payload.retries is None else payload.retries


def _retry_delay(payload: SCEPPayload) -> float:
    return RETRY_DELAY_SECONDS if payload.retry_delay_seconds is None else payload.retry_delay_seconds


def _digest(capabilities: frozenset[str]) -> Digest:
    """The best that the CA says it knows; without a word about it, SHA-1 as of old."""
    if "sha-512" in capabilities:
        return Digest.SHA512
    return Digest.SHA256 if capabilities & {"sha-256", "scepstandard"} else Digest.SHA1


def _cipher(capabilities: frozenset[str]) -> Cipher:
    return Cipher.AES_128_CBC if capabilities & {"aes", "scepstandard"} else Cipher.DES_EDE3_CBC


def _common_name(payload: SCEPPayload) -> str:
    names = [value for part in payload.subject for attribute, value in part if attribute in ("CN", "2.5.4.3")]
    return names[0] if names else payload.identifier
