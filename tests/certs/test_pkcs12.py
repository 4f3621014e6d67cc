"""PKCS #12 files, exported by openssl as Keychain and other servers do."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from certs import CertificateRefused, MalformedDER, load_pem_certificates, load_push_identity
from certs.pkcs12 import MAX_ITERATIONS, check_iterations
from tests.certs.push_parties import PASSPHRASE, TOPIC, intermediate, push, root, vendor
from tests.source_tree import ROOT

MODERN: tuple[str, ...] = ()
TRIPLE_DES = ("-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES", "-macalg", "sha1")
RC2_40 = ("-legacy",)  # certificates RC2-40, key 3DES: what Keychain wrote for twenty years

LOAD_WITHOUT_LEGACY = """
import sys
from certs import CertificateRefused, load_push_identity
try:
    load_push_identity(sys.stdin.buffer.read(), passphrase=sys.argv[1].encode())
except CertificateRefused as error:
    print(error)
"""


@pytest.fixture
def export(tmp_path: Path, openssl: Any) -> Any:
    """openssl's export of the push certificate, its key and its chain."""

    def run(*options: str, passphrase: bytes = PASSPHRASE) -> bytes:
        if "-legacy" in options:
            _skip_without_legacy_provider()
        pem = tmp_path / "identity.pem"
        pem.write_bytes(push().pem + push().key_pem + root().pem + intermediate().pem)
        made: bytes = openssl("pkcs12", "-export", "-in", pem, "-passout", f"pass:{passphrase.decode()}", *options)
        return made

    return run


def _skip_without_legacy_provider() -> None:
    listed = subprocess.run(["openssl", "list", "-providers", "-provider", "legacy"], capture_output=True, check=False)
    if listed.returncode != 0 or b"legacy" not in listed.stdout:
        pytest.skip("this openssl has no legacy provider, and without it writes no RC2-40")


@pytest.mark.parametrize("options", [MODERN, TRIPLE_DES, RC2_40, ("-keypbe", "NONE", "-certpbe", "NONE")])
def test_exported_identity_is_loaded_with_its_chain_in_order(export: Any, options: tuple[str, ...]) -> None:
    certificate, key_pem = load_push_identity(export(*options), passphrase=PASSPHRASE)

    assert certificate.topic == TOPIC
    assert key_pem == push().key_pem
    assert load_pem_certificates(certificate.chain) == (push().der, intermediate().der, root().der)


@pytest.mark.parametrize("options", [MODERN, TRIPLE_DES, RC2_40])
@pytest.mark.parametrize("passphrase", [b"wrong", b"", None])
def test_wrong_passphrase_is_called_wrong_or_missing(
    export: Any, options: tuple[str, ...], passphrase: bytes | None
) -> None:
    expected = "passphrase does not open" if passphrase else "needs its passphrase"

    with pytest.raises(CertificateRefused, match=expected) as caught:
        load_push_identity(export(*options), passphrase=passphrase)

    assert caught.value.__suppress_context__


@pytest.mark.parametrize("passphrase", [b"", None])
def test_export_without_a_passphrase_is_loaded_without_one(export: Any, passphrase: bytes | None) -> None:
    assert load_push_identity(export(passphrase=b""), passphrase=passphrase)[0].topic == TOPIC


def test_export_of_the_certificate_alone_lacks_a_key(export: Any) -> None:
    with pytest.raises(CertificateRefused, match="no private key"):
        load_push_identity(export("-nokeys"), passphrase=PASSPHRASE)


def test_key_may_come_beside_an_export_of_the_certificate_alone(export: Any) -> None:
    certificate, key_pem = load_push_identity(export("-nokeys"), key=push().key_pem, passphrase=PASSPHRASE)

    assert (certificate.topic, key_pem) == (TOPIC, push().key_pem)


