"""A small CA: makes its own certificate and those of devices; deciding who gets one is not done here.

Nothing is taken from a request but the public key. Serial numbers and times come from the caller.
"""

from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs.errors import CertificateRefused, MalformedDER
from certs.keys import PrivateKey, PublicKey


def create_authority(
    *,
    common_name: str,
    key: PrivateKey,
    not_before: datetime,
    not_after: datetime,
    serial_number: int,
) -> bytes:
    """The DER of a self-signed CA certificate; raises CertificateRefused for what no certificate can hold."""
    try:
        name = _name(common_name)
        builder = _builder(name, name, key.public_key(), serial_number, not_before, not_after)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(signs_certificates=True), critical=True)
        return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    except (ValueError, TypeError) as error:
        raise CertificateRefused(f"no CA certificate can be made for {common_name!r}: {error}") from error


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
    authority = _load(authority_der)
    if authority.public_key() != authority_key.public_key():
        raise CertificateRefused("the key is not the one of the CA certificate")
    try:
        issuer_key_id = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        builder = _builder(authority.subject, _name(common_name), public_key, serial_number, not_before, not_after)
        for extension, critical in (
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (_key_usage(signs_certificates=False), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False),
            (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key_id), False),
        ):
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(authority_key, hashes.SHA256()).public_bytes(Encoding.DER)
    except (ValueError, TypeError, x509.ExtensionNotFound) as error:
        raise CertificateRefused(f"no certificate can be issued for {common_name!r}: {error}") from error


def _load(der: bytes) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(der)
    except Exception as error:  # whatever the parser raises, it is about these bytes
        raise MalformedDER(f"CA certificate cannot be read: {type(error).__name__}") from error


def _builder(
    issuer: x509.Name,
    subject: x509.Name,
    public_key: PublicKey,
    serial_number: int,
    not_before: datetime,
    not_after: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(public_key)
        .serial_number(serial_number)
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=not signs_certificates,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
