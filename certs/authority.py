"""A small CA: makes its own certificate, those of devices and the CRL; deciding who gets one is not done here.

Nothing is taken from a request but the public key. Serial numbers and times come from the caller: serial
numbers are random, at least 64 bits of them, positive, and recorded before anything is signed (S15).
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.algorithms import signature_algorithm_of, verify
from certs.certificate_fields import (
    CertificateFields,
    may_issue,
    may_sign_crls,
    read_certificate,
    subject_key_identifier,
)
from certs.certificate_writer import certificate_builder, common_name_alone, key_usage, load_certificate, self_signed
from certs.cms import signer_names
from certs.crl import RevocationReason, write_crl
from certs.errors import CertificateError, CertificateRefused, MalformedDER
from certs.keys import PrivateKey, PublicKey, load_private_key
from certs.pem import decode_certificates
from certs.policy import CertificateProfile

MIN_RSA_BITS = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A CA certificate with its key, made by `create` or `load`; RSA, because SCEP encrypts to the CA's key."""

    certificate_der: bytes
    private_key: RSAPrivateKey = field(repr=False)
    fields: CertificateFields = field(repr=False)
    _certificate: x509.Certificate = field(repr=False)

    @classmethod
    def create(
        cls, *, common_name: str, key: RSAPrivateKey, not_before: datetime, not_after: datetime, serial_number: int
    ) -> "Authority":
        """A new self-signed CA; raises CertificateRefused for what no certificate can hold."""
        der = self_signed(
            common_name, key, serial_number, not_before, not_after, key_usage(signs_certificates=True, encrypts=True)
        )
        return cls.of(der, key)

    @classmethod
    def load(cls, certificate_pem: bytes, key_pem: bytes) -> "Authority":
        """An existing CA; of several certificates the one that belongs to the key.

        Raises MalformedDER for what cannot be read, CertificateRefused for a key that fits no certificate and
        as `of` does.
        """
        key = load_private_key(key_pem)
        certificates = decode_certificates(certificate_pem)
        if not certificates:
            raise MalformedDER("no certificate in the PEM")
        for der in certificates:
            if load_certificate(der).public_key() == key.public_key():
                return cls.of(der, key)
        raise CertificateRefused("the private key belongs to none of the CA certificates given")

    @classmethod
    def of(cls, certificate_der: bytes, key: PrivateKey) -> "Authority":
        """A CA from its parts; raises CertificateRefused unless it is one that can issue, decrypt and sign CRLs."""
        certificate, fields = load_certificate(certificate_der), read_certificate(certificate_der)
        name = certificate.subject.rfc4514_string()
        if not may_issue(fields):
            raise CertificateRefused(f"{name!r} is no CA that may sign certificates (basicConstraints, keyUsage)")
        if not may_sign_crls(fields):
            raise CertificateRefused(f"the key usage of {name!r} does not allow signing CRLs")
        if not isinstance(key, RSAPrivateKey):
            raise CertificateRefused(f"the key of {name!r} is not RSA: SCEP clients encrypt to the CA, which needs RSA")
        if key.key_size < MIN_RSA_BITS:
            raise CertificateRefused(f"the key of {name!r} has {key.key_size} bits, less than {MIN_RSA_BITS}")
        if certificate.public_key() != key.public_key():
            raise CertificateRefused(f"the private key is not the one of {name!r}")
        return cls(certificate_der=certificate_der, private_key=key, fields=fields, _certificate=certificate)

    @property
    def name(self) -> str:
        """The subject, RFC 4514."""
        return self._certificate.subject.rfc4514_string()

    @property
    def not_after(self) -> datetime:
        """Until when the CA's own certificate is valid; none that it issues is valid for longer."""
        return self._certificate.not_valid_after_utc

    @property
    def sha256_fingerprint(self) -> bytes:
        """SHA-256 over the whole certificate, as CAFingerprint in a profile."""
        return hashlib.sha256(self.certificate_der).digest()

    @property
    def sha1_fingerprint(self) -> bytes:
        """SHA-1 over the whole certificate, for the CAFingerprint of older devices."""
        return hashlib.sha1(self.certificate_der).digest()  # noqa: S324  # an identifier that devices ask for

    @property
    def recipient_names(self) -> tuple[bytes, ...]:
        """The elements by which an envelope may name this CA: RFC 5652 §6.2.1, RecipientIdentifier."""
        key_identifier = subject_key_identifier(self.fields)
        return signer_names(self.fields.issuer_der, self.fields.serial_number, key_identifier)

    def issue(
        self, public_key: PublicKey, profile: CertificateProfile, serial_number: int, not_before: datetime
    ) -> bytes:
        """The DER of a certificate for this key, valid as the profile says but not longer than the CA's own.

        `not_before` is what `profile.not_before` makes of the time of issuance. Raises CertificateRefused for
        what no certificate can hold, among it a time when the CA itself has expired.
        """
        not_after = min(profile.not_after(not_before), self.not_after)
        try:
            builder = certificate_builder(
                self._certificate.subject, profile.subject(), public_key, serial_number, not_before, not_after
            )
            for extension, critical in profile.extensions(public_key):
                builder = builder.add_extension(extension, critical=critical)
            builder = builder.add_extension(
                x509.AuthorityKeyIdentifier(self._key_identifier(), None, None), critical=False
            )
            return builder.sign(self.private_key, hashes.SHA256()).public_bytes(Encoding.DER)
        except (ValueError, TypeError) as error:
            raise CertificateRefused(f"no certificate can be issued for {profile.common_name!r}: {error}") from error

    def has_issued(self, certificate_der: bytes) -> bool:
        """Whether this CA's name and signature are on the certificate; time and revocation are not looked at."""
        try:
            fields = read_certificate(certificate_der)
            algorithm = signature_algorithm_of(fields.signature_algorithm)
            if fields.issuer_der != self.fields.subject_der or algorithm.digest is None:
                return False
            verify(self.private_key.public_key(), fields.signature, fields.signed, algorithm, algorithm.digest)
        except CertificateError:
            return False
        return True

    def sign_crl(
        self,
        revoked: Iterable[tuple[int, datetime, RevocationReason]],
        number: int,
        this_update: datetime,
        next_update: datetime,
    ) -> bytes:
        """The DER of the CRL; entries are serial number, time and reason; `number` grows from one to the next."""
        return write_crl(
            revoked,
            issuer_der=self.fields.subject_der,
            key_identifier=self._key_identifier(),
            key=self.private_key,
            number=number,
            this_update=this_update,
            next_update=next_update,
        )

    def _key_identifier(self) -> bytes:
        own = subject_key_identifier(self.fields)
        if own is not None:
            return own
        return x509.SubjectKeyIdentifier.from_public_key(self.private_key.public_key()).digest


