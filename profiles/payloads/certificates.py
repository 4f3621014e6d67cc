"""Certificates that a device shall know: public ones only, in DER or PEM. An identity comes by SCEP or ACME."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from certs import CertificateError, load_pem_certificates
from certs.certificate_fields import read_certificate
from profiles.errors import KeyInvalid, PayloadRefused
from profiles.payloads.payload import Payload, PayloadType


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificatePayload(Payload):
    """One of the three kinds below; `file_name` is what a Mac shows as the file's name."""

    certificate: bytes = field(repr=False)
    file_name: str | None = None

    def settings(self) -> Mapping[str, Any]:
        """The keys of a certificate payload."""
        return {"PayloadContent": self.certificate, "PayloadCertificateFileName": self.file_name}


@dataclass(frozen=True, slots=True, kw_only=True)
class RootCertificatePayload(CertificatePayload):
    """A CA that the device shall trust, DER."""

    type: str = field(default=PayloadType.ROOT, init=False)

    def check(self) -> None:
        """Raises KeyInvalid for anything but one certificate in DER."""
        _check_der(self.certificate)


@dataclass(frozen=True, slots=True, kw_only=True)
class PKCS1CertificatePayload(CertificatePayload):
    """A certificate that is no trust anchor, such as an intermediate CA's, DER."""

    type: str = field(default=PayloadType.PKCS1, init=False)

    def check(self) -> None:
        """Raises KeyInvalid for anything but one certificate in DER."""
        _check_der(self.certificate)


@dataclass(frozen=True, slots=True, kw_only=True)
class PEMCertificatePayload(CertificatePayload):
    """A certificate in PEM."""

    type: str = field(default=PayloadType.PEM, init=False)

    def check(self) -> None:
        """Raises KeyInvalid for anything but one certificate, PayloadRefused where a key stands beside it (S16)."""
        if b"PRIVATE KEY" in self.certificate:
            raise PayloadRefused("PayloadContent", "a private key is put into no profile")
        try:
            certificates = load_pem_certificates(self.certificate)
        except CertificateError as error:
            raise KeyInvalid("PayloadContent", "not a certificate in PEM") from error
        if len(certificates) != 1:
            raise KeyInvalid("PayloadContent", f"{len(certificates)} certificates where there is place for one")


def _check_der(certificate: bytes) -> None:
    try:
        read_certificate(certificate)
    except CertificateError as error:
        raise KeyInvalid("PayloadContent", "not a certificate in DER") from error
