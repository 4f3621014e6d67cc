"""CA certificates that may issue: reading them, and finding the paths from intermediates up to roots.

Done once, at start, for what an operator configured; device certificates are checked in `trust`.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from certs.algorithms import signature_algorithm_of, verify
from certs.certificate_fields import CertificateFields, may_issue, path_length, read_certificate
from certs.errors import MalformedDER, SignatureInvalid

MAX_PATH_LENGTH = 5  # links from a device's certificate up to the root


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """A CA certificate; `room` is how many CAs may stand below it on a path."""

    subject: str
    fields: CertificateFields
    certificate: x509.Certificate
    public_key: CertificatePublicKeyTypes
    room: int

    def signed(self, fields: CertificateFields) -> bool:
        """Whether this CA's name stands in the certificate as the issuer and its key signed it."""
        if fields.issuer_der != self.fields.subject_der:
            return False
        try:
            algorithm = signature_algorithm_of(fields.signature_algorithm)
        except SignatureInvalid:
            return self._signed_otherwise(fields.der)
        if algorithm.digest is None or not isinstance(self.public_key, RSAPublicKey | EllipticCurvePublicKey):
            return False
        try:
            # Not verify_directly_issued_by: it refuses SHA-1, which old device CAs sign with.
            verify(self.public_key, fields.signature, fields.signed, algorithm, algorithm.digest)
        except SignatureInvalid:
            return False
        return True

    def _signed_otherwise(self, der: bytes) -> bool:
        try:
            x509.load_der_x509_certificate(der).verify_directly_issued_by(self.certificate)
        except Exception:  # many kinds, one meaning
            return False
        return True


def usable_issuers(roots: Sequence[bytes], intermediates: Sequence[bytes]) -> tuple[list[Issuer], list[str]]:
    """The CAs from which a path leads to a root, and a sentence about each of the others.

    Raises MalformedDER for a certificate that cannot be read.
    """
    anchors = [_read(der) for der in roots]
    waiting = [_read(der) for der in intermediates]
    problems = [
        f"{issuer.subject!r} is no CA that may sign certificates (basicConstraints, keyUsage)"
        for issuer in (*anchors, *waiting)
        if not may_issue(issuer.fields)
    ]
    waiting = [issuer for issuer in waiting if may_issue(issuer.fields)]
    level = [issuer for issuer in anchors if may_issue(issuer.fields)]
    usable: list[Issuer] = []
    while level:
        usable += level
        level = [placed for issuer in waiting if (placed := _below(level, issuer)) is not None]
        certificates = {issuer.certificate for issuer in level}
        waiting = [issuer for issuer in waiting if issuer.certificate not in certificates]
    problems += [f"no path leads from {issuer.subject!r} to a root" for issuer in waiting]
    return usable, problems


def _below(parents: Sequence[Issuer], issuer: Issuer) -> Issuer | None:
    rooms = [parent.room - 1 for parent in parents if parent.room > 0 and parent.signed(issuer.fields)]
    return replace(issuer, room=min(issuer.room, max(rooms))) if rooms else None


def _read(der: bytes) -> Issuer:
    fields = read_certificate(der)
    longest = MAX_PATH_LENGTH - 1
    allowed = path_length(fields)
    try:
        # At start, before there are threads: roots with the serial number 0 exist and only cause a warning.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            certificate = x509.load_der_x509_certificate(der)
            return Issuer(
                subject=certificate.subject.rfc4514_string(),
                fields=fields,
                certificate=certificate,
                public_key=certificate.public_key(),
                room=longest if allowed is None else min(allowed, longest),
            )
    except Exception as error:  # whatever the parser raises, it is about these bytes
        raise MalformedDER(f"CA certificate cannot be read: {type(error).__name__}") from error
