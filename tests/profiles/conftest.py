"""What the tests of `profiles` share: openssl as the independent peer, and signers made once."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from certs import PrivateKey

OpenSSL = Callable[..., bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A key with its certificate and the two above it, in memory and as files for openssl."""

    key: PrivateKey
    der: bytes
    intermediate_der: bytes
    root_der: bytes
    key_file: Path
    certificate_file: Path


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
def signers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Signer]:
    """One signer with each kind of key, all below one intermediate CA."""
    folder = tmp_path_factory.mktemp("signers")
    root_key, intermediate_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = _certificate("Root", root_key, "Root", root_key)
    intermediate = _certificate("Intermediate", intermediate_key, "Root", root_key)
    keys: dict[str, PrivateKey] = {
        "rsa": rsa.generate_private_key(65537, 2048),
        "p256": ec.generate_private_key(ec.SECP256R1()),
        "p384": ec.generate_private_key(ec.SECP384R1()),
    }
    return {
        name: _stored(
            folder / name, key, [_certificate("Signer", key, "Intermediate", intermediate_key), intermediate, root]
        )
        for name, key in keys.items()
    }


@pytest.fixture(params=["rsa", "p256", "p384"])
def signer(request: pytest.FixtureRequest, signers: dict[str, Signer]) -> Signer:
    """Each signer in turn."""
    return signers[str(request.param)]


@pytest.fixture(scope="session")
def root_der(signers: dict[str, Signer]) -> bytes:
    """The certificate of the root CA of all signers."""
    return signers["rsa"].root_der


def _stored(stem: Path, key: PrivateKey, chain: list[bytes]) -> Signer:
    pem = x509.load_der_x509_certificate(chain[0]).public_bytes(serialization.Encoding.PEM)
    key_file, certificate_file = stem.with_suffix(".key"), stem.with_suffix(".pem")
    certificate_file.write_bytes(pem)
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return Signer(
        key=key,
        der=chain[0],
        intermediate_der=chain[1],
        root_der=chain[2],
        key_file=key_file,
        certificate_file=certificate_file,
    )


def _certificate(name: str, key: PrivateKey, issuer: str, issuer_key: PrivateKey) -> bytes:
    def named(common_name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])

    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime(2024, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2044, 1, 1, tzinfo=UTC))
        .add_extension(x509.BasicConstraints(ca=name != "Signer", path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
