"""The certificate that APNs knows an MDM server by, and its key; asking for one is `push_request`.

Its time is not judged: one that expired is read like any other, and `not_after` says so.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from certs.certificate_fields import is_authority, may_authenticate_clients, read_certificate
from certs.chain import chain_of
from certs.device_certificate import load_device_certificate
from certs.errors import CertificateRefused
from certs.identity_file import certificates_in, read_identity_file
from certs.keys import dump_private_key, dump_public_key
from certs.names import USER_ID, name_attributes
from certs.pem import encode_certificate

APPLE_TOPIC_PREFIX = "com.apple.mgmt"


@dataclass(frozen=True, slots=True, kw_only=True)
class PushCertificate:
    """A push certificate. `topic` is the UID of its subject; `chain` is PEM, its own certificate first.

    `fingerprint` is SHA-256 over the whole certificate in hexadecimal, as people compare it.
    """

    topic: str
    not_before: datetime
    not_after: datetime
    fingerprint: str
    serial_number: int
    subject: str
    issuer: str
    chain: bytes = field(repr=False)

    @property
    def is_apple_topic(self) -> bool:
        """Whether Apple's portal could have given this topic; others are for tests and stand-ins."""
        return self.topic.startswith(APPLE_TOPIC_PREFIX)


def read_push_certificate(encoded: bytes) -> PushCertificate:
    """Reads PEM, with or without its chain, or DER; of several certificates the client's that is valid longest.

    Raises MalformedDER, or CertificateRefused for no certificate, one without a topic, or one not for clients.
    """
    certificates = certificates_in(encoded)
    if not certificates:
        raise CertificateRefused("there is no certificate in what was given")
    clients = [der for der in certificates if not is_authority(read_certificate(der))]
    return _described(_latest(clients or certificates), certificates)


def load_push_identity(
    encoded: bytes, *, passphrase: bytes | None = None, key: bytes | None = None
) -> tuple[PushCertificate, bytes]:
    """Reads a certificate and its key, together or apart: PEM in any order, DER, PKCS #12.

    The certificate is the one that the key belongs to, the key comes back as PEM, PKCS #8, not encrypted. Raises
    MalformedDER, or CertificateRefused for a wrong passphrase, a missing part, a key of another certificate, and as
    `read_push_certificate` does.
    """
    files = [read_identity_file(part, passphrase) for part in (encoded, key) if part is not None]
    certificates = [der for file in files for der in file.certificates]
    keys = {dump_public_key(each.public_key()): each for file in files for each in file.keys}
    if not certificates:
        raise CertificateRefused("there is no certificate in what was given")
    if not keys:
        raise CertificateRefused("there is no private key in what was given")
    own = [der for der in certificates if read_certificate(der).public_key_der in keys]
    if not own:
        subjects = ", ".join(repr(load_device_certificate(der).subject) for der in certificates[:3])
        raise CertificateRefused(f"the private key does not belong to the certificate of {subjects}")
    leaf = _latest(own)
    return _described(leaf, certificates), dump_private_key(keys[read_certificate(leaf).public_key_der])


def _latest(candidates: Sequence[bytes]) -> bytes:
    """The one with a topic that is valid longest: a renewed certificate often has the same key as the one before."""
    return max(candidates, key=lambda der: (_topic(der) is not None, load_device_certificate(der).not_after))


def _topic(der: bytes) -> str | None:
    subject = name_attributes(read_certificate(der).subject_der)
    return next((value for oid, value in subject if oid == USER_ID and value), None)


def _described(leaf: bytes, certificates: Sequence[bytes]) -> PushCertificate:
    certificate = load_device_certificate(leaf)
    topic = _topic(leaf)
    if topic is None:
        raise CertificateRefused(
            f"{certificate.subject!r} has no topic: a push certificate has it in its subject's UID"
        )
    if not may_authenticate_clients(read_certificate(leaf)):
        raise CertificateRefused(f"{certificate.subject!r} is no client certificate: its extended key usage forbids it")
    chain = chain_of(leaf, certificates)
    return PushCertificate(
        topic=topic,
        not_before=certificate.not_before,
        not_after=certificate.not_after,
        fingerprint=hashlib.sha256(leaf).hexdigest(),
        serial_number=certificate.serial_number,
        subject=certificate.subject,
        issuer=certificate.issuer,
        chain=b"".join(map(encode_certificate, chain)),
    )
