"""`mdmserver simulate` by invitation, as a person runs it, against the real server."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mdmserver.access.model import Scope
from mdmserver.transaction import Storage
from tests.fleet import FakeClock
from tests.journeys.inviting import ADMIN, InvitingServer, inviting_server


@pytest.fixture
async def server(storage: Storage, keys: Path, clock: FakeClock) -> AsyncIterator[InvitingServer]:
    async with inviting_server(storage, keys, clock) as started:
        yield started


async def simulated(
    server: InvitingServer, tmp_path: Path, *options: str, key: str = ""
) -> tuple[int | None, str, str]:
    """Exit code, output and errors of a run that lets every device connect once."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mdmserver", "simulate", "--state", str(tmp_path / "none"), "--url", server.url),
        *("--once", "--json", *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **({"MDMCTL_KEY": key} if key else {})},
    )
    out, errors = await process.communicate()
    return process.returncode, out.decode(), errors.decode()


async def test_devices_enroll_by_an_invitation_and_go_on_from_their_file(
    server: InvitingServer, tmp_path: Path
) -> None:
    options = ["--invitation", await server.invitation(uses=3), "--fleet-file", str(tmp_path / "fleet.json")]
    await simulated(server, tmp_path, "--devices", "2", *options)

    code, out, errors = await simulated(server, tmp_path, "--devices", "3", *options)

    assert (code, errors) == (0, "")
    assert json.loads(out)["enrolled"] == 3
    invitations = await server.world.services.invitations.invitations(cursor=None, limit=10)
    assert [invitation.uses for invitation in invitations.items] == [3]


async def test_without_a_ca_devices_ask_the_server_for_an_invitation(server: InvitingServer, tmp_path: Path) -> None:
    _, secret = await server.world.services.access.create_key(name="t", scopes=Scope, expires_at=None, actor=ADMIN)

    code, out, errors = await simulated(server, tmp_path, "--devices", "4", key=secret.reveal())

    assert (code, errors) == (0, "")
    assert json.loads(out)["enrolled"] == 4
    invitations = await server.world.services.invitations.invitations(cursor=None, limit=10)
    assert [(invitation.uses, invitation.uses_allowed) for invitation in invitations.items] == [(4, 4)]


async def test_a_used_up_invitation_is_said_to_be_not_valid(server: InvitingServer, tmp_path: Path) -> None:
    invitation = await server.invitation(uses=1)
    await simulated(server, tmp_path, "--devices", "1", "--invitation", invitation)

    code, _, errors = await simulated(server, tmp_path, "--devices", "2", "--invitation", invitation)

    assert code == 1
    assert "the invitation is not valid" in errors
    assert invitation not in errors


async def test_devices_for_which_an_invitation_does_not_suffice_are_counted(
    server: InvitingServer, tmp_path: Path
) -> None:
    options = ("--devices", "3", "--concurrency", "1", "--invitation", await server.invitation(uses=2))

    code, out, errors = await simulated(server, tmp_path, *options)

    assert code == 1
    assert json.loads(out)["errors"] == {"invitation refused": 1}
    assert "1 of 3 devices are not enrolled" in errors
