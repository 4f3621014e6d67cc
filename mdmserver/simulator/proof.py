"""The ways in which a simulated device proves its identity to the server; a transport may use several at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, assert_never

from certs import CertificateHeaderStyle, format_certificate_header, sign_device_message
from mdmserver.simulator.identity import Identity

SIGNATURE_HEADER = "Mdm-Signature"


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSignature:
    """Mdm-Signature over each body; old devices sign with SHA-1 and without signed attributes."""

    digest: Literal["sha1", "sha256"] = "sha256"
    signed_attributes: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate:
    """The certificate is presented in the TLS handshake (mTLS)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyHeader:
    """The certificate stands in a header, as a proxy that ended TLS would send it."""

    name: str = "X-Client-Certificate"
    style: CertificateHeaderStyle = "rfc9440"


Proof = MessageSignature | ClientCertificate | ProxyHeader


def proof_headers(proof: Proof, body: bytes, identity: Identity) -> Mapping[str, str]:
    """The request headers that make this proof for this body; none for mTLS."""
    match proof:
        case MessageSignature():
            signature = sign_device_message(
                body,
                identity.certificate_der,
                identity.key,
                digest=proof.digest,
                signed_attributes=proof.signed_attributes,
            )
            return {SIGNATURE_HEADER: signature}
        case ProxyHeader():
            return {proof.name: format_certificate_header(identity.certificate_der, style=proof.style)}
        case ClientCertificate():
            return {}
    assert_never(proof)
