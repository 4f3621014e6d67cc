"""`mdmserver push-certificate …`: the same over a running server and on the state directory alone."""

import base64
import json
import plistlib
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates

from certs import read_push_request
from certs.pem import encode_request
from tests.certs.push_parties import CA, Party, issue
from tests.cli.conftest import Mdmserver
from tests.cli.serving import serving

TOPIC = "com.apple.mgmt.External.cli"
SUBJECT = ["--common-name", "Example", "--email", "it@example.com"]


@pytest.fixture(params=["stopped", "running"])
def anyhow(request: pytest.FixtureRequest, state: Path) -> Iterator[Path]:
    """The state directory, without and with a server that runs on it."""
    with ExitStack() as stack:
        if request.param == "running":
            stack.enter_context(serving(state))
        yield state


def in_days(days: float) -> datetime:
    return (datetime.now(UTC) + timedelta(days=days)).replace(microsecond=0)


def push_identity(topic: str = TOPIC, *, days: float = 300.5, name: str = "APSP:cli") -> Party:
    return issue(name, topic=topic, not_after=in_days(days))


def written(path: Path, *parts: bytes) -> str:
    path.write_bytes(b"".join(parts))
    return str(path)


def shown(mdmserver: Mdmserver, state: Path) -> dict[str, Any]:
    result = mdmserver("push-certificate", "show", "--state", str(state), "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def install(mdmserver: Mdmserver, state: Path, *arguments: str, input: str | None = None) -> Any:
    return mdmserver("push-certificate", "install", "--state", str(state), *arguments, input=input)


def test_certificate_for_a_request_is_installed(mdmserver: Mdmserver, anyhow: Path, tmp_path: Path) -> None:
    csr = tmp_path / "request.csr"
    asked = mdmserver("push-certificate", "request", "--state", str(anyhow), *SUBJECT, "--out", str(csr))
    waiting = shown(mdmserver, anyhow)["requests"]
    text = subprocess.run(
        ["openssl", "req", "-in", csr, "-noout", "-subject", "-verify"], check=True, capture_output=True, text=True
    ).stdout
    foreign = install(mdmserver, anyhow, written(tmp_path / "c.pem", push_identity().pem))

    assert asked.exit_code == 0, asked.output
    assert "identity.apple.com/pushcert" in asked.stderr
    assert "CN = Example" in text
    assert [each["csr"] for each in waiting] == [csr.read_text()]
    assert foreign.exit_code == 1
    assert "give it along (--key)" in foreign.stderr


def test_certificate_is_installed_and_shown(mdmserver: Mdmserver, anyhow: Path, tmp_path: Path) -> None:
    party = push_identity()

    result = install(mdmserver, anyhow, written(tmp_path / "both.pem", party.pem, party.key_pem))

    assert result.exit_code == 0, result.output
    assert TOPIC in result.stdout
    assert "Renew, not Create" in result.stderr
    [found] = shown(mdmserver, anyhow)["certificates"]
    assert (found["topic"], found["days_left"]) == (TOPIC, 300)
    plain = mdmserver("push-certificate", "show", "--state", str(anyhow))
    assert TOPIC in plain.stdout
    assert plain.stderr == ""


def test_p12_of_another_server_is_installed_with_its_passphrase(
    mdmserver: Mdmserver, anyhow: Path, tmp_path: Path
) -> None:
    party = push_identity()
    encrypted = serialize_key_and_certificates(
        b"push", party.key, party.certificate, None, BestAvailableEncryption(b"open sesame")
    )
    p12 = written(tmp_path / "push.p12", encrypted)

    unasked = install(mdmserver, anyhow, p12)
    wrong = install(mdmserver, anyhow, p12, "--passphrase-file", "-", input="sesame\n")
    empty = install(mdmserver, anyhow, p12, "--passphrase-file", "-", input="\n")
    right = install(mdmserver, anyhow, p12, "--passphrase-file", written(tmp_path / "pass", b"open sesame\n"))

    assert [each.exit_code for each in (unasked, wrong, empty, right)] == [2, 1, 2, 0]
    assert "--passphrase-file" in unasked.stderr
    assert "sesame" not in wrong.output


def test_key_is_given_apart(mdmserver: Mdmserver, anyhow: Path, tmp_path: Path) -> None:
    party = push_identity()
    certificate = written(tmp_path / "c.der", party.der)

    other = install(
        mdmserver, anyhow, certificate, "--key", written(tmp_path / "other.pem", push_identity(name="other").key_pem)
    )
    own = install(mdmserver, anyhow, certificate, "--key", written(tmp_path / "k.pem", party.key_pem))

    assert (other.exit_code, own.exit_code) == (1, 0), own.output
    assert "does not belong" in other.stderr


def test_another_topic_is_refused_unless_forced(mdmserver: Mdmserver, anyhow: Path, tmp_path: Path) -> None:
    first, second = push_identity(), push_identity("com.apple.mgmt.External.other", name="other")
    install(mdmserver, anyhow, written(tmp_path / "1.pem", first.pem, first.key_pem))
    other = written(tmp_path / "2.pem", second.pem, second.key_pem)

    refused = install(mdmserver, anyhow, other)
    forced = install(mdmserver, anyhow, other, "--force")

    assert (refused.exit_code, forced.exit_code) == (1, 0)
    assert "every device would have to enroll again" in refused.stderr
    assert len(shown(mdmserver, anyhow)["certificates"]) == 2


@pytest.mark.parametrize(("days", "said"), [(10.5, "expires in 10 days"), (60.5, "expires in 60 days")])
def test_show_warns_of_a_certificate_that_ends(
    days: float, said: str, mdmserver: Mdmserver, state: Path, tmp_path: Path
) -> None:
    party = push_identity(days=days)
    install(mdmserver, state, written(tmp_path / "both.pem", party.pem, party.key_pem))

    result = mdmserver("push-certificate", "show", "--state", str(state))
    checked = mdmserver("doctor", "--state", str(state), "--json")

    assert said in result.stderr
    [finding] = [each for each in json.loads(checked.stdout) if each["check"] == "push certificate"]
    assert finding["verdict"] == "warning"
    assert said in finding["text"]


def test_wrong_files_are_one_line(mdmserver: Mdmserver, state: Path, tmp_path: Path) -> None:
    expired, key_der = push_identity(days=-1), written(tmp_path / "k.der", b"\x30\x00")
    files = {
        written(tmp_path / "text", b"hello"): 1,
        written(tmp_path / "nobody.pem", issue("nobody").pem): 1,
        written(tmp_path / "expired.pem", expired.pem, expired.key_pem): 1,
        str(tmp_path / "absent"): 2,
    }

    results = {file: install(mdmserver, state, file) for file in files}
    der = install(mdmserver, state, written(tmp_path / "c.pem", push_identity().pem), "--key", key_der)

    assert {file: result.exit_code for file, result in results.items()} == files
    assert all(result.stderr.count("\n") == 1 for result in results.values())
    assert (der.exit_code, "openssl pkey" in der.stderr) == (2, True)
    assert shown(mdmserver, state)["certificates"] == []


@pytest.fixture
def vendor(tmp_path: Path) -> list[str]:
    """Options that name a vendor's chain and key."""
    root = issue("Root CA", extensions=[CA], not_after=in_days(1000))
    party = issue("MDM Vendor", issuer=root, not_after=in_days(300))
    return [
        "--vendor-certificate", written(tmp_path / "chain.pem", party.pem, root.pem),
        "--vendor-key", written(tmp_path / "vendor.key", party.key_pem),
    ]  # fmt: skip


def test_vendor_signs_the_file_for_apples_portal(
    mdmserver: Mdmserver, anyhow: Path, tmp_path: Path, vendor: list[str]
) -> None:
    upload = tmp_path / "upload.txt"

    result = mdmserver(
        "push-certificate", "request", "--state", str(anyhow), *SUBJECT, *vendor, "--out", str(upload), "--json"
    )

    assert result.exit_code == 0, result.output
    made, signed = json.loads(result.stdout), read_push_request(upload.read_bytes())
    assert made["file"] == str(upload)
    assert made["csr"] == encode_request(signed.csr_der).decode()
    assert "Renew on it, not Create" in result.stderr
    assert "vendor" not in json.dumps(shown(mdmserver, anyhow))
    chain = plistlib.loads(base64.b64decode(upload.read_bytes()))["PushCertCertificateChain"]
    assert x509.load_pem_x509_certificate(chain.encode()).subject.rfc4514_string() == "CN=MDM Vendor"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--common-name"),
        ([*SUBJECT, "--vendor-key", "k.pem"], "go together"),
        ([*SUBJECT, "--mdmcert", "--decrypt", "x"], "which?"),
        ([*SUBJECT, "--api-key-file", "x"], "goes with --mdmcert"),
        ([*SUBJECT, "--country", "Germany"], "cannot"),
    ],
)
def test_request_that_makes_no_sense_is_refused(
    arguments: list[str], said: str, mdmserver: Mdmserver, state: Path, tmp_path: Path
) -> None:
    result = mdmserver("push-certificate", "request", "--state", str(state), *arguments, "--out", str(tmp_path / "out"))

    assert result.exit_code in (1, 2)
    assert said in result.stderr or "Germany" in result.stderr
    assert not (tmp_path / "out").exists()


