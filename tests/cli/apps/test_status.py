"""`mdmctl apps assign | unassign | status | again`, and `devices settings`: who is not there, and why."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.apps.office import Office
from tests.cli.conftest import Mdmctl
from tests.source_tree import ROOT
from tests.web.api_server import RunningServer


@pytest.fixture
async def one_late(office: Office) -> Office:
    """PingID with a token is meant for everyone; one phone has it, another is off."""
    await office.configure()
    await office.assign()
    await office.phone(1)
    late = await office.phone(2)
    late.is_online = False
    await office.quiet()
    return office


async def test_assigning_says_how_many_are_meant_and_what_comes_next(mdmctl: Mdmctl, office: Office) -> None:
    await office.phone(1)
    await office.phone(2)

    result = await mdmctl("apps", "assign", "pingid", "--all")
    await office.configure()
    some = await mdmctl("apps", "assign", "pingid", "--scope", "device:C00001")
    programs = await mdmctl("apps", "assign", "pingid", "--all", "--json")

    assert "2 enrolled devices now, and those that come" in result.stdout
    assert "mdmctl apps configure pingid --token -" in result.stderr
    assert "1 enrolled device now" in some.stdout
    assert "mdmctl apps status pingid --watch" in some.stderr
    assert json.loads(programs.stdout) == {"scope": "all", "changed": False, "devices": 2}


@pytest.mark.parametrize("arguments", [[], ["--all", "--scope", "tag:x"]])
async def test_for_whom_is_said_once(arguments: list[str], mdmctl: Mdmctl) -> None:
    assert (await mdmctl("apps", "assign", "pingid", *arguments)).exit_code == 2
    assert (await mdmctl("apps", "unassign", "pingid", *arguments)).exit_code == 2


async def test_uninstalling_is_said_first_and_done_on_yes(mdmctl: Mdmctl, one_late: Office) -> None:
    phone = one_late.handsets[0]
    uninstall = ("apps", "assign", "pingid", "--scope", "device:C00001", "--uninstall")

    asked = await mdmctl(*uninstall)
    before = dict(phone.apps)
    told = await mdmctl(*uninstall, "--yes")
    await one_late.quiet()

    assert (asked.exit_code, told.exit_code) == (2, 0)
    assert "with its data" in asked.stderr
    assert (len(before), phone.apps) == (1, {})


async def test_unassigning_is_said_first_and_takes_the_configuration(mdmctl: Mdmctl, one_late: Office) -> None:
    phone = one_late.handsets[0]

    asked = await mdmctl("apps", "unassign", "pingid", "--all")
    told = await mdmctl("apps", "unassign", "pingid", "--all", "--yes")
    again = await mdmctl("apps", "unassign", "pingid", "--all", "--yes", "--json")
    await one_late.quiet()

    assert (asked.exit_code, told.exit_code) == (2, 0)
    assert "the app itself stays" in asked.stderr
    assert json.loads(again.stdout)["changed"] is False
    assert len(phone.apps) == 1
    assert not phone.configuration


async def test_status_counts_and_lists_who_is_not_there_and_why(mdmctl: Mdmctl, one_late: Office) -> None:
    plain = await mdmctl("apps", "status", "pingid")
    programs = json.loads((await mdmctl("apps", "status", "pingid", "--json", "--limit", "1")).stdout)

    assert plain.exit_code == 0
    lines = plain.stdout.splitlines()
    assert lines[0] == "SETTING\tVERIFIED\tINSTALLED\tSENT\tWAITING\tFAILED\tNOT VERIFIABLE\tALL"
    assert "configuration\t1\t0\t0\t1\t0\t0\t2" in lines
    assert "C00001" not in plain.stdout
    assert any(line.startswith("C00002\tapp\twaiting\tintended\t") and "connect by itself" in line for line in lines)
    assert (len(programs["not_there"]), programs["has_more"]) == (1, True)
    assert programs["totals"]["verified"] == 2


async def test_watching_ends_when_all_are_there(mdmctl: Mdmctl, one_late: Office) -> None:
    one_late.handsets[1].is_online = True
    await one_late.quiet()

    watched = await mdmctl("apps", "status", "pingid", "--watch")

    assert watched.exit_code == 0
    assert "4 settings: 4 verified" in watched.stderr
    assert "all are there" in watched.stderr


async def test_watching_ends_with_5_when_time_runs_out(mdmctl: Mdmctl, one_late: Office) -> None:
    watched = await mdmctl("apps", "status", "pingid", "--watch", "--timeout", "0s")
    without = await mdmctl("apps", "status", "pingid", "--timeout", "1s")

    assert len(one_late.handsets) == 2
    assert watched.exit_code == 5
    assert "C00002" in watched.stdout
    assert without.exit_code == 2


async def test_watching_is_not_done_before_devices_were_looked_at(mdmctl: Mdmctl, office: Office) -> None:
    await office.phone(1)
    await office.quiet()
    await mdmctl("apps", "assign", "pingid", "--all")

    watched = await mdmctl("apps", "status", "pingid", "--watch", "--timeout", "0s")

    assert watched.exit_code == 5
    assert "1 devices to look at" in watched.stderr


@pytest.mark.usefixtures("one_late")
async def test_ctrl_c_ends_the_watch_with_130(server: RunningServer, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(server.admin_key)
    arguments = ["--url", server.url, "--key-file", str(key), "apps", "status", "pingid", "--watch"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mdmserver.cli.mdmctl", *arguments,
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    first = await process.stderr.readline()

    process.send_signal(signal.SIGINT)

    _, rest = await process.communicate()
    assert b"4 settings: 2 verified, 2 waiting" in first
    assert process.returncode == 130
    assert b"the server goes on" in rest


async def test_an_app_for_nobody_says_what_comes_next(mdmctl: Mdmctl) -> None:
    result = await mdmctl("apps", "status", "pingid")

    assert result.exit_code == 0
    assert "mdmctl apps assign pingid --all" in result.stderr
    assert (await mdmctl("apps", "status", "nope")).exit_code == 3


async def test_again_asks_a_person_who_declined_once_more(mdmctl: Mdmctl, one_late: Office) -> None:
    late = one_late.handsets[1]
    late.status, late.is_online = "UserRejected", True
    await one_late.quiet()
    declined = await mdmctl("apps", "status", "pingid", "--kind", "app")
    late.status = "Managed"

    result = await mdmctl("apps", "again", "pingid")
    await one_late.quiet()

    assert "the person declined the installation; next try" in declined.stdout
    assert result.exit_code == 0
    assert "all are there" in (await mdmctl("apps", "status", "pingid")).stderr


async def test_a_device_shows_its_settings_and_why(mdmctl: Mdmctl, one_late: Office) -> None:
    await one_late.phone(3, "AppleTV14,1")
    await one_late.work()
    await mdmctl("devices", "tag", "C00001", "--add", "sales")

    phone = await mdmctl("devices", "settings", "C00001")
    late = await mdmctl("devices", "settings", "C00002")
    television = json.loads((await mdmctl("devices", "settings", "C00003", "--json")).stdout)

    assert "tags    sales" in phone.stdout
    assert "the device's own read-back equals what is wanted" in phone.stdout
    assert "pingid\tapp\tintended" in late.stdout
    assert television["items"][0]["explanation"]["text"] == "PingID is for ios, this is tvos"
