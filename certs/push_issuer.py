"""Issues push certificates in the shape of those of Apple's portal, and the server certificate of who checks them.

For the stand-in for APNs: Apple's own push service believes only Apple's CA.
"""

from collections.abc import Iterable
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs.certificate_writer import certificate_builder, common_name_alone, load_certificate
from certs.errors import CertificateRefused
from certs.keys import PrivateKey, PublicKey
from certs.policy import CertificateProfile

APPLE_PUSH_PRODUCTION = "1.2.840.113635.100.6.3.2"
"""The extension by which Apple marks certificates for the production service; its value is NULL."""
_DER_NULL = b"\x05\x00"
_TOPICS = "com.apple.mgmt."
_TOPIC_PREFIX = "com.apple.mgmt.External."


def issue_push_certificate(
    *,
    authority_der: bytes,
    authority_key: PrivateKey,
    public_key: PublicKey,
    topic: str,
    serial_number: int,
    not_before: datetime,
    not_after: datetime,
) -> bytes:
    """The DER of an MDM push certificate: UID is the topic, CN repeats its UUID, the use is clientAuth.

    Raises MalformedDER for an authority that cannot be read, CertificateRefused for a key that is not the authority's
    and for what is no topic of MDM or does not fit into a certificate.
    """
    if not topic.startswith(_TOPICS):
        raise CertificateRefused(f"{topic!r} is no topic of MDM: those begin with {_TOPICS}")
    try:
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.USER_ID, topic),
                x509.NameAttribute(NameOID.COMMON_NAME, f"APSP:{topic.removeprefix(_TOPIC_PREFIX)}"),
                x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
            ]
        )
    except ValueError as error:
        raise CertificateRefused(f"no certificate can be for the topic {topic!r}: {error}") from error
    profile = CertificateProfile(common_name=topic)
    mark = x509.UnrecognizedExtension(x509.ObjectIdentifier(APPLE_PUSH_PRODUCTION), _DER_NULL)
    return _issue(
        load_certificate(authority_der),
        authority_key,
        subject,
        public_key,
        serial_number,
        (not_before, not_after),
        (*profile.extensions(public_key), (mark, False)),
    )


def issue_server_certificate(
    *,
    authority_der: bytes,
    authority_key: PrivateKey,
    public_key: PublicKey,
    server_names: tuple[str, ...],
    serial_number: int,
    not_before: datetime,
    not_after: datetime,
) -> bytes:
    """The DER of a TLS server's certificate for these names and addresses. Raises as `issue_push_certificate` does."""
    profile = CertificateProfile(
        common_name=server_names[0],
        extended_key_usages=(ExtendedKeyUsageOID.SERVER_AUTH.dotted_string,),
        server_names=server_names,
    )
    return _issue(
        load_certificate(authority_der),
        authority_key,
        common_name_alone(server_names[0]),
        public_key,
        serial_number,
        (not_before, not_after),
        profile.extensions(public_key),
    )


def _issue(
    authority: x509.Certificate,
    authority_key: PrivateKey,
    subject: x509.Name,
    public_key: PublicKey,
    serial_number: int,
    valid: tuple[datetime, datetime],
    extensions: Iterable[tuple[x509.ExtensionType, bool]],
) -> bytes:
    if authority.public_key() != authority_key.public_key():
        raise CertificateRefused("the key is not the one of the CA certificate")
    try:
        issuer_key = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        own_key = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key)
        builder = certificate_builder(authority.subject, subject, public_key, serial_number, *valid)
        for extension, is_critical in (*extensions, (own_key, False)):
            builder = builder.add_extension(extension, critical=is_critical)
        return builder.sign(authority_key, hashes.SHA256()).public_bytes(Encoding.DER)
    except (ValueError, TypeError, x509.ExtensionNotFound) as error:
        raise CertificateRefused(f"no certificate can be issued: {error}") from error
