"""What the tests of the simulator share: a CA, and an MDM server of a few lines that says what it was told."""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from random import Random
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from certs import (
    CertificateCache,
    DeviceAuthority,
    DeviceTrust,
    PrivateKey,
    create_authority,
    generate_ec,
    generate_rsa,
    verify_device_signature,
)
from mdmserver.protocol import (
    CheckinMessage,
    CommandReport,
    CommandUUID,
    EnrollmentID,
    Status,
    build_command,
    parse_checkin,
    parse_report,
)
from mdmserver.simulator.apns import APNsStandIn, open_stand_in
from mdmserver.simulator.apns_credentials import APNsFiles, write_apns_files
from mdmserver.simulator.conversation import ServerAddress
from mdmserver.simulator.device import Habits, SimulatedDevice
from mdmserver.simulator.facts import Platform, draw_facts
from mdmserver.simulator.identity import IdentityIssuer, shared_keys
from mdmserver.simulator.measures import Tally
from mdmserver.simulator.proof import MessageSignature
from mdmserver.simulator.transport import Transport

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NEVER = datetime(2046, 1, 1, tzinfo=UTC)
TOPIC = "com.apple.mgmt.External.test"
PUSH_TOPIC = "com.apple.mgmt.External.0b0f7b2e-6f5d-4a6c-9b52-1d2c3e4f5a6b"


