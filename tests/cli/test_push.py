"""`mdmctl push …`, and what `devices show` and `status` say of push."""

import json

from tests.cli.conftest import Mdmctl
from tests.fleet import TOPIC, Fleet
from tests.push.fake_gateway import BAD_DEVICE_TOKEN, UNREGISTERED, FakeGateway
from tests.push.identities import halt, install
from tests.web.api_server import RunningServer


async def test_devices_are_pushed_by_id_and_by_serial_number(
    mdmctl: Mdmctl, server: RunningServer, fleet: Fleet, push_gateway: FakeGateway
) -> None:
    await install(server.services)
    first, second = await fleet.enroll(1), await fleet.enroll(2)

    plain = await mdmctl("push", "send", str(first), "C00002")
    programs = await mdmctl("push", "send", str(first), "--json")

    assert (plain.exit_code, programs.exit_code) == (0, 0), plain.output
    assert [line.split("\t")[:2] for line in plain.stdout.splitlines()[1:]] == [
        [str(first), "accepted"],
        [str(second), "accepted"],
    ]
    assert json.loads(programs.stdout)["results"][str(first)]["status"] == 200
    assert len(push_gateway.pushes) == 3


async def test_push_that_is_not_accepted_is_exit_code_5(
    mdmctl: Mdmctl, server: RunningServer, fleet: Fleet, push_gateway: FakeGateway
) -> None:
    await install(server.services)
    id = await fleet.enroll(1)
    push_gateway.answer(BAD_DEVICE_TOKEN)

    plain = await mdmctl("push", "send", str(id), "nobody")
    programs = await mdmctl("push", "send", str(id), "nobody", "--json")

    assert (plain.exit_code, programs.exit_code) == (5, 5)
    assert "refused\t400\tBadDeviceToken" in plain.stdout
    assert "nobody\tnot sent" in plain.stdout
    assert "2 of 2 pushes were not accepted" in plain.stderr
    assert json.loads(programs.stdout)["refused"] == {"nobody": "not_found"}


async def test_without_a_certificate_it_says_what_is_missing(
    mdmctl: Mdmctl, server: RunningServer, fleet: Fleet
) -> None:
    id = await fleet.enroll(1)

    sent = await mdmctl("push", "send", str(id))
    status = await mdmctl("push", "status")

    assert sent.exit_code == 5
    assert "no_push_certificate" in sent.stdout
    assert "mdmserver push-certificate" in status.stderr


async def test_everyone_is_pushed(mdmctl: Mdmctl, server: RunningServer, fleet: Fleet) -> None:
    await install(server.services)
    for number in (1, 2):
        await fleet.enroll(number)

    result = await mdmctl("push", "send", "--all", "--json")
    plain = await mdmctl("push", "send", "--all", "--type", "User")
    both = await mdmctl("push", "send", "--all", "C00001")

    assert json.loads(result.stdout)["queued"] == 2
    assert "0 enrollments are pushed" in plain.stderr
    assert both.exit_code == 2


async def test_status_and_history_tell_what_came_of_pushes(
    mdmctl: Mdmctl, server: RunningServer, fleet: Fleet, push_gateway: FakeGateway
) -> None:
    await install(server.services)
    id = await fleet.enroll(1)
    push_gateway.answer(UNREGISTERED)
    await mdmctl("push", "send", str(id))

    status = await mdmctl("push", "status")
    history = await mdmctl("push", "history", str(id))
    overview = await mdmctl("status")

    assert "1 stopped" in status.stdout
    assert TOPIC in status.stdout
    assert "refused\t410\tUnregistered" in history.stdout
    assert f"{TOPIC} (300 days left); 1 with a dead token" in overview.stdout


async def test_device_shows_its_last_push_and_what_is_next(
    mdmctl: Mdmctl, server: RunningServer, fleet: Fleet, push_gateway: FakeGateway
) -> None:
    await install(server.services)
    id = await fleet.enroll(1)
    before = await mdmctl("devices", "show", str(id))
    await mdmctl("push", "send", str(id))

    after = await mdmctl("devices", "show", str(id))

    facts = facts_of(after.stdout)
    assert facts_of(before.stdout)["last pushed"] == "–"
    assert facts["last pushed"] == "2026-01-01T00:00:00Z, accepted"
    assert facts["last seen at"] == "2026-01-01T00:00:00Z"
    assert facts["what is next"].startswith("it is pushed again at 2026-01-01T00:15:00Z")


def facts_of(output: str) -> dict[str, str]:
    pairs = [line.split("  ", 1) for line in output.splitlines()]
    return {name: text.strip() for name, text in pairs}


async def test_halted_topic_is_resumed(
    mdmctl: Mdmctl, server: RunningServer, fleet: Fleet, push_gateway: FakeGateway
) -> None:
    await install(server.services)
    await halt(fleet, push_gateway)

    halted = await mdmctl("status")
    resumed = await mdmctl("push", "resume", TOPIC)
    healthy = await mdmctl("status")
    unknown = await mdmctl("push", "resume", "nothing")

    assert "(push_halted)" in halted.stderr
    assert resumed.exit_code == 0
    assert "(push_halted)" not in healthy.stderr
    assert unknown.exit_code == 3
