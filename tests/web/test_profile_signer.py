"""Profiles are signed with the server's TLS identity, and with the renewed one as soon as it is there."""

import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from certs import CertificateProfile, PrivateKey, dump_private_key, generate_ec, generate_rsa
from certs.pem import encode_certificate
from mdmserver.config import TLS
from mdmserver.web.profile_signer import TLSProfileSigner
from profiles import read_signed_profile, sign_profile
from tests.certs.scep_parties import authority

CA = authority()


def write(folder: Path, serial_number: int, key: PrivateKey | None = None) -> tuple[bytes, TLS]:
    key = key or generate_ec()
    profile = CertificateProfile(common_name="mdm.example.com", server_names=("mdm.example.com",))
    certificate = CA.issue(key.public_key(), profile, serial_number, datetime(2026, 6, 1, tzinfo=UTC))
    chain = encode_certificate(certificate) + encode_certificate(CA.certificate_der)
    (folder / "server.pem").write_bytes(chain)
    (folder / "server.key").write_bytes(dump_private_key(key))
    return certificate, TLS(certificate=str(folder / "server.pem"), key=str(folder / "server.key"))


@pytest.mark.parametrize("generate", [generate_ec, generate_rsa])
def test_profile_is_signed_with_the_chain_in_the_file(generate: object, tmp_path: Path) -> None:
    assert callable(generate)
    certificate, files = write(tmp_path, 2**64, generate())

    signer = TLSProfileSigner(files)()

    assert signer is not None
    signed = sign_profile(b"profile", signer.certificate, signer.key, signer.chain)
    assert read_signed_profile(signed) == (b"profile", certificate)
    assert CA.certificate_der in signed


def test_renewed_files_are_used_at_once(tmp_path: Path) -> None:
    _, files = write(tmp_path, 2**64)
    signer = TLSProfileSigner(files)
    signer()

    renewed, _ = write(tmp_path, 2**64 + 1)

    found = signer()
    assert found is not None
    assert found.certificate == renewed


def test_files_that_cannot_be_used_leave_the_signer_as_it_was(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    certificate, files = write(tmp_path, 2**64)
    signer = TLSProfileSigner(files)
    signer()

    (tmp_path / "server.key").write_bytes(dump_private_key(generate_ec()))
    with caplog.at_level(logging.WARNING):
        found = [signer() for _ in range(3)]

    assert [each.certificate for each in found if each is not None] == [certificate] * 3
    assert len(caplog.records) == 1


@pytest.mark.parametrize("files", [TLS(), TLS(own_ca=True), TLS(certificate="absent.pem", key="absent.key")])
def test_without_files_of_its_own_nobody_but_the_ca_signs(files: TLS) -> None:
    assert TLSProfileSigner(files)() is None
