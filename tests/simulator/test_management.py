"""What a device lets its enrollment profile decide: where it goes, how it proves itself, and which updates it takes."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from mdmserver.protocol import CheckOut, Status
from mdmserver.simulator.building import DeviceBuilder
from mdmserver.simulator.conversation import Endpoint
from mdmserver.simulator.device import Habits, SimulatedDevice
from mdmserver.simulator.facts import Platform, draw_facts
from mdmserver.simulator.fleet_file import load_fleet, save_fleet
from mdmserver.simulator.identity import IdentityIssuer
from mdmserver.simulator.management import Management, downloaded_management
from mdmserver.simulator.measures import Tally
from mdmserver.simulator.transport import Transport
from profiles import AccessRights, identifiers_of
from tests.simulator.conftest import ScriptedServer
from tests.simulator.inviting import CHALLENGE, InvitingServer
from tests.simulator.test_transport import Recorder, _server_certificate

ELSEWHERE = InvitingServer(url="http://127.0.0.1:1")


def management(url: str, **changes: Any) -> Management:
    """What a device takes from a profile with this server URL."""
    return downloaded_management(ELSEWHERE.signed_profile(server_url=url, **changes))


@pytest.fixture
def managed(server: ScriptedServer, issuer: IdentityIssuer, tally: Tally) -> SimulatedDevice:
    """An enrolled device that the scripted server manages by a profile."""
    facts = draw_facts(Platform.IPHONE, Random(1))
    device = SimulatedDevice(facts=facts, topic="", random=Random(1), observer=tally)
    device.take_over(issuer.issue(facts.udid), management(server.url))
    device.is_enrolled = True
    return device


async def answered(server: ScriptedServer, device: SimulatedDevice, transport: Transport, **changes: Any) -> Any:
    """What the device reports about a new enrollment profile with these settings changed."""
    profile = ELSEWHERE.signed_profile(**{"server_url": server.url, **changes})
    server.enqueue(device.channel.enrollment_id, RequestType="InstallProfile", Payload=profile)
    await device.connect(transport)
    return server.reports[-1]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"topic": "com.apple.mgmt.External.other"}, "must not change Topic"),
        ({"check_in_url": "http://127.0.0.1:1/checkin"}, "must not change CheckInURL"),
        ({"server_capabilities": ()}, "must not change ServerCapabilities"),
        ({"identifiers": identifiers_of("other.example.org")}, "managed by another profile"),
    ],
)
async def test_an_update_that_changes_who_manages_the_device_is_an_error(
    changes: dict[str, Any], said: str, server: ScriptedServer, managed: SimulatedDevice, transport: Transport
) -> None:
    before = managed.identity

    report = await answered(server, managed, transport, **changes)

    assert report.status is Status.ERROR
    assert said in report.error_chain[1].localized_description
    assert managed.identity is before


async def test_rights_may_be_taken_away_but_not_added(
    server: ScriptedServer, managed: SimulatedDevice, transport: Transport, issuer: IdentityIssuer
) -> None:
    few = AccessRights.INSPECT_PROFILES | AccessRights.INSTALL_PROFILES
    managed.take_over(issuer.issue("d"), management(server.url, access_rights=few))

    report = await answered(server, managed, transport)

    assert "must not change AccessRights" in report.error_chain[1].localized_description


async def test_a_device_that_no_profile_manages_refuses_one(
    server: ScriptedServer, enrolled: Any, transport: Transport
) -> None:
    report = await answered(server, await enrolled(), transport)

    assert report.status is Status.ERROR
    assert "did not come from a profile" in report.error_chain[1].localized_description


async def test_an_update_whose_ca_cannot_be_reached_is_an_error(
    server: ScriptedServer, managed: SimulatedDevice, transport: Transport
) -> None:
    report = await answered(server, managed, transport)

    assert report.status is Status.ERROR
    assert [item.domain for item in report.error_chain] == ["MCInstallationErrorDomain", "MCSCEPErrorDomain"]


@pytest.mark.parametrize("says_goodbye", [True, False])
async def test_a_device_without_its_profile_is_gone_and_says_so_where_it_is_asked_to(
    says_goodbye: bool, server: ScriptedServer, managed: SimulatedDevice, transport: Transport, issuer: IdentityIssuer
) -> None:
    brought = management(server.url, check_out_when_removed=says_goodbye)
    managed.take_over(issuer.issue("d"), brought)
    identifier = brought.enrollment.profile_identifier
    server.enqueue(managed.channel.enrollment_id, RequestType="RemoveProfile", Identifier=identifier)

    await managed.connect(transport)

    assert not managed.is_enrolled
    assert [type(message) for message in server.checkins] == ([CheckOut] if says_goodbye else [])


async def test_the_fleet_file_keeps_who_manages_a_device_without_any_challenge(
    server: ScriptedServer, managed: SimulatedDevice, tally: Tally, transport: Transport, tmp_path: Path
) -> None:
    bare = SimulatedDevice(facts=draw_facts(Platform.MAC, Random(2)), topic="", random=Random(2), observer=tally)
    managed.owes_check_in = True

    save_fleet(tmp_path / "fleet.json", [managed, bare])
    loaded = load_fleet(tmp_path / "fleet.json", DeviceBuilder(seed=1, tally=tally, habits=Habits()).build)
    await loaded[0].connect(transport)

    assert loaded[1].identity is None
    assert loaded[0].management is not None
    assert loaded[0].management.server.command_url == server.url
    assert len(server.checkins) == 2  # Authenticate and TokenUpdate, which were owed
    assert not loaded[0].owes_check_in
    assert CHALLENGE not in (tmp_path / "fleet.json").read_text()


@pytest.fixture
async def tls_url(tmp_path: Path, recorder: Recorder, authority: Any) -> AsyncIterator[tuple[str, bytes]]:
    """A server that asks for client certificates but does not insist; its URL, and the certificate to trust."""
    pem = _server_certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=authority[0])
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_cert_chain(pem)
    application = web.Application()
    application.router.add_put("/{path}", recorder.handle)
    server = TestServer(application, scheme="https")
    await server.start_server(ssl=context)
    yield str(server.make_url("/mdm")), ssl.PEM_cert_to_DER_cert(pem.read_text().partition("-----BEGIN PRIVATE")[0])
    await server.close()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.mark.parametrize("signs", [True, False])
async def test_sign_message_decides_how_the_device_proves_itself_and_the_profile_whom_it_trusts(
    signs: bool, tls_url: tuple[str, bytes], recorder: Recorder, issuer: IdentityIssuer
) -> None:
    url, certificate = tls_url
    identity = issuer.issue("d")
    brought = management(url, sign_message=signs, trusted_certificates=(certificate,))

    async with Transport(None, proofs=()) as transport, transport.open(identity, brought) as conversation:
        await conversation.send(Endpoint.COMMAND, b"body")

    request, _, peer = recorder.requests[0]
    assert ("Mdm-Signature" in request.headers) is signs
    assert peer == (None if signs else identity.certificate_der)


def test_management_tells_nothing_of_the_challenge() -> None:
    assert CHALLENGE not in repr(management("http://127.0.0.1:1/mdm"))
