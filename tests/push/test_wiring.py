"""The whole server below the web: a command wakes, one with `wake` False waits."""

from datetime import timedelta

from mdmserver.commands.request import CommandRequest
from mdmserver.web.services import Services
from tests.fleet import ADMIN, TOPIC, FakeClock, Fleet, plist_command
from tests.push.certificate_bench import certificate_for
from tests.push.fake_gateway import FakeGateway


async def install(services: Services) -> None:
    party = certificate_for(TOPIC)
    await services.push_certificates.install(
        party.pem + party.key_pem, passphrase=None, key=None, force=False, actor=ADMIN
    )


async def test_a_command_reaches_apns_without_anybody_waiting_for_a_turn(
    services: Services, fleet: Fleet, push_gateway: FakeGateway
) -> None:
    await install(services)
    device = await fleet.enroll(1)

    await fleet.enqueue("C1", device)
    await push_gateway.arrived(1)

    assert push_gateway.tokens == [b"push token"]
    assert push_gateway.pushes[0].notification.magic.reveal() == f"magic of {device}"


async def test_a_command_that_is_not_to_wake_leaves_the_device_asleep_for_a_quarter_of_an_hour(
    services: Services, fleet: Fleet, clock: FakeClock
) -> None:
    device = await fleet.enroll(1)

    await services.commands.enqueue(CommandRequest(plist=plist_command("C1")), [str(device)], actor=ADMIN, wake=False)

    assert (await fleet.enrollment(device)).push.next_at == clock() + timedelta(minutes=15)