def test_nothing_is_overwritten(mdmserver: Mdmserver, state: Path, tmp_path: Path) -> None:
    there = written(tmp_path / "there", b"kept")

    result = mdmserver("push-certificate", "request", "--state", str(state), *SUBJECT, "--out", there)

    assert result.exit_code == 2
    assert (tmp_path / "there").read_bytes() == b"kept"
    assert shown(mdmserver, state)["requests"] == []


def test_mailed_file_that_nobody_waits_for_is_refused(mdmserver: Mdmserver, anyhow: Path, tmp_path: Path) -> None:
    mailed = written(tmp_path / "mdm_signed_request.p7", b"3080")

    result = mdmserver(
        "push-certificate", "request", "--state", str(anyhow), "--decrypt", mailed, "--out", str(tmp_path / "up")
    )

    assert result.exit_code == 1
    assert "no request that waits for a mailed file" in result.stderr


def test_doctor_says_that_there_is_no_push_certificate(mdmserver: Mdmserver, state: Path) -> None:
    checked = mdmserver("doctor", "--state", str(state), "--json")

    [finding] = [each for each in json.loads(checked.stdout) if each["check"] == "push certificate"]
    assert finding["verdict"] == "warning"


def test_doctor_looks_at_where_pushes_go(mdmserver: Mdmserver, state: Path) -> None:
    config = (state / "config.toml").read_text()
    found = {}
    for name, apns in {"apple": "", "other": 'host = "127.0.0.1"', "absent": 'ca_file = "absent.pem"'}.items():
        (state / "config.toml").write_text(f"{config}\n[apns]\n{apns}\n")
        checked = mdmserver("doctor", "--state", str(state), "--json")
        found[name] = [each["verdict"] for each in json.loads(checked.stdout) if each["check"] == "apns"]

    assert found == {"apple": [], "other": ["warning"], "absent": ["failure"]}