def create_authority(
    *,
    common_name: str,
    key: PrivateKey,
    not_before: datetime,
    not_after: datetime,
    serial_number: int,
) -> bytes:
    """The DER of a self-signed CA certificate; raises CertificateRefused for what no certificate can hold."""
    return self_signed(
        common_name, key, serial_number, not_before, not_after, key_usage(signs_certificates=True, encrypts=False)
    )


def issue_device_certificate(
    *,
    authority_der: bytes,
    authority_key: PrivateKey,
    public_key: PublicKey,
    common_name: str,
    serial_number: int,
    not_before: datetime,
    not_after: datetime,
) -> bytes:
    """The DER of a device's client certificate for this public key.

    Raises MalformedDER for an authority that cannot be read, CertificateRefused for a key that is not the
    authority's and for what no certificate can hold.
    """
    authority = load_certificate(authority_der)
    if authority.public_key() != authority_key.public_key():
        raise CertificateRefused("the key is not the one of the CA certificate")
    try:
        issuer_key_id = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        builder = certificate_builder(
            authority.subject, common_name_alone(common_name), public_key, serial_number, not_before, not_after
        )
        for extension, critical in (
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (key_usage(signs_certificates=False, encrypts=True), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False),
            (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key_id), False),
        ):
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(authority_key, hashes.SHA256()).public_bytes(Encoding.DER)
    except (ValueError, TypeError, x509.ExtensionNotFound) as error:
        raise CertificateRefused(f"no certificate can be issued for {common_name!r}: {error}") from error
