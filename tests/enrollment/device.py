"""A device as the services see it when it enrolls with the built-in CA: from the profile to a presented certificate."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from certs import (
    MessageType,
    SCEPReply,
    build_request,
    create_csr,
    create_signer_certificate,
    load_device_certificate,
    parse_reply,
)
from mdmserver.devices.identity import PresentedIdentity, Reenrollment
from mdmserver.protocol import loads
from mdmserver.web.services import Services
from profiles import Enrollment, enrollment_of, read_signed_profile


def opened(profile: bytes) -> Enrollment:
    """What a device reads from the signed profile."""
    return enrollment_of(loads(read_signed_profile(profile)[0]))


@dataclass(slots=True, kw_only=True)
class Applicant:
    """Asks for certificates with one key."""

    services: Services
    key: RSAPrivateKey
    authority_der: bytes | None = None
    """The CA that it knows; None for the one that issues now."""

    async def apply(
        self,
        challenge: str | None,
        *,
        at: datetime,
        transaction_id: str | None = None,
        signer_der: bytes | None = None,
    ) -> SCEPReply:
        """A PKCSReq, or with `signer_der` a RenewalReq signed by that certificate."""
        ca = self.authority_der or self.services.own_authorities.issuing.authority.certificate_der
        signer = signer_der or create_signer_certificate(
            self.key, not_before=at - timedelta(hours=1), not_after=at + timedelta(days=1)
        )
        transaction_id = transaction_id or hashlib.sha256(secrets.token_bytes(8)).hexdigest()
        nonce = secrets.token_bytes(16)
        request = build_request(
            MessageType.RENEWAL_REQ if signer_der else MessageType.PKCS_REQ,
            create_csr(self.key, common_name="anything", challenge_password=challenge, version=2),
            signer_der=signer,
            signer_key=self.key,
            authority_der=ca,
            transaction_id=transaction_id,
            sender_nonce=nonce,
        )
        return parse_reply(
            await self.services.scep.answer(request),
            signer_der=signer,
            signer_key=self.key,
            transaction_id=transaction_id,
            sender_nonce=nonce,
            authorities=[ca],
        )


def presented(services: Services, certificate: bytes, *, at: datetime) -> PresentedIdentity:
    """The identity that the edge finds in this certificate."""
    parsed = load_device_certificate(certificate)
    return PresentedIdentity(
        fingerprint=parsed.fingerprint,
        certificate=certificate,
        authority=services.certificates.get(certificate).authority,
        reenrollment=Reenrollment.INVITED,
        not_before=parsed.not_before,
        not_after=parsed.not_after,
        is_expired=at > parsed.not_after,
        by_signature=True,
    )
