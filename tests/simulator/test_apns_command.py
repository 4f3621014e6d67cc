"""`mdmserver simulate-apns` as a person runs it, and simulated devices that hear of pushes from it."""

import asyncio
import json
import signal
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from certs import dump_private_key, enrollment_id_of
from mdmserver.cli.apns_simulator import apns_simulator
from mdmserver.cli.simulate import simulate
from mdmserver.protocol import TokenUpdate

TOPIC = "com.apple.mgmt.External.7f1f2e11-9c0a-4b57-8f0e-0a3f5b8d2c41"
FREE_PORTS = ("--listen", "127.0.0.1:0", "--feed", "0", "--json")


async def start(*options: str | Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mdmserver", *map(str, options)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def end(process: asyncio.subprocess.Process, number: signal.Signals) -> tuple[int | None, dict[str, Any], str]:
    """Exit code, the last JSON printed, errors."""
    process.send_signal(number)
    async with asyncio.timeout(30):
        out, errors = await process.communicate()
    return process.returncode, json.loads(out), errors.decode()


@asynccontextmanager
async def standing_in(state: Path, *options: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, Any]]]:
    """The program, and what it said when it had started."""
    process = await start("simulate-apns", "--state", state, *FREE_PORTS, *options)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            line = await process.stdout.readline()
        assert line, (await process.communicate())[1].decode()
        yield process, json.loads(line)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def push(said: dict[str, Any], token: str, magic: str) -> int:
    """Push with curl; the status."""
    process = await asyncio.create_subprocess_exec(
        *("curl", "--http2", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "20"),
        *("--cacert", said["ca_file"], "--cert", said["push_certificate"]),
        *("-H", f"apns-topic: {said['topic']}", "-H", "apns-push-type: mdm", "-H", "apns-expiration: 4000000000"),
        *("-d", json.dumps({"mdm": magic}), f"https://{said['host']}:{said['port']}/3/device/{token}"),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    return int(out)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_says_where_it_listens_and_in_the_end_what_happened(tmp_path: Path, number: signal.Signals) -> None:
    async with standing_in(tmp_path / "state", "--topic", TOPIC, "--unregistered", "0") as (process, said):
        statuses = [await push(said, "0a" * 32, "M"), await push(said, "xx", "M")]
        code, ended, errors = await end(process, number)

    assert (code, errors, statuses) == (0, "", [200, 400])
    assert (ended["accepted"], ended["tokens"], ended["refused"]) == (1, 1, {"BadDeviceToken": 1})
    assert said["topic"] == TOPIC


async def test_what_it_is_told_to_do_wrong_it_does(tmp_path: Path) -> None:
    async with standing_in(tmp_path, "--refused", "100", "--reason", "DeviceTokenNotForTopic") as (process, said):
        assert await push(said, "0a" * 32, "M") == 400
        _, ended, _ = await end(process, signal.SIGTERM)

    assert ended["refused"] == {"DeviceTokenNotForTopic": 1}


async def test_its_files_are_private_and_stay_the_same(tmp_path: Path) -> None:
    async with standing_in(tmp_path) as (_, first):
        pass
    folder = tmp_path / "apns-simulator"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    async with standing_in(tmp_path) as (_, second):
        pass

    assert first["topic"] == second["topic"]
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"server.pem"}
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    der = ssl.PEM_cert_to_DER_cert(before["push-certificate.pem"].decode().partition("-----BEGIN PRIVATE")[0])
    assert enrollment_id_of(der) == first["topic"]


async def test_another_topic_gets_another_push_certificate_of_the_same_ca(tmp_path: Path) -> None:
    async with standing_in(tmp_path) as (_, first):
        ca = (tmp_path / "apns-simulator/ca.pem").read_bytes()
    async with standing_in(tmp_path, "--topic", TOPIC) as (_, second):
        assert await push(second, "0a" * 32, "M") == 200

    assert first["topic"] != second["topic"] == TOPIC
    assert (tmp_path / "apns-simulator/ca.pem").read_bytes() == ca


