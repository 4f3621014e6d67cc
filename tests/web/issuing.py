"""A running server with a CA of its own, and applicants that come to it over HTTP alone, as devices do."""

import hashlib
import secrets
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from certs import (
    MessageType,
    SCEPReply,
    build_request,
    create_csr,
    create_signer_certificate,
    generate_rsa,
    parse_reply,
    sign_device_message,
)
from mdmserver.access.model import Scope
from mdmserver.bootstrap import open_services
from mdmserver.config import CA, Config, Enrollment, Listen, Server
from mdmserver.protocol import dumps, loads
from mdmserver.storage.vault_keys import add_wrapping_key
from mdmserver.web.app import build_application
from mdmserver.web.listener import ListenerKind
from mdmserver.web.server import serve
from profiles import Enrollment as EnrollmentPayloads
from profiles import enrollment_of, read_signed_profile
from tests.fleet import ADMIN, TOPIC, FakeClock
from tests.web.api_server import Answer, RunningServer

UDID = "00008030-000A1B2C3D4E5F60"
PATIENCE_SECONDS = 30
_PACKAGES = {"scepclient": "scep", "openssl": "openssl", "curl": "curl"}


@cache
def rsa_key(name: str) -> RSAPrivateKey:
    """A key of this name, made once: making one takes longer than most tests."""
    return generate_rsa()


def program(name: str) -> str:
    """Where the peer is; without it a test would prove nothing, so its absence fails the test."""
    return shutil.which(name) or pytest.fail(f"{name} is missing: install the Debian package {_PACKAGES[name]}")


def run(name: str, *arguments: object, stdin: bytes = b"", folder: Path | None = None) -> bytes:
    """What the program prints; fails unless it ends well."""
    done = subprocess.run(
        [program(name), *map(str, arguments)],
        input=stdin,
        cwd=folder,
        capture_output=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@asynccontextmanager
async def issuing_server(state: Path, *, with_ca: bool = True, **sections: Any) -> AsyncIterator[RunningServer]:
    """The server, its URL being also its public name. `sections` of the configuration are laid over the usual ones."""
    add_wrapping_key(state / "keys")
    port = free_port()
    usual: Mapping[str, Any] = {
        "server": Server(url=f"http://127.0.0.1:{port}"),
        "listen": Listen(http=f"127.0.0.1:{port}", operations="127.0.0.1:0"),
        "enrollment": Enrollment(organization="Example & Sons", topic=TOPIC),
        "ca": CA(allow_des=True),
    }
    config, clock = Config(**{**usual, **sections}), FakeClock()
    # Programs that are peers look at the real time.
    clock.now = datetime.now(UTC).replace(microsecond=0)
    async with open_services(config, state, clock=clock) as services:
        if with_ca:
            await services.own_authorities.create(common_name="Example CA", actor=ADMIN)
        _, key = await services.access.create_key(name="admin", scopes=tuple(Scope), expires_at=None, actor=ADMIN)
        async with (
            serve(config, services, build_application=build_application) as listening,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        ):
            host, operations_port = listening.addresses[ListenerKind.OPERATIONS]
            yield RunningServer(
                url=config.server.url,
                operations_url=f"http://{host}:{operations_port}",
                services=services,
                clock=clock,
                state=state,
                session=session,
                admin_key=key.reveal(),
            )


async def invite(server: RunningServer, **wanted: object) -> Any:
    """The answer to a new invitation."""
    answer = await server.post("/api/v1/invitations", wanted)
    assert answer.status == 201, answer.body
    return answer.json


def path_of(url: str, server: RunningServer) -> str:
    """The path of a URL that the server gave."""
    assert url.startswith(server.url + "/"), url
    return url.removeprefix(server.url)


async def download(server: RunningServer, invitation: Any) -> EnrollmentPayloads:
    """What a device reads from the profile of an invitation."""
    answer = await server.call("GET", path_of(invitation["url"], server) + "/profile")
    assert answer.status == 200, answer.body
    return enrollment_of(loads(read_signed_profile(answer.body)[0]))


async def challenge_of(server: RunningServer, **wanted: object) -> str:
    """A challenge of a new invitation."""
    return str((await invite(server, challenge=True, **wanted))["challenge"]["challenge"])


@dataclass(slots=True, kw_only=True)
class Applicant:
    """Asks for certificates over SCEP with one key, by default under a transaction id made from it."""

    server: RunningServer
    key: RSAPrivateKey
    transaction_id: str = field(default_factory=lambda: hashlib.sha256(secrets.token_bytes(8)).hexdigest())
    signer_der: bytes | None = None
    nonce: bytes = field(default_factory=lambda: secrets.token_bytes(16))

    def request(
        self,
        challenge: str | None,
        *,
        kind: MessageType | None = None,
        content: bytes | None = None,
        **options: Any,
    ) -> bytes:
        """A PKCSReq, with `signer_der` a RenewalReq signed by that certificate, or another kind."""
        at = self.server.clock()
        if content is None:
            content = create_csr(self.key, common_name="anything", challenge_password=challenge, version=2)
        return build_request(
            kind or (MessageType.RENEWAL_REQ if self.signer_der else MessageType.PKCS_REQ),
            content,
            **{
                "signer_der": self._signer(at),
                "signer_key": self.key,
                "authority_der": self._authority(),
                "transaction_id": self.transaction_id,
                "sender_nonce": self.nonce,
                **options,
            },
        )

    async def send(self, message: bytes) -> Answer:
        """POST a message."""
        return await self.server.call("POST", "/scep?operation=PKIOperation", data=message)

    def read(self, answer: Answer) -> SCEPReply:
        """The CertRep in an answer."""
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/x-pki-message"), answer.body
        return parse_reply(
            answer.body,
            signer_der=self._signer(self.server.clock()),
            signer_key=self.key,
            transaction_id=self.transaction_id,
            sender_nonce=self.nonce,
            authorities=[own.authority.certificate_der for own in self.server.services.own_authorities.all],
        )

    async def apply(self, challenge: str | None, **options: Any) -> SCEPReply:
        """Ask, and read the reply."""
        return self.read(await self.send(self.request(challenge, **options)))

    def _authority(self) -> bytes:
        return self.server.services.own_authorities.issuing.authority.certificate_der

    def _signer(self, at: datetime) -> bytes:
        return self.signer_der or create_signer_certificate(
            self.key, not_before=at - timedelta(hours=1), not_after=at + timedelta(days=1)
        )


async def check_in(server: RunningServer, message: Mapping[str, Any], certificate: bytes, key: RSAPrivateKey) -> Answer:
    """A check-in message of the device UDID, signed with this certificate."""
    body = dumps({"UDID": UDID, "Topic": TOPIC, **message})
    signature = sign_device_message(body, certificate, key)
    headers = {"Mdm-Signature": signature, "Content-Type": "application/x-apple-aspen-mdm-checkin"}
    return await server.call("PUT", "/mdm", data=body, headers=headers)


async def enroll(server: RunningServer, certificate: bytes, key: RSAPrivateKey) -> None:
    """Bring the device UDID in with this certificate."""
    messages: list[dict[str, Any]] = [
        {"MessageType": "Authenticate", "SerialNumber": "C02SERIAL"},
        {"MessageType": "TokenUpdate", "Token": b"t" * 32, "PushMagic": "magic"},
    ]
    for message in messages:
        answer = await check_in(server, message, certificate, key)
        assert answer.status == 200, (message["MessageType"], answer.body)
