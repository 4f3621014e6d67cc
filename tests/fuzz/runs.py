"""Runs targets under atheris, outside of this process, on a corpus made of their seeds."""

import subprocess
import sys
from collections.abc import Collection
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).resolve().parents[2]
LONGEST_INPUT = 65_536
SLOW_INPUT_SECONDS = 10
MEMORY_MIB = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How a run ended; `artefacts` are inputs that broke a target, `finished` the targets that reached their limit."""

    output: str
    artefacts: list[Path]
    finished: int


def has_fuzzer() -> bool:
    """Whether atheris is there; it has no wheel for every interpreter."""
    return find_spec("atheris") is not None


def fuzz(names: Collection[str], folder: Path, *limits: str) -> Run:
    """Fuzz each target until one of libFuzzer's limits (`-runs=`, `-max_total_time=`) is reached or it breaks."""
    for name in names:
        _write_seeds(name, folder / name)
    command = [
        sys.executable, "-m", "tests.fuzz.guided", ",".join(names), str(folder),
        f"-max_len={LONGEST_INPUT}", f"-timeout={SLOW_INPUT_SECONDS}", f"-rss_limit_mb={MEMORY_MIB}", *limits,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False)
    output = done.stdout + done.stderr
    finished = sum(line.startswith("Done ") for line in output.splitlines())
    return Run(output=output, artefacts=sorted(folder.glob("*/artefacts/*")), finished=finished)


def _write_seeds(name: str, folder: Path) -> None:
    for path in (folder / "corpus", folder / "artefacts"):
        path.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(TARGETS[name].seeds()):
        (folder / "corpus" / f"seed-{number:03}").write_bytes(seed)
