"""What the tests of `certs` share: openssl as the independent peer, and a small PKI made once."""

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs import CertificateCache, DeviceAuthority, DeviceTrust, PrivateKey

NOT_BEFORE = datetime(2024, 1, 1, tzinfo=UTC)
NOT_AFTER = datetime(2044, 1, 1, tzinfo=UTC)
CA = x509.BasicConstraints(ca=True, path_length=None)
CLIENT_AUTH = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])

OpenSSL = Callable[..., bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A key with its certificate, in memory and as files for openssl."""

    key: PrivateKey
    certificate: x509.Certificate
    key_file: Path
    certificate_file: Path

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)


class PKI:
    """Issues certificates with the `cryptography` builder, not with the code under test."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._next_serial = 1000
        self.root = self.issue("Device Root", rsa.generate_private_key(65537, 2048), extensions=[CA])
        self.rsa = self.issue("rsa-device", rsa.generate_private_key(65537, 2048), self.root)
        self.ec256 = self.issue("ec256-device", ec.generate_private_key(ec.SECP256R1()), self.root)
        self.ec384 = self.issue("ec384-device", ec.generate_private_key(ec.SECP384R1()), self.root)

    def issue(
        self,
        common_name: str,
        key: PrivateKey | None = None,
        issuer: Identity | None = None,
        *,
        extensions: Sequence[x509.ExtensionType] = (CLIENT_AUTH,),
        serial_number: int | None = None,
    ) -> Identity:
        """A certificate with these extensions, self-signed where there is no issuer; P-256 unless a key is given."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        self._next_serial += 1
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else [])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.certificate.subject if issuer else subject)
            .public_key(key.public_key())
            .serial_number(serial_number or self._next_serial)
            .not_valid_before(NOT_BEFORE)
            .not_valid_after(NOT_AFTER)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        certificate = builder.sign(issuer.key if issuer else key, hashes.SHA256())
        return self._stored(key, certificate)

    def _stored(self, key: PrivateKey, certificate: x509.Certificate) -> Identity:
        stem = self._directory / f"{self._next_serial}"
        key_file, certificate_file = stem.with_suffix(".key"), stem.with_suffix(".pem")
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return Identity(key=key, certificate=certificate, key_file=key_file, certificate_file=certificate_file)


@pytest.fixture(scope="session")
def openssl() -> OpenSSL:
    """Runs openssl and gives its standard output; a missing openssl fails, since nothing else proves as much."""
    program = shutil.which("openssl")
    if program is None:
        pytest.fail("the openssl program is needed: it is the independent signer and verifier of these tests")

    def run(*arguments: str | Path, stdin: bytes = b"") -> bytes:
        done = subprocess.run([program, *map(str, arguments)], input=stdin, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    return run


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    """Keys are slow to make, so there is one PKI for the whole session."""
    return PKI(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def cache(pki: PKI) -> CertificateCache:
    """A cache that trusts the PKI's root under the name `corp`."""
    return CertificateCache(DeviceTrust([DeviceAuthority(name="corp", roots=(pki.root.der,))]))


@pytest.fixture(scope="session")
def cms_sign(openssl: OpenSSL) -> Callable[..., bytes]:
    """openssl's signature over a body, in DER unless its options say otherwise."""

    def sign(body: bytes, signer: Identity, *options: str | Path, md: str = "sha256") -> bytes:
        return openssl(
            *("cms", "-sign", "-binary", "-outform", "DER", "-md", md),
            *("-signer", signer.certificate_file, "-inkey", signer.key_file),
            *options,
            stdin=body,
        )

    return sign


@pytest.fixture(scope="session")
def as_devices_write() -> Callable[[bytes], bytes]:
    """Re-writes a SignedData with indefinite lengths down to where the certificates and the signer begin."""
    return lambda message: _indefinite(message, 0)


@pytest.fixture(scope="session")
def everything_indefinite() -> Callable[[bytes], bytes]:
    """Re-writes a SignedData with indefinite lengths wherever the certificates allow it."""
    return lambda message: _indefinite(message, 0, deepest=32)


def _indefinite(element: bytes, depth: int, *, deepest: int = 4) -> bytes:
    tag, content = element[0], _content(element)
    # Elements in SignedData are at depth 3; [0] there is the certificates, which stay DER.
    if not tag & 0x20 or depth >= deepest or (depth == 3 and tag == 0xA0 and deepest > 4):
        return element
    inner = b"".join(_indefinite(child, depth + 1, deepest=deepest) for child in split(content))
    return bytes((tag, 0x80)) + inner + b"\x00\x00"


def split(content: bytes) -> list[bytes]:
    """The DER elements in a row: a second, simple reader, so that ours is not its own judge."""
    elements = []
    while content:
        end = len(content) - len(_after(content))
        elements.append(content[:end])
        content = content[end:]
    return elements


def _after(encoded: bytes) -> bytes:
    header, length = _header(encoded)
    return encoded[header + length :]


def _content(element: bytes) -> bytes:
    header, length = _header(element)
    return element[header : header + length]


def _header(encoded: bytes) -> tuple[int, int]:
    if encoded[1] < 0x80:
        return 2, encoded[1]
    octets = encoded[1] & 0x7F
    return 2 + octets, int.from_bytes(encoded[2 : 2 + octets], "big")
