"""The two parties of the SCEP tests: a CA of ours, and a client with a key that was made before the test."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from certs import (
    Authority,
    CertificateProfile,
    MessageType,
    SCEPReply,
    SCEPRequest,
    build_request,
    create_csr,
    create_signer_certificate,
    generate_rsa,
    parse_reply,
)

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
PROFILE = CertificateProfile(common_name="Device 7", enrollment_id="enrollment-7")
CHALLENGE = "correct horse battery staple"


@cache
def rsa_key(name: str, bits: int = 2048) -> RSAPrivateKey:
    """A key of this name, made once: making one takes longer than most tests."""
    return generate_rsa(bits)


def authority(name: str = "MDM CA") -> Authority:
    return Authority.create(
        common_name=name,
        key=rsa_key(name),
        not_before=NOW - timedelta(days=1),
        not_after=NOW + timedelta(days=3650),
        serial_number=2**100 + len(name),
    )


def issue(of: Authority, request: SCEPRequest, serial_number: int = 2**64 + 1) -> bytes:
    assert request.csr is not None
    return of.issue(request.csr.public_key, PROFILE, serial_number, PROFILE.not_before(NOW))


@dataclass(frozen=True, kw_only=True)
class Client:
    """A client that signs with one certificate; `request` takes what differs from the usual."""

    key: RSAPrivateKey
    signer_der: bytes
    authority_der: bytes
    transaction_id: str = "5F2A"
    nonce: bytes = bytes(range(16))

    @classmethod
    def new(cls, of: Authority, key: RSAPrivateKey | None = None) -> "Client":
        key = key or rsa_key("device")
        signer = create_signer_certificate(key, not_before=NOW, not_after=NOW + timedelta(days=1))
        return cls(key=key, signer_der=signer, authority_der=of.certificate_der)

    def request(
        self,
        message_type: MessageType = MessageType.PKCS_REQ,
        *,
        csr_version: int = 0,
        csr_digest: str = "sha256",
        in_csr: str | None = CHALLENGE,
        beside: str | None = None,
        content: bytes | None = None,
        **options: Any,
    ) -> bytes:
        csr = create_csr(
            self.key, common_name="wish", challenge_password=in_csr, version=csr_version, digest=csr_digest
        )
        options = {
            "signer_der": self.signer_der,
            "signer_key": self.key,
            "authority_der": self.authority_der,
            "transaction_id": self.transaction_id,
            "sender_nonce": self.nonce,
            "challenge_password": beside,
            **options,
        }
        return build_request(message_type, csr if content is None else content, **options)

    def reply(self, encoded: bytes, **options: Any) -> SCEPReply:
        options = {
            "signer_der": self.signer_der,
            "signer_key": self.key,
            "transaction_id": self.transaction_id,
            "sender_nonce": self.nonce,
            "authorities": [self.authority_der],
            **options,
        }
        return parse_reply(encoded, **options)
