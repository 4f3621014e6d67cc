"""Debian's scepclient, openssl and curl against the running server: what they believe of it, nobody here wrote."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from certs import load_device_certificate, load_pem_certificates, load_private_key
from certs.pem import encode_certificate
from mdmserver.config import CA
from mdmserver.protocol import loads
from tests.fleet import ADMIN
from tests.web.api_server import RunningServer
from tests.web.issuing import (
    PATIENCE_SECONDS,
    UDID,
    Applicant,
    challenge_of,
    enroll,
    invite,
    issuing_server,
    program,
    rsa_key,
    run,
)


@pytest.fixture
async def issuing(tmp_path: Path) -> AsyncIterator[RunningServer]:
    async with issuing_server(tmp_path / "state") as server:
        yield server


async def scepclient(folder: Path, server: RunningServer, challenge: str) -> subprocess.CompletedProcess[bytes]:
    files = ("-private-key", "key.pem", "-certificate", "client.pem")
    return await asyncio.to_thread(
        subprocess.run,
        [program("scepclient"), "-server-url", f"{server.url}/scep", "-challenge", challenge, *files],
        cwd=folder,
        capture_output=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def certificate_in(folder: Path) -> bytes:
    return load_pem_certificates((folder / "client.pem").read_bytes())[0]


def key_in(folder: Path) -> RSAPrivateKey:
    # It writes the old form, which openssl turns into one that we read.
    key = load_private_key(run("openssl", "pkcs8", "-topk8", "-nocrypt", "-in", folder / "key.pem"))
    assert isinstance(key, RSAPrivateKey)
    return key


async def test_scepclient_enrolls_with_a_challenge(issuing: RunningServer, tmp_path: Path) -> None:
    done = await scepclient(tmp_path, issuing, await challenge_of(issuing, user="Ada"))

    assert done.returncode == 0, done.stderr
    issued = load_device_certificate(certificate_in(tmp_path))
    assert issued.issuer == "CN=Example CA"
    assert "CN=MDM identity" in issued.subject
    await enroll(issuing, issued.der, key_in(tmp_path))
    device = (await issuing.get(f"/api/v1/enrollments/{UDID}")).json
    assert (device["state"], device["user_name"], device["is_to_unenroll"]) == ("enrolled", "Ada", False)


async def test_scepclient_renews_the_certificate_of_an_enrolled_device(issuing: RunningServer, tmp_path: Path) -> None:
    await scepclient(tmp_path, issuing, await challenge_of(issuing))
    first = certificate_in(tmp_path)
    await enroll(issuing, first, key_in(tmp_path))

    # It signs its renewal with the certificate that it finds, and takes no other notice of the challenge.
    renewed = await scepclient(tmp_path, issuing, "not looked at")

    assert renewed.returncode == 0, renewed.stderr
    second = certificate_in(tmp_path)
    assert second != first
    assert load_device_certificate(second).subject == load_device_certificate(first).subject


async def test_scepclient_is_refused_with_a_used_challenge(issuing: RunningServer, tmp_path: Path) -> None:
    challenge = await challenge_of(issuing)
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    await scepclient(tmp_path / "first", issuing, challenge)

    done = await scepclient(tmp_path / "second", issuing, challenge)

    assert b"badRequest" in done.stdout + done.stderr
    assert (tmp_path / "first" / "client.pem").exists()
    assert not (tmp_path / "second" / "client.pem").exists()


async def test_scepclient_that_lost_the_answer_gets_the_same_certificate(
    issuing: RunningServer, tmp_path: Path
) -> None:
    challenge = await challenge_of(issuing)
    await scepclient(tmp_path, issuing, challenge)
    first = certificate_in(tmp_path)
    (tmp_path / "client.pem").unlink()

    again = await scepclient(tmp_path, issuing, challenge)

    assert again.returncode == 0, again.stderr
    assert certificate_in(tmp_path) == first


async def test_scepclient_is_refused_where_single_des_is_not_allowed(tmp_path: Path) -> None:
    async with issuing_server(tmp_path / "state", ca=CA(allow_des=False)) as server:
        done = await scepclient(tmp_path, server, await challenge_of(server))

    assert b"badMessageCheck" in done.stdout + done.stderr
    assert not (tmp_path / "client.pem").exists()


async def test_curl_fetches_the_page_and_a_profile_that_openssl_verifies(
    issuing: RunningServer, tmp_path: Path
) -> None:
    url = (await invite(issuing))["url"]
    ca = tmp_path / "ca.pem"

    page = await asyncio.to_thread(run, "curl", "-sSf", url)
    await asyncio.to_thread(run, "curl", "-sSfOJ", f"{url}/profile", folder=tmp_path)
    certificate = await asyncio.to_thread(run, "curl", "-sSf", f"{issuing.url}/ca/certificate")

    assert b"Download the profile" in page
    ca.write_bytes(encode_certificate(certificate))
    content = run(
        *("openssl", "cms", "-verify", "-binary", "-inform", "DER", "-purpose", "any", "-CAfile", ca),
        *("-in", tmp_path / "enrollment.mobileconfig"),
    )
    payloads = {payload["PayloadType"] for payload in loads(content)["PayloadContent"]}
    assert payloads == {"com.apple.security.scep", "com.apple.mdm"}


async def test_openssl_believes_certificates_until_the_crl_names_them(issuing: RunningServer, tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name}.pem" for name in ("ca", "crl", "device")}
    applicant = Applicant(server=issuing, key=rsa_key("device"))
    (certificate,) = (await applicant.apply(await challenge_of(issuing))).certificates
    await enroll(issuing, certificate, applicant.key)
    files["ca"].write_bytes(encode_certificate((await issuing.call("GET", "/ca/certificate")).body))
    files["device"].write_bytes(encode_certificate(certificate))

    async def crl_check() -> subprocess.CompletedProcess[bytes]:
        crl = await issuing.call("GET", "/ca/crl")
        files["crl"].write_bytes(run("openssl", "crl", "-inform", "DER", "-outform", "PEM", stdin=crl.body))
        verify = [program("openssl"), "verify", "-CAfile", files["ca"], "-CRLfile", files["crl"], "-crl_check"]
        return await asyncio.to_thread(subprocess.run, [*verify, files["device"]], capture_output=True, check=False)

    before = await crl_check()
    await issuing.services.leaving.retire(await issuing.services.devices.resolve(UDID), actor=ADMIN)
    # The CRL is published anew after five minutes; openssl looks at the real time, which it allows to be behind.
    issuing.clock.advance(minutes=-10)
    after = await crl_check()

    assert before.returncode == 0, before.stderr
    assert after.returncode != 0
    assert b"certificate revoked" in after.stderr
