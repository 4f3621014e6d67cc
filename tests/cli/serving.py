"""`mdmserver serve` as a process, on ports of the system's choosing."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.source_tree import ROOT

COMMAND = [sys.executable, "-m", "mdmserver", "serve"]
FREE_PORTS = ["--listen-http", "127.0.0.1:0", "--set", "listen.operations=127.0.0.1:0"]


@contextmanager
def serving(state: Path) -> Iterator[subprocess.Popen[str]]:
    """The process, once it listens; ended by the block's end if it is not yet."""
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"}
    arguments = [*COMMAND, "--state", str(state), *FREE_PORTS]
    with subprocess.Popen(
        arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if "(operations)" in line:
                    break
            yield process
        finally:
            process.kill()
