"""A CA, push certificates, a scripted APNs and gateways to it."""

import asyncio
import hashlib
import ssl
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from certs import Authority, PrivateKey, dump_private_key, generate_ec, generate_rsa
from certs.push_issuer import issue_push_certificate, issue_server_certificate
from mdmserver.connectors.apns import APNsGateway
from mdmserver.push.model import Notification, Outcome, PushIdentity
from mdmserver.secret import Secret
from tests.connectors.apns_server import ScriptedAPNs

TOPIC = "com.apple.mgmt.External.5bb0c8a4-0000-4000-8000-5a2b7c6d1e0f"
NOW = datetime(2030, 5, 1, 12, tzinfo=UTC)
T = TypeVar("T")
MakeGateway = Callable[..., APNsGateway]


@dataclass
class PushCA:
    """Stands for Apple's CA."""

    authority: Authority
    folder: Path
    serials: int = 1
    _servers: list[ssl.SSLContext] = field(default_factory=list)

    @property
    def ca_file(self) -> str:
        path = self.folder / "ca.pem"
        path.write_text(ssl.DER_cert_to_PEM_cert(self.authority.certificate_der))
        return str(path)

    def identity(self, topic: str = TOPIC) -> PushIdentity:
        """A push certificate, new each time."""
        key = generate_ec()
        der = issue_push_certificate(topic=topic, **self._issuing(key))
        return PushIdentity(
            topic=topic,
            certificate=ssl.DER_cert_to_PEM_cert(der).encode(),
            key=Secret(dump_private_key(key)),
            fingerprint=hashlib.sha256(der).hexdigest(),
        )

    def server_context(self, name: str = "localhost") -> ssl.SSLContext:
        """TLS of a server that asks for a certificate of this CA."""
        key = generate_ec()
        der = issue_server_certificate(server_names=(name,), **self._issuing(key))
        pair = self.folder / f"server-{self.serials}.pem"
        pair.write_bytes(dump_private_key(key) + ssl.DER_cert_to_PEM_cert(der).encode())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair)
        context.load_verify_locations(self.ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
        context.set_alpn_protocols(["h2"])
        return context

    def _issuing(self, key: PrivateKey) -> dict[str, Any]:
        self.serials += 1
        return {
            "authority_der": self.authority.certificate_der,
            "authority_key": self.authority.private_key,
            "public_key": key.public_key(),
            "serial_number": self.serials,
            "not_before": datetime.now(UTC) - timedelta(hours=1),
            "not_after": datetime.now(UTC) + timedelta(days=30),
        }


def new_ca(folder: Path) -> PushCA:
    """A CA with a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    authority = Authority.create(
        common_name="Push CA",
        key=generate_rsa(),
        not_before=now - timedelta(days=1),
        not_after=now + timedelta(days=60),
        serial_number=1,
    )
    return PushCA(authority, folder)


@pytest.fixture(scope="session")
def ca(tmp_path_factory: pytest.TempPathFactory) -> PushCA:
    return new_ca(tmp_path_factory.mktemp("push-ca"))


@pytest.fixture(scope="session")
def server_context(ca: PushCA) -> ssl.SSLContext:
    return ca.server_context()


@pytest.fixture(scope="session")
def identity(ca: PushCA) -> PushIdentity:
    return ca.identity()


@pytest.fixture
async def apns(server_context: ssl.SSLContext) -> AsyncIterator[ScriptedAPNs]:
    server = ScriptedAPNs(server_context)
    await server.start()
    yield server
    await server.stop()
    assert server.faults == []


@pytest.fixture
async def make_gateway(apns: ScriptedAPNs, ca: PushCA, identity: PushIdentity) -> AsyncIterator[MakeGateway]:
    """Makes gateways to `apns` that use `identity` and lose no time."""
    gateways = []

    def make(**settings: Any) -> APNsGateway:
        usual: dict[str, Any] = {"host": "localhost", "port": apns.port, "ca_file": ca.ca_file, "clock": lambda: NOW}
        gateway = APNsGateway(**usual | {"answer_seconds": 10.0, "reconnect_seconds": 0.01} | settings)
        gateway.use([identity])
        gateways.append(gateway)
        return gateway

    yield make
    for gateway in gateways:
        await gateway.close()


@pytest.fixture
def gateway(make_gateway: MakeGateway) -> APNsGateway:
    return make_gateway()


def notification(number: int = 1, **changes: Any) -> Notification:
    """A push to the device of this number."""
    values: dict[str, Any] = {
        "token": Secret(number.to_bytes(32)),
        "magic": Secret(f"magic-{number}"),
        "apns_id": str(uuid.UUID(int=number)),
        "expires_at": NOW + timedelta(days=7),
    }
    return Notification(**values | changes)


def pushes(gateway: APNsGateway, count: int, first: int = 1) -> list[asyncio.Task[Outcome]]:
    """So many pushes at once."""
    loop = asyncio.get_running_loop()
    return [loop.create_task(gateway.push(TOPIC, notification(first + number))) for number in range(count)]


async def soon(awaitable: Awaitable[T]) -> T:
    """What this gives, within a time that is long for a test."""
    return await asyncio.wait_for(awaitable, 20)
