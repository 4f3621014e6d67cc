"""The simulator's SCEP client against a server that others wrote: `scepserver` of Debian's package scep."""

import asyncio
import hashlib
import shutil
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from certs import PrivateKey, load_device_certificate, load_pem_certificates
from mdmserver.clock import utc_now
from mdmserver.simulator.errors import CertificateDenied
from mdmserver.simulator.scep import SCEPClient
from mdmserver.simulator.transport import Transport
from profiles import SCEPPayload

CHALLENGE = "a challenge of the test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A running server: what a profile would say about it, and its CA certificate."""

    payload: SCEPPayload
    authority: bytes


def scepserver() -> str:
    """The program."""
    program = shutil.which("scepserver")
    assert program is not None, "scepserver is missing; it is in Debian's package scep: apt-get install scep"
    return program


@asynccontextmanager
async def running_peer(folder: Path) -> AsyncIterator[Peer]:
    """A server with a new CA; it ends with the block."""
    depot = folder / "depot"
    made = await asyncio.create_subprocess_exec(
        *(scepserver(), "ca", "-init", "-depot", depot, "-keySize", "2048"), stdout=asyncio.subprocess.DEVNULL
    )
    assert await made.wait() == 0
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = await asyncio.create_subprocess_exec(
        *(scepserver(), "-depot", depot, "-port", str(port), "-challenge", CHALLENGE, "-allowrenew", "0"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await until_listening(port, server)
        authority = load_pem_certificates((depot / "ca.pem").read_bytes())[0]
        yield Peer(payload=payload_of(port, authority), authority=authority)
    finally:
        server.terminate()
        await server.wait()


async def until_listening(port: int, server: asyncio.subprocess.Process) -> None:
    """Returns as soon as the server answers."""
    async with asyncio.timeout(20):
        while True:
            assert server.returncode is None, "scepserver ended"
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return


def payload_of(port: int, authority: bytes) -> SCEPPayload:
    return SCEPPayload(
        identifier="org.example.enrollment.identity",
        uuid="0C2A1B5E-0000-4000-8000-000000000001",
        url=f"http://127.0.0.1:{port}/scep",
        challenge=CHALLENGE,
        subject=((("CN", "a device"),),),
        ca_fingerprint=hashlib.sha256(authority).digest(),
    )


@pytest.fixture
async def peer(tmp_path: Path) -> AsyncIterator[Peer]:
    async with running_peer(tmp_path) as running:
        yield running


async def obtained(payload: SCEPPayload, key: PrivateKey, lost: Callable[[], None] | None = None) -> bytes:
    """The certificate by this payload; the first reply gets lost if someone wants to hear of it."""
    assert isinstance(key, RSAPrivateKey)
    client = SCEPClient(clock=utc_now, pause=no_pause, lost=lost or (lambda: None))
    async with Transport(None, proofs=()) as transport, transport.browse() as browser:
        return await client.obtain(browser, payload, key, random=Random(4), loses_reply=lost is not None)


async def no_pause(seconds: float) -> None:
    """Waits for nothing."""


async def test_the_peer_issues_a_certificate_for_the_devices_key(peer: Peer, rsa_key: PrivateKey) -> None:
    certificate = load_device_certificate(await obtained(peer.payload, rsa_key))

    assert certificate.public_key == rsa_key.public_key()
    assert certificate.issuer_der == load_device_certificate(peer.authority).issuer_der
    assert "a device" in certificate.subject


async def test_a_sha_1_fingerprint_of_the_ca_is_good_too(peer: Peer, rsa_key: PrivateKey) -> None:
    fingerprint = hashlib.sha1(peer.authority, usedforsecurity=False).digest()

    assert await obtained(replace(peer.payload, ca_fingerprint=fingerprint), rsa_key)


async def test_a_ca_with_another_fingerprint_is_not_asked(peer: Peer, rsa_key: PrivateKey) -> None:
    with pytest.raises(CertificateDenied, match="fingerprint differs"):
        await obtained(replace(peer.payload, ca_fingerprint=bytes(32)), rsa_key)


async def test_a_wrong_challenge_is_refused_with_the_reason(peer: Peer, rsa_key: PrivateKey) -> None:
    with pytest.raises(CertificateDenied, match="the CA refused the certificate"):
        await obtained(replace(peer.payload, challenge="another"), rsa_key)


async def test_after_a_lost_reply_the_same_request_is_granted_again(peer: Peer, rsa_key: PrivateKey) -> None:
    lost: list[None] = []

    certificate = load_device_certificate(await obtained(peer.payload, rsa_key, lambda: lost.append(None)))

    assert certificate.public_key == rsa_key.public_key()
    assert len(lost) == 1