def test_a_person_is_told_what_to_configure(tmp_path: Path) -> None:
    options = ["--state", str(tmp_path), "--listen", "localhost:0", "--feed", "0", "--duration", "0.01"]

    result = CliRunner().invoke(apns_simulator, options)

    assert result.exit_code == 0, result.output
    assert '[apns]\nhost = "127.0.0.1"\nport = ' in result.stdout
    assert f'ca_file = "{tmp_path}/apns-simulator/ca.pem"' in result.stdout
    assert "pushes accepted\t0" in result.stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--listen", "0.0.0.0:2197"], "not the loopback"),
        (["--listen", "192.0.2.1:2197"], "not the loopback"),
        (["--listen", "[::]:2197"], "not the loopback"),
        (["--listen", "2197"], "no ADDRESS:PORT"),
        (["--listen", "127.0.0.1:99999"], "no port"),
        (["--topic", "com.example.app"], "no topic of MDM"),
        (["--unregistered", "60", "--refused", "60"], "more than 100 percent"),
    ],
)
def test_what_it_does_not_do_is_refused(options: list[str], said: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(apns_simulator, ["--state", str(tmp_path), *options])

    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--apns-feed", "127.0.0.1"], "write HOST:PORT"),
        (["--apns-feed", "127.0.0.1:x"], "write HOST:PORT"),
        (["--apns-feed", "192.0.2.1:2198"], "--allow-remote"),
        (["--apns-feed", "127.0.0.1:2198", "--once"], "--once"),
        (["--offline", "5"], "--apns-feed"),
    ],
)
def test_options_of_devices_that_make_no_sense_are_refused(options: list[str], said: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(simulate, ["--state", str(tmp_path), "--url", "http://127.0.0.1:1", *options])

    assert result.exit_code == 2
    assert said in result.stderr


async def test_simulated_devices_connect_when_they_are_pushed(server: Any, authority: Any, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(ssl.DER_cert_to_PEM_cert(authority[0]))
    (tmp_path / "ca.key").write_bytes(dump_private_key(authority[1]))
    own_ca = ("--ca", tmp_path / "ca.pem", "--ca-key", tmp_path / "ca.key", "--signature", "p256")
    async with standing_in(tmp_path) as (_, said):
        feed = ("--apns-feed", said["feed"], "--topic", said["topic"])
        fleet = await start("simulate", "--url", server.url, *own_ca, *feed, "--devices", "2", "--json",
                            "--platforms", "iPhone", "--state", tmp_path)  # fmt: skip
        updates = [TokenUpdate] * 2
        await server.until(lambda: [type(each) for each in server.checkins if isinstance(each, TokenUpdate)] == updates)
        assert not server.reports
        update = server.checkins[-1]
        command = server.enqueue(update.enrollment_id, RequestType="ProfileList")

        assert await push(said, update.token.hex(), "another magic") == 200
        assert await push(said, update.token.hex(), update.push_magic) == 200
        await server.until(lambda: [uuid for uuid, _ in server.statuses()][-1:] == [command])
        code, summary, errors = await end(fleet, signal.SIGINT)

    assert (code, errors) == (0, "")
    assert (summary["wakes"], summary["ignored_pushes"], summary["connects"]) == (1, {"another magic": 1}, 1)


async def test_devices_without_the_stand_in_they_were_told_of_say_so(
    server: Any, authority: Any, tmp_path: Path, unused_tcp_port: int
) -> None:
    (tmp_path / "ca.pem").write_text(ssl.DER_cert_to_PEM_cert(authority[0]))
    (tmp_path / "ca.key").write_bytes(dump_private_key(authority[1]))
    own_ca = ("--ca", tmp_path / "ca.pem", "--ca-key", tmp_path / "ca.key", "--signature", "p256")
    fleet = await start("simulate", "--url", server.url, *own_ca, "--devices", "1", "--state", tmp_path,
                        "--apns-feed", f"127.0.0.1:{unused_tcp_port}")  # fmt: skip

    _, errors = await fleet.communicate()

    assert fleet.returncode == 4
    assert "simulate-apns" in errors.decode()
