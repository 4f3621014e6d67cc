"""`mdmctl invitations …`, and the ways to end an enrollment, against a running server."""

import json
from datetime import datetime, timedelta

import pytest

from mdmserver.audit.model import Actor, ActorKind
from mdmserver.cli.qr_code import qr_for_terminal, qr_lines
from mdmserver.protocol import EnrollmentID
from tests.cli.conftest import Mdmctl
from tests.fleet import Fleet
from tests.web.api_server import RunningServer

ADMIN = Actor(kind=ActorKind.CLI, name="test")


@pytest.fixture
async def device(fleet: Fleet) -> EnrollmentID:
    """An enrolled device; its serial number is C00001."""
    return await fleet.enroll(1)


@pytest.fixture
async def with_ca(server: RunningServer) -> RunningServer:
    """A server with a CA."""
    await server.services.own_authorities.create(common_name="Test CA", actor=ADMIN)
    return server


async def test_the_url_alone_is_on_standard_output(mdmctl: Mdmctl, server: RunningServer) -> None:
    made = await mdmctl("invitations", "create", "--user", "ada", "--serial", "C00001", "--qr")

    [url] = made.stdout.splitlines()
    assert made.exit_code == 0, made.output
    assert (await server.call("GET", "/enroll/" + url.rpartition("/")[2])).status == 200
    assert "for the device C00001 of ada" in made.stderr
    assert "it is a secret" in made.stderr
    assert qr_for_terminal(url).count("\n") > 10
    assert all(line in made.stderr for line in qr_lines(url))


async def test_an_invitation_is_as_it_was_asked_for(mdmctl: Mdmctl, server: RunningServer) -> None:
    made = await mdmctl("invitations", "create", "--uses", "3", "--expires", "2d", "--allow-reenroll", "--json")

    item = json.loads(made.stdout)["invitation"]
    expires = datetime.fromisoformat(item["expires_at"]) - server.clock()
    assert (item["uses_allowed"], item["allow_reenroll"], item["user"]) == (3, True, None)
    assert timedelta(days=1) < abs(expires)
    assert made.stderr == ""


async def test_a_challenge_is_printed_for_other_scep_clients(mdmctl: Mdmctl, with_ca: RunningServer) -> None:
    made = await mdmctl("invitations", "create", "--challenge")
    invitation = json.loads((await mdmctl("invitations", "list", "--json")).stdout)["items"][0]
    again = await mdmctl("invitations", "challenge", invitation["id"])

    lines = [dict(line.rsplit(None, 1) for line in result.stdout.splitlines() if "  " in line)
             for result in (made, again)]  # fmt: skip
    assert lines[0]["SCEP URL"] == lines[1]["SCEP URL"]
    assert lines[0]["SCEP URL"].endswith("/scep")
    assert lines[0]["challenge"] != lines[1]["challenge"]


async def test_invitations_are_listed_shown_and_revoked(mdmctl: Mdmctl, server: RunningServer) -> None:
    url = (await mdmctl("invitations", "create", "--user", "ada")).stdout.strip()
    [item] = json.loads((await mdmctl("invitations", "list", "--json")).stdout)["items"]

    asked = await mdmctl("invitations", "revoke", item["id"])
    shown = await mdmctl("invitations", "show", item["id"])
    told = await mdmctl("invitations", "revoke", item["id"], "--yes")
    listed = await mdmctl("invitations", "list")

    assert (asked.exit_code, told.exit_code) == (2, 0)
    assert "Devices that enrolled with it stay enrolled" in asked.stderr
    assert "state" in shown.stdout
    assert "open" in shown.stdout
    assert "\trevoked\tada\t" in listed.stdout
    token = url.rpartition("/")[2]
    assert token not in shown.output + listed.output
    assert (await server.call("GET", f"/enroll/{token}")).status == 404


async def test_an_invitation_that_is_not_there_ends_with_3(mdmctl: Mdmctl) -> None:
    for verb in (["show"], ["revoke", "--yes"], ["challenge"]):
        assert (await mdmctl("invitations", *verb, "77")).exit_code == 3


@pytest.mark.parametrize(
    ("verb", "first_said", "state"),
    [
        ("unenroll", "until it has done so", "enrolled"),
        ("retire", "The device is not told", "ended"),
    ],
)
@pytest.mark.usefixtures("device")
async def test_ending_an_enrollment_is_said_first_and_done_on_yes(
    mdmctl: Mdmctl, verb: str, first_said: str, state: str
) -> None:
    asked = await mdmctl("devices", verb, "C00001")
    before = json.loads((await mdmctl("devices", "show", "C00001", "--json")).stdout)
    told = await mdmctl("devices", verb, "C00001", "--yes", "--json")

    assert (asked.exit_code, told.exit_code) == (2, 0), told.output
    assert first_said in asked.stderr
    assert before["state"] == "enrolled"
    assert json.loads(told.stdout)["state"] == state
    assert f"device.{verb}" in (await mdmctl("audit", "list")).stdout


@pytest.mark.usefixtures("device")
async def test_a_deleted_device_is_gone(mdmctl: Mdmctl) -> None:
    asked = await mdmctl("devices", "delete", "C00001")
    told = await mdmctl("devices", "delete", "C00001", "--yes")

    assert (asked.exit_code, told.exit_code) == (2, 0), told.output
    assert "This cannot be undone" in asked.stderr
    assert (await mdmctl("devices", "show", "C00001")).exit_code == 3
    assert json.loads((await mdmctl("devices", "list", "--json")).stdout)["items"] == []


async def test_a_device_that_was_retired_cannot_be_retired_again(mdmctl: Mdmctl, device: EnrollmentID) -> None:
    await mdmctl("devices", "retire", str(device), "--yes")

    again = await mdmctl("devices", "retire", str(device), "--yes")

    assert again.exit_code == 1
    assert "(enrollment_ended)" in again.stderr
