"""The ways in which a simulated device proves its identity to the server; several may be used at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from certs import CertificateHeaderStyle, DeviceSigner, format_certificate_header
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


class Prover:
    """Makes the headers with which one device proves its messages; none for mTLS."""

    def __init__(self, proofs: Sequence[Proof], identity: Identity) -> None:
        signatures = [proof for proof in proofs if isinstance(proof, MessageSignature)]
        self._signer = _signer(signatures[0], identity) if signatures else None
        self._fixed = {
            proof.name: format_certificate_header(identity.certificate_der, style=proof.style)
            for proof in proofs
            if isinstance(proof, ProxyHeader)
        }
        self._repeated: dict[bytes, Mapping[str, str]] = {}

    def headers(self, body: bytes, *, repeats: bool) -> Mapping[str, str]:
        """The headers for this body; those for one that `repeats` are made once."""
        known = self._repeated.get(body) if repeats else None
        if known is not None:
            return known
        made = dict(self._fixed)
        if self._signer is not None:
            made[SIGNATURE_HEADER] = self._signer.sign(body)
        if repeats:
            self._repeated[body] = made
        return made


def _signer(proof: MessageSignature, identity: Identity) -> DeviceSigner:
    return DeviceSigner(
        identity.certificate_der, identity.key, digest=proof.digest, signed_attributes=proof.signed_attributes
    )
