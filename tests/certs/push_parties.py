"""Push certificates as Apple's CA would issue them, and an MDM vendor's chain; written with `cryptography` alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs import PrivateKey
from tests.certs.scep_parties import rsa_key

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
TOPIC = "com.apple.mgmt.External.5f0a9a4c-0e0c-4f4e-9d7e-8e9f0a1b2c3d"
PASSPHRASE = b"correct horse"
CLIENT = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
SERVER = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
CA = x509.BasicConstraints(ca=True, path_length=None)


@dataclass(frozen=True, kw_only=True)
class Party:
    """A certificate and its key, in the forms that tests put together."""

    certificate: x509.Certificate
    key: PrivateKey

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return key_as(self.key, serialization.PrivateFormat.PKCS8)


def key_as(
    key: PrivateKey,
    form: serialization.PrivateFormat,
    encoding: serialization.Encoding = serialization.Encoding.PEM,
    passphrase: bytes | None = None,
) -> bytes:
    hidden = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return key.private_bytes(encoding, form, hidden)


def issue(
    common_name: str,
    *,
    topic: str | None = None,
    key: PrivateKey | None = None,
    issuer: Party | None = None,
    extensions: Sequence[x509.ExtensionType] = (CLIENT,),
    not_after: datetime = NOW + timedelta(days=300),
) -> Party:
    key = key or rsa_key(common_name)
    names = [x509.NameAttribute(NameOID.USER_ID, topic)] if topic is not None else []
    subject = x509.Name([*names, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_after - timedelta(days=365))
        .not_valid_after(not_after)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return Party(certificate=builder.sign(issuer.key if issuer else key, hashes.SHA256()), key=key)


@cache
def root() -> Party:
    return issue("Root CA", extensions=[CA])


@cache
def intermediate() -> Party:
    return issue("Worldwide CA", issuer=root(), extensions=[CA])


@cache
def push() -> Party:
    return issue("APSP:5f0a", topic=TOPIC, issuer=intermediate())


@cache
def vendor() -> Party:
    return issue("MDM Vendor", issuer=intermediate())


def vendor_key() -> RSAPrivateKey:
    return rsa_key("MDM Vendor")
