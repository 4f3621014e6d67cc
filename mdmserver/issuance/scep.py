"""Answers SCEP messages (RFC 8894). Reading and writing them is `certs`, deciding is `issuing`; here they meet.

All cryptography is done beside the event loop: opening a request and signing its reply take a millisecond each.
"""

import logging
from dataclasses import dataclass
from secrets import token_bytes

from certs import (
    Authority,
    FailInfo,
    KeyPolicy,
    MessageType,
    RequestRefused,
    SCEPBody,
    SCEPMessage,
    SCEPRequest,
    build_failure,
    build_success,
    ca_capabilities,
    ca_certificates,
    parse_request,
)
from certs.keys import dump_public_key
from mdmserver.issuance.authorities import Authorities
from mdmserver.issuance.issuing import Issuing, NotPermitted
from mdmserver.offload import Offload

NONCE_BYTES = 16
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SCEPSettings:
    """What is allowed beyond what Apple's clients of today need."""

    allow_des: bool = False
    allow_rsa_1024: bool = False


class SCEPService:
    """The CA as SCEP clients see it."""

    def __init__(self, *, authorities: Authorities, issuing: Issuing, settings: SCEPSettings, offload: Offload) -> None:
        self._offload = offload
        self._authorities = authorities
        self._issuing = issuing
        self._settings = settings
        self._policy = KeyPolicy(allow_rsa_1024=settings.allow_rsa_1024)

    def capabilities(self) -> bytes:
        """The answer to GetCACaps."""
        return ca_capabilities()

    def certificates(self) -> SCEPBody:
        """The answer to GetCACert: the CA that issues now, which is also who decrypts."""
        return ca_certificates([self._authorities.issuing.authority.certificate_der])

    async def answer(self, message: bytes) -> bytes:
        """The CertRep to a PKIOperation. Raises CertificateError for bytes that deserve no answer."""
        authorities = [own.authority for own in self._authorities.all]
        try:
            request = await self._offload(
                parse_request,
                message,
                authorities,
                allow_des=self._settings.allow_des,
                policy=self._policy,
                # RFC 8894 §2.3 only asks for it, and the challenge, not the signer, is what permits.
                allow_other_signer=True,
            )
        except RequestRefused as error:
            _log.info("scep request refused", extra={"code": "scep_refused", "reason": str(error)})
            return await self._failure(error.message, error.fail_info, self._authorities.issuing.authority)
        try:
            certificate = await self._certificate(request)
        except NotPermitted as error:
            _log.info("scep request refused", extra={"code": error.code, "reason": str(error)})
            return await self._failure(request, FailInfo.BAD_REQUEST, request.recipient)
        return await self._offload(
            build_success, request, certificate, request.recipient, sender_nonce=token_bytes(NONCE_BYTES)
        )

    async def _certificate(self, request: SCEPRequest) -> bytes:
        if request.csr is None:
            return await self._issuing.poll(request.transaction_id, dump_public_key(request.signer_key))
        if request.message_type is MessageType.RENEWAL_REQ:
            return await self._issuing.for_renewal(request.signer_der, request.transaction_id, request.csr)
        if request.challenge_password is None:
            raise NotPermitted("the request has no challenge")
        return await self._issuing.for_challenge(request.challenge_password, request.transaction_id, request.csr)

    async def _failure(self, message: SCEPMessage, fail_info: FailInfo, authority: Authority) -> bytes:
        return await self._offload(build_failure, message, fail_info, authority, sender_nonce=token_bytes(NONCE_BYTES))
