"""`openssl cms` signs for a device, and the real server believes it: our verifier meets a signer that is not ours."""

import shutil
import subprocess
from base64 import b64encode
from pathlib import Path

import pytest

from certs import dump_private_key, generate_ec, generate_rsa
from certs.pem import encode_certificate
from mdmserver.protocol import EnrollmentID, EnrollmentType
from mdmserver.simulator.identity import Identity, MakeKey
from tests.journeys.devices import Device, Signer
from tests.journeys.fixtures import World

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl on this machine")

KEYS: dict[str, MakeKey] = {"RSA": generate_rsa, "ECDSA": generate_ec}
FORMS = {
    "with signed attributes": [],
    "without signed attributes": ["-noattr"],
    "naming its certificate by key": ["-keyid"],
    "with the least of attributes": ["-nosmimecap"],
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("digest", ["sha1", "sha256"])
@pytest.mark.parametrize("key", KEYS)
async def test_a_device_whose_messages_openssl_signs_enrolls_and_reports(
    world: World, tmp_path: Path, key: str, digest: str, form: str
) -> None:
    sign = openssl_signer(tmp_path, world.server.devices.identity(key=KEYS[key]()), ["-md", digest, *FORMS[form]])
    device = Device(world.session, world.server.url, EnrollmentID(EnrollmentType.DEVICE, "A" * 40), sign)

    await device.enroll()
    uuid = await world.api.enqueue(device.reference)

    assert (await device.idle()).command_uuid == uuid
    assert (await device.acknowledge(uuid)).body == b""
    assert await world.api.state_of(uuid, device.reference) == "acknowledged"


async def test_a_signature_that_openssl_made_over_another_body_is_refused(world: World, tmp_path: Path) -> None:
    sign = openssl_signer(tmp_path, world.server.devices.identity(), ["-md", "sha256"])
    device = Device(world.session, world.server.url, EnrollmentID(EnrollmentType.DEVICE, "A" * 40), sign)
    await device.enroll()
    device.sign = lambda body: sign(body + b" ")

    reply = await device.idle()

    assert (reply.status, reply.body) == (400, b"")


async def test_a_signature_that_carries_its_own_content_is_refused(world: World, tmp_path: Path) -> None:
    sign = openssl_signer(tmp_path, world.server.devices.identity(), ["-md", "sha256", "-nodetach"])
    device = Device(world.session, world.server.url, EnrollmentID(EnrollmentType.DEVICE, "A" * 40), sign)

    assert (await device.authenticate()).status == 400


def openssl_signer(folder: Path, identity: Identity, options: list[str]) -> Signer:
    """Runs `openssl cms -sign` for each body."""
    certificate, key, content = folder / "device.pem", folder / "device.key", folder / "body"
    certificate.write_bytes(encode_certificate(identity.certificate_der))
    key.write_bytes(dump_private_key(identity.key))

    def sign(body: bytes) -> str:
        content.write_bytes(body)
        command = ["openssl", "cms", "-sign", "-binary", "-outform", "DER", "-signer", str(certificate)]
        signed = subprocess.run(
            [*command, "-inkey", str(key), "-in", str(content), *options], check=True, capture_output=True
        )
        return b64encode(signed.stdout).decode()

    return sign
