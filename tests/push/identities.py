"""Push certificates for tests of what stands on them: made here, for any topic, until any time."""

from datetime import datetime, timedelta

from mdmserver.push.model import StoredPushCertificate
from mdmserver.web.services import Services
from tests.certs.push_parties import Party, intermediate, issue
from tests.fleet import ADMIN, START, TOPIC, Fleet
from tests.push.fake_gateway import BAD_DEVICE_TOKEN, FakeGateway

UNTIL = START + timedelta(days=300)


def identity(topic: str = TOPIC, *, until: datetime = UNTIL, name: str = "APSP:test") -> Party:
    """A certificate for a topic and its key; the same `name` is the same key."""
    return issue(name, topic=topic, issuer=intermediate(), not_after=until)


def pem_of(party: Party) -> str:
    """Certificate and key in one text."""
    return (party.pem + party.key_pem).decode()


async def install(services: Services, topic: str = TOPIC, *, until: datetime = UNTIL) -> StoredPushCertificate:
    """Put one in force, whatever is there."""
    encoded = pem_of(identity(topic, until=until)).encode()
    return await services.push_certificates.install(encoded, passphrase=None, key=None, force=True, actor=ADMIN)


async def halt(fleet: Fleet, gateway: FakeGateway) -> None:
    """Have APNs refuse so many devices alike that pushing on TOPIC is halted."""
    ids = [str(await fleet.enroll(number)) for number in range(901, 916)]
    gateway.answer(BAD_DEVICE_TOKEN)
    await fleet.services.push.send(ids, actor=ADMIN)
    await fleet.services.push_certificates.load()
    gateway.forget_answers()