class ScriptedServer:
    """Believes signatures of one CA, keeps a queue per enrollment, and answers `failures` before anything else.

    Of results, the next `results_to_refuse` are answered 503 and forgotten.
    A command leaves its queue with its first final report; after NotNow only commands not put off are given.
    """

    def __init__(self, certificates: CertificateCache) -> None:
        self.checkins: list[CheckinMessage] = []
        self.reports: list[CommandReport] = []
        self.requests: list[tuple[str, str, str, tuple[Any, ...]]] = []
        self.signers: list[bytes] = []
        self.failures: deque[int] = deque()
        self.results_to_refuse = 0
        self.url = ""
        self._certificates = certificates
        self._queues: dict[EnrollmentID, dict[CommandUUID, bytes]] = defaultdict(dict)
        self._put_off: set[CommandUUID] = set()
        self._numbers = count(1)
        self._changed = asyncio.Condition()

    def enqueue(self, enrollment_id: EnrollmentID, **command: Any) -> CommandUUID:
        """Queue a command; its UUID."""
        uuid = CommandUUID(f"C{next(self._numbers)}")
        self._queues[enrollment_id][uuid] = build_command(uuid, command).body
        return uuid

    def enqueue_bytes(self, enrollment_id: EnrollmentID, body: bytes) -> None:
        """Queue a command that no server should send."""
        self._queues[enrollment_id][CommandUUID(f"C{next(self._numbers)}")] = body

    def waiting(self, enrollment_id: EnrollmentID) -> list[CommandUUID]:
        """The commands not finished."""
        return list(self._queues[enrollment_id])

    def statuses(self) -> list[tuple[CommandUUID | None, Status]]:
        """What devices reported, in order."""
        return [(report.command_uuid, report.status) for report in self.reports]

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for requests until it is so."""
        async with self._changed, asyncio.timeout(60):
            await self._changed.wait_for(is_so)

    async def handle(self, request: web.Request) -> web.Response:
        """The answer to a device."""
        async with self._changed:
            answer = await self._answer(request)
            self._changed.notify_all()
        return answer

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        assert request.transport is not None
        peer = request.transport.get_extra_info("peername")
        agent = request.headers.get("User-Agent", "")
        self.requests.append((request.path, request.headers.get("Content-Type", ""), agent, peer))
        signer = verify_device_signature(request.headers["Mdm-Signature"], body, self._certificates)
        self.signers.append(signer.fingerprint)
        is_checkin = "checkin" in request.headers["Content-Type"]
        if self.failures:
            return web.Response(status=self.failures.popleft())
        if is_checkin:
            self.checkins.append(parse_checkin(body))
            return web.Response()
        report = parse_report(body)
        if self.results_to_refuse and report.command_uuid is not None:
            self.results_to_refuse -= 1
            return web.Response(status=503)
        return web.Response(body=self._next(report), content_type="application/xml")

    def _next(self, report: CommandReport) -> bytes:
        self.reports.append(report)
        queue = self._queues[report.enrollment_id]
        if report.command_uuid is not None:
            if report.status is Status.NOT_NOW:
                self._put_off.add(report.command_uuid)
            else:
                queue.pop(report.command_uuid, None)
        offered = [
            body for uuid, body in queue.items() if report.status is not Status.NOT_NOW or uuid not in self._put_off
        ]
        return offered[0] if offered else b""


@pytest.fixture(scope="session")
def authority() -> tuple[bytes, PrivateKey]:
    key = generate_ec()
    der = create_authority(common_name="test CA", key=key, not_before=NOW, not_after=NEVER, serial_number=1)
    return der, key


@pytest.fixture(scope="session")
def rsa_key() -> PrivateKey:
    return generate_rsa()


@pytest.fixture
def certificates(authority: tuple[bytes, PrivateKey]) -> CertificateCache:
    return CertificateCache(DeviceTrust([DeviceAuthority(name="test", roots=(authority[0],))]))


@pytest.fixture
def issuer(authority: tuple[bytes, PrivateKey], rsa_key: PrivateKey) -> IdentityIssuer:
    numbers: Iterator[int] = count(100)
    return IdentityIssuer(
        authority_der=authority[0],
        authority_key=authority[1],
        keys=shared_keys(lambda: rsa_key, 1),
        clock=lambda: NOW,
        new_serial_number=lambda: next(numbers),
    )


@pytest.fixture
async def server(certificates: CertificateCache) -> AsyncIterator[ScriptedServer]:
    scripted = ScriptedServer(certificates)
    application = web.Application()
    application.router.add_put("/{path}", scripted.handle)
    async with TestServer(application) as listening:
        scripted.url = str(listening.make_url("/mdm"))
        yield scripted


@pytest.fixture
async def transport(server: ScriptedServer) -> AsyncIterator[Transport]:
    async with Transport(ServerAddress(command_url=server.url), proofs=(MessageSignature(),)) as opened:
        yield opened


@pytest.fixture
def tally() -> Tally:
    return Tally()


@pytest.fixture(scope="session")
def apns_files(tmp_path_factory: pytest.TempPathFactory) -> APNsFiles:
    folder = tmp_path_factory.mktemp("apns")
    return write_apns_files(folder, topic=PUSH_TOPIC, now=datetime.now(UTC), new_uuid=lambda: "unused")


@pytest.fixture
async def apns(apns_files: APNsFiles) -> AsyncIterator[APNsStandIn]:
    """A stand-in for APNs that behaves."""
    async with open_stand_in(apns_files) as stand_in:
        yield stand_in


MakeDevice = Callable[..., SimulatedDevice]


@pytest.fixture
def make_device(issuer: IdentityIssuer, tally: Tally) -> MakeDevice:
    """Makes a device: `make_device(platform="iPad", seed=2, lost_replies=0.5)`.

    With an `anonymous_id` its person enrolls it as their own.
    """

    def make(
        platform: str = "iPhone", *, seed: int = 1, anonymous_id: str | None = None, **habits: Any
    ) -> SimulatedDevice:
        facts = replace(draw_facts(Platform(platform), Random(seed)), anonymous_id=anonymous_id)
        return SimulatedDevice(
            facts=facts,
            identity=issuer.issue(facts.udid),
            topic=TOPIC,
            random=Random(seed),
            observer=tally,
            habits=Habits(**habits),
        )

    return make


@pytest.fixture
def enrolled(make_device: MakeDevice, transport: Transport) -> Callable[..., Awaitable[SimulatedDevice]]:
    """Makes a device and enrolls it with the scripted server."""

    async def make(platform: str = "iPhone", **options: Any) -> SimulatedDevice:
        device = make_device(platform, **options)
        await device.enroll(transport)
        return device

    return make
