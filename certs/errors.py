"""What can be wrong with certificates and signatures that others send.

CertificateError
├── MalformedDER           bytes that cannot be read as the structure they should be
├── HeaderMalformed        an HTTP header value that holds no certificate or signature
├── SignatureInvalid       readable, but the signature does not hold or is of a kind not accepted
├── CertificateRefused     readable, but its chain, usage, key or time is not accepted
│   └── CertificateExpired     nothing against it but its age: it may still ask for a renewal
├── DecryptionFailed       an envelope that does not open, for whatever reason
└── RequestRefused         a SCEP request that is answered with a failure (in `scep_message`)

Every public function of this package raises these and nothing else, whatever bytes it is given.
"""

from typing import ClassVar


class CertificateError(Exception):
    """Something is wrong with a certificate or a signature; `code` is stable, the message is for people."""

    code: ClassVar[str] = "certificate_error"


class MalformedDER(CertificateError):
    """The bytes cannot be read, or exceed what the reader is willing to read."""

    code = "malformed_der"


class HeaderMalformed(CertificateError):
    """A header value is too long, not in its encoding, or holds not exactly one value."""

    code = "header_malformed"


class SignatureInvalid(CertificateError):
    """The signature is wrong, or its form is one that is never accepted."""

    code = "signature_invalid"


class CertificateRefused(CertificateError):
    """The certificate is readable and not accepted."""

    code = "certificate_refused"


class CertificateExpired(CertificateRefused):
    """The certificate's time is over; nothing else is said about it."""

    code = "certificate_expired"


class DecryptionFailed(CertificateError):
    """An envelope does not open. Its sender learns no more than that, or could decrypt by asking often enough.

    Where the reason can be read off the envelope without a key, it is the `__cause__`, for the operator.
    """

    code = "decryption_failed"

    def __init__(self) -> None:
        super().__init__("the envelope cannot be opened")
