"""The README's commands are run as they are printed, in order, and its configuration table is complete."""

import os
import re
import shlex
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from mdmserver import config

PROJECT = Path(__file__).parent.parent
README = (PROJECT / "README.md").read_text()
SHELL_BLOCKS = re.findall(r"^```sh\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
PUSHED = 5


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A state directory and ports of the test's own; everything else is as a reader would have it."""
    address, operations = f"127.0.0.1:{_free_port()}", f"127.0.0.1:{_free_port()}"
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("MDMSERVER_", "MDMCTL_"))},
        "MDMSERVER_STATE": str(tmp_path / "mdm-state"),
        "MDMSERVER_SERVER_URL": f"http://{address}",
        "MDMSERVER_LISTEN_HTTP": address,
        "MDMSERVER_LISTEN_OPERATIONS": operations,
    }


@pytest.fixture
def server(environment: dict[str, str], tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    assert SHELL_BLOCKS[0].strip() == "scripts/serve"
    with (tmp_path / "serve.log").open("wb") as log:
        process = subprocess.Popen([PROJECT / "scripts/serve"], env=environment, stdout=log, stderr=log)
    try:
        _wait_until_served(environment["MDMSERVER_SERVER_URL"], process, tmp_path / "serve.log")
        yield process
    finally:
        process.terminate()
        assert process.wait(timeout=20) == 0, (tmp_path / "serve.log").read_text()


@pytest.mark.usefixtures("server")
def test_commands_of_the_readme_work_in_the_order_in_which_they_are_printed(
    environment: dict[str, str], tmp_path: Path
) -> None:
    _serve, check, simulate, follow, programs, enroll, pingid, *_push = SHELL_BLOCKS
    assert check.strip() == "scripts/test"  # the one that runs this test
    simulated = subprocess.Popen(_shell(simulate, environment), cwd=tmp_path, env=environment)
    try:
        _wait_for_devices(environment, tmp_path, number=50)
        for line in (follow + programs + enroll + pingid).strip().splitlines():
            subprocess.run(_shell(line, environment), cwd=tmp_path, env=environment, check=True, timeout=60)
        assert simulated.wait(timeout=60) == 0
    finally:
        simulated.kill()
        simulated.wait()


def test_devices_are_woken_as_the_readme_says(environment: dict[str, str], tmp_path: Path) -> None:
    stand_in, prepare, simulate, wake = SHELL_BLOCKS[-4:]
    pushes, feed = _free_port(), _free_port()
    install, serve = prepare.strip().splitlines()

    def shell(line: str) -> list[str]:
        if "simulate-apns" in line:
            line = f"{line.strip()} --listen 127.0.0.1:{pushes} --feed {feed}"
        return _shell(line.replace("2197", str(pushes)).replace("2198", str(feed)), environment)

    def run(line: str) -> str:
        done = subprocess.run(
            shell(line), cwd=tmp_path, env=environment, check=True, timeout=60, capture_output=True, text=True
        )
        return done.stdout

    with ExitStack() as processes:
        run("scripts/mdmserver init --yes")
        _start(processes, shell(stand_in), environment, tmp_path)
        _wait_for_words(tmp_path / "log", "push certificate to install")
        run(install)
        server = _start(processes, shell(serve), environment, tmp_path)
        _wait_until_served(environment["MDMSERVER_SERVER_URL"], server, tmp_path / "log")
        _start(processes, shell(simulate), environment, tmp_path)
        _wait_for_devices(environment, tmp_path, number=PUSHED)
        answers = [run(line) for line in wake.strip().splitlines()]
        _wait_until_answered(run, answers[0].split()[0])
        status = msgspec.json.decode(run("scripts/mdmctl push status --json"))

    assert status["outcomes"]["accepted"] >= PUSHED
    assert status["topics"][0]["topic"] in answers[-1]


def test_configuration_table_names_every_key() -> None:
    documented = set(re.findall(r"`([a-z_]+(?:\.[a-z0-9_]+)?)`", README.partition("## Configuration")[2]))
    sections = {field.name: field.type for field in msgspec.structs.fields(config.Config) if field.name != "device_ca"}

    keys = {f"{name}.{field.name}" for name, section in sections.items() for field in msgspec.structs.fields(section)}

    assert keys | {"device_ca"} <= documented


def _shell(line: str, environment: dict[str, str]) -> list[str]:
    here = line.replace("scripts/", f"{shlex.quote(str(PROJECT))}/scripts/")
    here = here.replace("http://127.0.0.1:8080", environment["MDMSERVER_SERVER_URL"])
    return ["bash", "-euo", "pipefail", "-c", here]


def _start(
    processes: ExitStack, command: list[str], environment: dict[str, str], folder: Path
) -> subprocess.Popen[bytes]:
    log = processes.enter_context((folder / "log").open("ab"))
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    processes.callback(process.wait, timeout=20)
    processes.callback(process.terminate)
    return process


def _wait_for_words(log: Path, words: str) -> None:
    deadline = time.monotonic() + 60
    while words not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def _wait_until_answered(run: Callable[[str], str], uuid: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        progress = msgspec.json.decode(run(f"scripts/mdmctl commands show {uuid} --json"))["progress"]
        if progress["acknowledged"] == PUSHED:
            return
        time.sleep(0.1)
    pytest.fail(f"the devices were not woken: {progress}")


def _wait_until_served(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{url}/version", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"scripts/serve does not answer: {log.read_text()}")


def _wait_for_devices(environment: dict[str, str], folder: Path, *, number: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        listed = subprocess.run(
            _shell("scripts/mdmctl devices list --type Device --state enrolled --all --json", environment),
            cwd=folder,
            env=environment,
            check=True,
            capture_output=True,
            timeout=30,
        )
        if len(msgspec.json.decode(listed.stdout)["items"]) >= number:
            return
    pytest.fail("the simulated devices did not enroll in time")


def _free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        port: int = opened.getsockname()[1]
    return port
