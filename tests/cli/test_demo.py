"""scripts/demo tells its whole story against the real server, and leaves nothing behind."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[2] / "scripts" / "demo"
SECONDS = 120
# A token has the shape of a topic and of an id of APNs, which are no secrets.
TOKEN = re.compile(r"(?<!External\.)(?<!apns-id )\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """State directories are made in the test's own folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MDMSERVER_", "MDMCTL_"))}
    return {**kept, "TMPDIR": str(tmp_path)}


@pytest.fixture
def told(environment: dict[str, str], tmp_path: Path) -> Iterator["Demonstration"]:
    demonstration = Demonstration(environment, tmp_path / "output")
    yield demonstration
    demonstration.end()


class Demonstration:
    """A run of the script, whose output can be waited for."""

    def __init__(self, environment: dict[str, str], output: Path) -> None:
        self._output = output
        with output.open("wb") as file:
            self.process = subprocess.Popen([DEMO, "--fast"], env=environment, stdout=file, stderr=file)

    @property
    def text(self) -> str:
        return self._output.read_text()

    def until(self, words: str) -> None:
        deadline = time.monotonic() + SECONDS
        while words not in self.text:
            assert self.process.poll() is None, self.text
            assert time.monotonic() < deadline, self.text
            time.sleep(0.05)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def serving_in(folder: Path) -> list[str]:
    """The command lines of processes that know this folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment, line = (process / "environ").read_bytes(), (process / "cmdline").read_bytes()
        except OSError:
            continue
        if f"MDMSERVER_STATE={folder}".encode() in environment:
            found.append(line.replace(b"\0", b" ").decode())
    return found


MILESTONES = (
    r"\$ mdmserver init",
    r"\$ mdmserver push-certificate install",
    r"\$ mdmctl invitations create",
    r"✓ iPhone \w+: page → profile → SCEP identity → Authenticate → TokenUpdate",
    r"✓ iPad \w+: page",
    r"✓ Mac \w+: page",
    r"\$ mdmctl apps assign pingid --all",
    r"\$ mdmctl apps configure pingid --token -",
    r"✓ installed, configured, and read back as wanted \(the Mac lists its profile\), [\d.]+ s",
    r"✓ on the Mac \w+ PingID reads a token",
    r"✓ the new token is on every device, [\d.]+ s after",
    r"✓ the iPhone has it, verified after [\d.]+ s",
    r"the Mac:  the profile: the device put it off",
    r"the iPad: the configuration: waiting for the device to connect; it was pushed",
    r"\$ mdmctl devices settings",
    r"✓ everything is there, [\d.]+ s later",
)


def test_the_story_is_told_and_the_server_left_running_until_ctrl_c(
    told: Demonstration, environment: dict[str, str], tmp_path: Path
) -> None:
    told.until("go on until Ctrl-C")
    state = next(tmp_path.glob("mdmserver-demo-*"))
    status = subprocess.run(
        [DEMO.with_name("mdmctl"), "apps", "status", "pingid"],
        env={**environment, "MDMSERVER_STATE": str(state)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    told.process.send_signal(signal.SIGINT)

    assert told.process.wait(timeout=60) == 0, told.text
    assert "all are there" in status.stdout + status.stderr
    position = 0
    for milestone in MILESTONES:
        found = re.compile(milestone).search(told.text, position)
        assert found, f"{milestone} is missing after: {told.text[position:]}"
        position = found.end()
    assert not state.exists()
    assert serving_in(tmp_path) == []
    assert [found.group() for found in TOKEN.finditer(told.text)] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_story_leaves_nothing_behind(
    number: signal.Signals, told: Demonstration, tmp_path: Path
) -> None:
    told.until("it listens on")
    assert serving_in(tmp_path)

    told.process.send_signal(number)

    assert told.process.wait(timeout=60) == 130, told.text
    assert list(tmp_path.glob("mdmserver-demo-*")) == []
    assert serving_in(tmp_path) == []