def test_new_certificate_goes_with_the_key_of_an_old_export(export: Any) -> None:
    certificate, key_pem = load_push_identity(push().pem, key=export(), passphrase=PASSPHRASE)

    assert (certificate.topic, key_pem) == (TOPIC, push().key_pem)


def test_export_of_another_identity_does_not_belong_to_the_certificate(export: Any) -> None:
    with pytest.raises(CertificateRefused, match="does not belong"):
        load_push_identity(vendor().pem, key=export("-nocerts"), passphrase=PASSPHRASE)


def test_where_rc2_cannot_be_read_the_error_says_how_to_convert(export: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOAD_WITHOUT_LEGACY, PASSPHRASE.decode()],
        input=export(*RC2_40),
        env={**os.environ, "CRYPTOGRAPHY_OPENSSL_NO_LEGACY": "1"},
        cwd=ROOT,
        capture_output=True,
        check=True,
    )

    assert b"openssl pkcs12 -legacy -in old.p12 -nodes" in done.stdout


def test_conversion_that_the_error_names_gives_what_is_loaded(export: Any, openssl: Any, tmp_path: Path) -> None:
    old = tmp_path / "old.p12"
    old.write_bytes(export(*RC2_40))

    converted = openssl("pkcs12", "-legacy", "-in", old, "-nodes", "-passin", f"pass:{PASSPHRASE.decode()}")

    assert load_push_identity(converted)[0].topic == TOPIC


@pytest.mark.parametrize("cut", [20, 200, -1])
def test_file_that_is_cut_off_is_malformed(export: Any, cut: int) -> None:
    with pytest.raises(MalformedDER):
        load_push_identity(export()[:cut], passphrase=PASSPHRASE)


def test_damaged_file_is_refused(export: Any) -> None:
    damaged = bytearray(export())
    damaged[len(damaged) // 2] ^= 0xFF

    with pytest.raises(CertificateRefused, match="or the file is damaged"):
        load_push_identity(bytes(damaged), passphrase=PASSPHRASE)


@pytest.mark.parametrize("options", [("-iter", "2048"), ("-iter", "600000", "-nomaciter")])
def test_usual_numbers_of_iterations_are_accepted(export: Any, options: tuple[str, ...]) -> None:
    check_iterations(export(*options))


def test_passphrase_hashed_for_hours_is_refused_before_it_is_hashed(export: Any) -> None:
    usual = (1_000_003).to_bytes(3, "big")
    longer = (0x7FFFFF).to_bytes(3, "big")
    written = export("-iter", "1000003")
    places = [at for at in range(len(written)) if written.startswith(b"\x02\x03" + usual, at)]

    # The MAC, the encrypted certificates and the encrypted key each have a count.
    assert len(places) == 3
    for at in places:
        changed = written[: at + 2] + longer + written[at + 5 :]
        with pytest.raises(CertificateRefused, match=f"more than {MAX_ITERATIONS} times"):
            load_push_identity(changed, passphrase=PASSPHRASE)


def test_encrypted_key_hashed_for_hours_is_refused_too(openssl: Any) -> None:
    options = ("-topk8", "-v2", "aes256", "-iter", "1000003", "-outform", "DER")
    written = openssl("pkcs8", *options, "-passout", f"pass:{PASSPHRASE.decode()}", stdin=push().key_pem)

    changed = written.replace((1_000_003).to_bytes(3, "big"), (0x7FFFFF).to_bytes(3, "big"))

    with pytest.raises(CertificateRefused, match="more than"):
        load_push_identity(push().pem, key=changed, passphrase=PASSPHRASE)


def test_nests_of_octet_strings_are_not_followed_for_ever() -> None:
    nest = b"\x30\x00"
    for _ in range(100):
        nest = b"\x30" + _length(len(nest) + 1 + len(_length(len(nest)))) + b"\x04" + _length(len(nest)) + nest

    with pytest.raises(CertificateRefused, match="nested"):
        check_iterations(nest)


def _length(octets: int) -> bytes:
    return bytes((0x82,)) + octets.to_bytes(2, "big")
