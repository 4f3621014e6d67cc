"""Writes X.509 certificates with the library's builder: the parts that all certificates of a CA have in common."""

from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from certs.errors import CertificateRefused, MalformedDER
from certs.keys import PrivateKey, PublicKey


def load_certificate(der: bytes) -> x509.Certificate:
    """Reads a certificate; raises MalformedDER."""
    try:
        return x509.load_der_x509_certificate(der)
    except Exception as error:  # whatever the parser raises, it is about these bytes
        raise MalformedDER(f"CA certificate cannot be read: {type(error).__name__}") from error


def self_signed(
    common_name: str,
    key: PrivateKey,
    serial_number: int,
    not_before: datetime,
    not_after: datetime,
    usage: x509.KeyUsage,
) -> bytes:
    """The DER of a CA certificate; raises CertificateRefused for what no certificate can hold."""
    try:
        name = common_name_alone(common_name)
        builder = certificate_builder(name, name, key.public_key(), serial_number, not_before, not_after)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(usage, critical=True)
        return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    except (ValueError, TypeError) as error:
        raise CertificateRefused(f"no CA certificate can be made for {common_name!r}: {error}") from error


def certificate_builder(
    issuer: x509.Name,
    subject: x509.Name,
    public_key: PublicKey,
    serial_number: int,
    not_before: datetime,
    not_after: datetime,
) -> x509.CertificateBuilder:
    """A builder with all that every certificate has; raises ValueError or TypeError for what none can hold."""
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


def common_name_alone(common_name: str) -> x509.Name:
    """A name of one attribute; raises ValueError for what does not fit into one."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def key_usage(*, signs_certificates: bool, encrypts: bool) -> x509.KeyUsage:
    """Usages of a CA, of one that answers SCEP itself (it is encrypted to, too), or of a device."""
    return x509.KeyUsage(
        # RFC 8894 §2.1.2: a CA that answers SCEP itself signs messages and is encrypted to.
        digital_signature=encrypts,
        content_commitment=False,
        key_encipherment=encrypts,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
