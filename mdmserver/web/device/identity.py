"""Which certificate a request proves possession of, by the proofs that its listener believes (S5, S8).

A proof that is not configured is not looked at; one that is there and does not hold is refused, without trying the
next. Whether the certificate may speak for an enrollment is decided elsewhere, in the step that uses it.
"""

import binascii
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from certs import (
    CertificateCache,
    CertificateError,
    CertificateExpired,
    SignatureInvalid,
    TrustedCertificate,
    check_validity,
    device_signature_digest,
    parse_certificate_header,
    parse_signed_data,
    verify_device_signature,
    verify_device_signature_of_digest,
)
from mdmserver.clock import Clock
from mdmserver.config import Proof
from mdmserver.devices.identity import PresentedIdentity, Reenrollment
from mdmserver.errors import IdentityRefused, Invalid
from mdmserver.web.connection import connection_of

SIGNATURE_HEADER = "Mdm-Signature"


class Hash(Protocol):
    """A hashlib object."""

    def update(self, piece: bytes, /) -> None:
        """Take in a piece."""
        ...

    def digest(self) -> bytes:
        """The digest of all pieces."""
        ...


Carrier = Callable[[web.BaseRequest], bytes | None]
"""Finds the certificate that came with a request outside of its signature; None when there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a request says before its body is read: a certificate that is proved already, a signature to check."""

    certificate: TrustedCertificate | None
    signature: str | None


class IdentityProver:
    """The proofs of one listener."""

    def __init__(
        self,
        proofs: Sequence[Proof],
        *,
        proxy_header: str,
        certificates: CertificateCache,
        authorities: Mapping[str, Reenrollment],
        clock: Clock,
    ) -> None:
        carriers: dict[str, Carrier | None] = {
            "signature": None,
            "mtls": _tls_certificate,
            "header": _proxy_certificate(proxy_header),
        }
        self._proofs = [(carriers[proof.partition("+")[0]], "signature" in proof) for proof in proofs]
        self._certificates = certificates
        self._authorities = authorities
        self._clock = clock

    def claim(self, request: web.BaseRequest) -> Claim:
        """The first configured proof of which everything is there.

        Raises IdentityRefused when none is, Invalid for an ambiguous header, CertificateError for a certificate
        that is not trusted.
        """
        signature = _only(request, SIGNATURE_HEADER)
        for carrier, needs_signature in self._proofs:
            if needs_signature and signature is None:
                continue
            carried = carrier(request) if carrier is not None else None
            if carrier is not None and carried is None:
                continue
            return Claim(
                certificate=None if carried is None else self._certificates.get(carried),
                signature=signature if needs_signature else None,
            )
        raise IdentityRefused("no proof of identity that this listener believes", code="proof_missing")

    def check_worth_reading(self, claim: Claim) -> None:
        """Raises CertificateError unless a long body comes from somebody with a certificate of ours.

        It proves nothing yet, but strangers cannot fill the memory.
        """
        if claim.certificate is not None or claim.signature is None:
            return
        try:
            encoded = binascii.a2b_base64(claim.signature)
        except ValueError as error:
            raise SignatureInvalid("the signature is not base64") from error
        refusal: CertificateError = SignatureInvalid("the signature brings no certificate")
        for certificate in parse_signed_data(encoded).certificates:
            try:
                self._certificates.get(certificate)
            except CertificateError as error:
                refusal = error
            else:
                return
        raise refusal

    def prove(self, claim: Claim, body: bytes) -> PresentedIdentity:
        """The identity, if the claim's signature holds over the body. Raises CertificateError, IdentityRefused."""
        if claim.signature is None:
            return self._proved(claim, signer=None)
        return self._proved(claim, verify_device_signature(claim.signature, body, self._certificates))

    def hash_for(self, claim: Claim) -> Hash:
        """What a long body is to go through for `prove_by_hash`; raises CertificateError."""
        name = "sha256" if claim.signature is None else device_signature_digest(claim.signature)
        return hashlib.new(name, usedforsecurity=False)

    def prove_by_hash(self, claim: Claim, body: Hash) -> PresentedIdentity:
        """As `prove`, for a body of which only the hash is at hand."""
        if claim.signature is None:
            return self._proved(claim, signer=None)
        return self._proved(
            claim, verify_device_signature_of_digest(claim.signature, body.digest(), self._certificates)
        )

    def _proved(self, claim: Claim, signer: TrustedCertificate | None) -> PresentedIdentity:
        certificate = signer or claim.certificate
        assert certificate is not None
        if claim.certificate is not None and claim.certificate.fingerprint != certificate.fingerprint:
            raise IdentityRefused("connection and signature name two certificates", code="proofs_disagree")
        return self._presented(certificate, by_signature=signer is not None)

    def _presented(self, certificate: TrustedCertificate, *, by_signature: bool) -> PresentedIdentity:
        """The identity of a certificate that is proved; raises CertificateRefused before its time."""
        is_expired = False
        try:
            check_validity(certificate, self._clock())
        except CertificateExpired:
            is_expired = True
        return PresentedIdentity(
            fingerprint=certificate.fingerprint,
            certificate=certificate.der,
            authority=certificate.authority,
            reenrollment=self._authorities[certificate.authority],
            not_before=certificate.not_before,
            not_after=certificate.not_after,
            is_expired=is_expired,
            by_signature=by_signature,
        )


def _tls_certificate(request: web.BaseRequest) -> bytes | None:
    return connection_of(request).tls_certificate


def _proxy_certificate(header: str) -> Carrier:
    lowered = header.lower()
    flattened = lowered.replace("_", "-")

    def carrier(request: web.BaseRequest) -> bytes | None:
        if not connection_of(request).is_from_trusted_proxy:
            return None
        # Proxies that turn - into _ for CGI's sake let a client's own header pass beside the proxy's.
        names = [name for name in map(str.lower, request.headers) if name.replace("_", "-") == flattened]
        if any(name != lowered for name in names):
            raise Invalid("a header that could pass for the proxy's", code="ambiguous_header")
        value = _only(request, header)
        return parse_certificate_header(value) if value else None

    return carrier


def _only(request: web.BaseRequest, header: str) -> str | None:
    values = request.headers.getall(header, ())
    if len(values) > 1:
        raise Invalid(f"{header} came {len(values)} times", code="ambiguous_header")
    return values[0] if values else None
