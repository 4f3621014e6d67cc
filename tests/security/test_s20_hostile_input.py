"""S20, for what reads bytes: nothing of up to 64 KiB costs 100 ms or 64 MB, or ends in an unknown exception."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
MOST_SECONDS_ON_THE_LOOP = 0.1
MOST_SECONDS_IN_A_THREAD = 1.5
MOST_BYTES = 64 * 1024**2


@pytest.fixture(scope="module")
def costs() -> list[dict[str, Any]]:
    """What every hostile input cost every reader, measured in a process with limits of its own."""
    command = [sys.executable, "-m", "tests.fuzz.measured"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, f"the process ended with {done.returncode}: {done.stdout[-300:]} {done.stderr[-2000:]}"
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_hostile_inputs_were_tried_on_every_reader(costs: list[dict[str, Any]]) -> None:
    assert len({cost["target"] for cost in costs}) >= 14
    assert len({cost["input"] for cost in costs}) >= 60
    assert len(costs) == len({cost["target"] for cost in costs}) * len({cost["input"] for cost in costs})


def test_no_input_ends_in_an_exception_of_an_unknown_type(costs: list[dict[str, Any]]) -> None:
    assert [cost for cost in costs if cost["error"] is not None] == []


def test_no_input_keeps_the_loop_busy_for_100_milliseconds(costs: list[dict[str, Any]]) -> None:
    assert [cost for cost in costs if cost["on_the_loop"] and cost["seconds"] >= MOST_SECONDS_ON_THE_LOOP] == []


def test_no_input_keeps_a_thread_busy_for_long(costs: list[dict[str, Any]]) -> None:
    assert [cost for cost in costs if cost["seconds"] >= MOST_SECONDS_IN_A_THREAD] == []


def test_no_input_grows_the_process_by_64_megabytes(costs: list[dict[str, Any]]) -> None:
    assert [cost for cost in costs if cost["grown"] >= MOST_BYTES] == []
