"""`mdmserver simulate` as a person runs it, in a process of its own."""

import asyncio
import json
import signal
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiohttp.test_utils import unused_port
from click.testing import CliRunner

from certs import dump_private_key
from mdmserver.cli.simulate import simulate
from mdmserver.simulator.facts import Platform, draw_facts

Start = Callable[..., Any]


@pytest.fixture
def authority_options(authority: Any, tmp_path: Path) -> list[str]:
    (tmp_path / "ca.pem").write_text(ssl.DER_cert_to_PEM_cert(authority[0]))
    (tmp_path / "ca.key").write_bytes(dump_private_key(authority[1]))
    return ["--ca", str(tmp_path / "ca.pem"), "--ca-key", str(tmp_path / "ca.key")]


@pytest.fixture
def start(authority_options: list[str], tmp_path: Path, server: Any) -> Start:
    """Starts the command against the scripted server, with P-256 keys as they are made quickly."""

    async def run(*options: str, url: str = server.url) -> asyncio.subprocess.Process:
        everything = ["--state", str(tmp_path / "state"), "--url", url, *authority_options, "--signature", "p256"]
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mdmserver", "simulate", *everything, *options),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    return run


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    """Exit code, output, errors."""
    out, errors = await process.communicate()
    return process.returncode, out.decode(), errors.decode()


async def test_once_enrolls_every_platform_connects_and_sums_up(start: Start, server: Any) -> None:
    code, out, errors = await ended(await start("--devices", "8", "--once", "--json"))

    summary = json.loads(out)
    assert (code, errors) == (0, "")
    assert (summary["enrolled"], summary["connects"], summary["errors"]) == (8, 8, {})
    assert len(set(server.signers)) == 8


async def test_a_fleet_file_brings_the_same_devices_back_and_adds_what_is_missing(
    start: Start, server: Any, tmp_path: Path
) -> None:
    options = ["--once", "--fleet-file", str(tmp_path / "fleet.json")]
    await ended(await start("--devices", "2", *options))
    before = set(server.signers)
    server.checkins.clear()

    code, out, _ = await ended(await start("--devices", "3", "--json", *options))

    assert (code, json.loads(out)["enrolled"]) == (0, 3)
    assert before < set(server.signers)
    assert len({message.enrollment_id.device for message in server.checkins}) == 1


async def test_persons_who_decline_apps_can_be_wanted(start: Start, server: Any) -> None:
    phone = draw_facts(Platform.IPHONE, Random("7/facts/0")).device_id
    server.enqueue(phone, RequestType="InstallApplication", iTunesStoreID=891247102)
    server.enqueue(phone, RequestType="ManagedApplicationList")

    await ended(await start("--devices", "1", "--seed", "7", "--once", "--app-rejections", "100"))

    listed = server.reports[-1].plist["ManagedApplicationList"]
    assert listed["com.pingidentity.pingid.prod"]["Status"] == "UserRejected"


async def test_ctrl_c_ends_it_with_a_summary(start: Start, server: Any) -> None:
    process = await start("--devices", "2", "--interval", "0.01", "--json")
    await server.until(lambda: len(server.reports) > 4)

    process.send_signal(signal.SIGINT)
    code, out, _ = await ended(process)

    assert code == 0
    assert json.loads(out)["connects"] > 2


async def test_a_duration_ends_it(start: Start) -> None:
    code, out, _ = await ended(await start("--devices", "1", "--interval", "0.01", "--duration", "0.1", "--json"))

    assert code == 0
    assert json.loads(out)["connects"] > 0


async def test_the_summary_of_people_names_what_happened(start: Start) -> None:
    code, out, _ = await ended(await start("--devices", "1", "--once"))

    assert code == 0
    assert "enrolled\t1" in out


async def test_a_server_that_is_not_there_is_said_to_be_so(start: Start) -> None:
    code, _, errors = await ended(await start("--devices", "1", url=f"http://127.0.0.1:{unused_port()}"))

    assert code == 4
    assert errors.startswith("Error: no server: http://127.0.0.1")


async def test_a_refusal_says_what_to_do_about_the_ca(start: Start, server: Any) -> None:
    server.failures.append(403)

    code, _, errors = await ended(await start("--devices", "3"))

    assert code == 1
    assert "does not trust this CA: add it as device_ca" in errors
    assert "allow-reenroll" not in errors


async def test_a_refusal_of_devices_that_may_be_known_names_the_release(start: Start, server: Any) -> None:
    server.failures.append(403)

    _, _, errors = await ended(await start("--devices", "3", "--seed", "1"))

    assert "mdmctl devices allow-reenroll" in errors


async def test_devices_refused_later_make_it_fail_and_name_the_release(start: Start, server: Any) -> None:
    server.failures.extend([200, 200, 403])

    code, _, errors = await ended(await start("--devices", "3", "--once", "--concurrency", "1"))

    assert code == 1
    assert "1 of 3 devices are not enrolled" in errors
    assert "mdmctl devices pending" in errors


@pytest.mark.parametrize("url", ["https://mdm.example.com", "http://192.0.2.1:8080/mdm", "http://[2001:db8::1]/"])
def test_a_server_elsewhere_is_not_touched_unless_that_is_said(url: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(simulate, ["--state", str(tmp_path), "--url", url])

    assert result.exit_code == 2
    assert "--allow-remote" in result.stderr


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "127.0.0.1:8080", "http://"])
def test_what_is_no_url_is_refused(url: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(simulate, ["--state", str(tmp_path), "--url", url])

    assert result.exit_code == 2
    assert "is not an http or https URL" in result.stderr


def test_without_a_ca_it_says_how_to_get_one(tmp_path: Path) -> None:
    result = CliRunner().invoke(simulate, ["--state", str(tmp_path), "--url", "http://localhost:1"])

    assert result.exit_code == 2
    assert "mdmserver init --simulator-ca" in result.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--invite", "--invitation", "http://127.0.0.1:1/enroll/t"], "enroll one way"),
        (["--invite", "--ca", "ca.pem", "--ca-key", "ca.key"], "enroll one way"),
        (["--invite", "--signature", "p256"], "asks for RSA keys"),
        (["--invitation", "https://mdm.example.com/enroll/t"], "--allow-remote"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: list[str], said: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(simulate, ["--state", str(tmp_path), "--url", "http://127.0.0.1:1", *options])

    assert result.exit_code == 2
    assert said in result.stderr


def test_an_unknown_platform_is_refused_by_name(tmp_path: Path) -> None:
    result = CliRunner().invoke(simulate, ["--state", str(tmp_path), "--platforms", "iPhone,Newton"])

    assert result.exit_code == 2
    assert "known are iPhone, iPad, Mac, AppleTV" in result.stderr
