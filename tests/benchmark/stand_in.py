"""The stand-in for APNs in a process of its own, as `mdmserver simulate-apns` runs it."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mdmserver.config import APNs


@dataclass(slots=True)
class StandIn:
    """Where it listens; `ended` has its counts once it was stopped."""

    folder: Path
    options: tuple[str, ...]
    port: int = 0
    facts: dict[str, Any] = field(default_factory=dict)
    ended: dict[str, Any] = field(default_factory=dict)
    process: "subprocess.Popen[str] | None" = None

    def start(self) -> None:
        """Start it, on the port of before if it ran before."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mdmserver", "simulate-apns", "--state", str(self.folder), "--json",
             "--listen", f"127.0.0.1:{self.port}", "--feed", "0", "--duration", "1800", *self.options],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.facts = json.loads(self.process.stdout.readline())
        self.port = int(self.facts["port"])

    def stop(self) -> dict[str, Any]:
        """End it; what happened to it."""
        if self.process is None:
            return self.ended
        self.process.send_signal(signal.SIGTERM)
        output, _ = self.process.communicate(timeout=60)
        self.process, self.ended = None, json.loads(output.strip().splitlines()[-1])
        return self.ended

    @property
    def push_certificate(self) -> bytes:
        """Its push certificate and key, PEM."""
        return Path(self.facts["push_certificate"]).read_bytes()

    @property
    def settings(self) -> APNs:
        """The server's [apns]."""
        return APNs(host="127.0.0.1", port=self.port, ca_file=self.facts["ca_file"], concurrency=900)


@contextmanager
def running_stand_in(folder: Path, *options: str) -> Iterator[StandIn]:
    """A stand-in until the end of the block."""
    stand_in = StandIn(folder, options)
    stand_in.start()
    try:
        yield stand_in
    finally:
        stand_in.stop()
