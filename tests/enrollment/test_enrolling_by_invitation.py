"""From an invitation to an enrolled device, through profile and SCEP, and on to a renewed certificate."""

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from certs import PKIStatus, generate_rsa
from mdmserver.audit.model import Actor, ActorKind
from mdmserver.devices.model import EnrollmentState
from mdmserver.issuance.invitations import NewInvitation
from mdmserver.protocol import dumps, parse_checkin
from mdmserver.web.services import Services
from tests.enrollment.device import Applicant, opened, presented
from tests.fleet import FakeClock

ME = Actor(kind=ActorKind.CLI, name="test")
UDID = "00008030-000A1B2C3D4E5F60"


@pytest.fixture(scope="module")
def key() -> RSAPrivateKey:
    return generate_rsa()


@pytest.fixture
async def issuing(services: Services) -> Services:
    await services.own_authorities.create(common_name="Test CA", actor=ME)
    return services


async def test_device_enrolls_with_the_certificate_of_its_invitation(
    issuing: Services, key: RSAPrivateKey, clock: FakeClock
) -> None:
    _, token = await issuing.invitations.create(
        NewInvitation(user_name="Ada", expires_at=clock() + timedelta(days=1)), actor=ME
    )
    enrollment = opened(await issuing.enrollment.profile(token.reveal()))
    assert enrollment.scep.challenge is not None

    reply = await Applicant(services=issuing, key=key).apply(enrollment.scep.challenge, at=clock())
    assert reply.status is PKIStatus.SUCCESS
    identity = presented(issuing, reply.certificates[0], at=clock())
    authenticate = dumps(
        {"MessageType": "Authenticate", "UDID": UDID, "Topic": "com.apple.mgmt.x", "SerialNumber": "S1"}
    )
    token_update = dumps(
        {"MessageType": "TokenUpdate", "UDID": UDID, "Topic": "com.apple.mgmt.x", "Token": b"t" * 32, "PushMagic": "m"}
    )
    await issuing.checkin.answer(parse_checkin(authenticate), identity)
    await issuing.checkin.answer(parse_checkin(token_update), identity)

    device = await issuing.devices.show(UDID)
    assert (device.state, device.user_name) == (EnrollmentState.ENROLLED, "Ada")
