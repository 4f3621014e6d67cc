"""Runs targets under atheris, guided by coverage: python -m tests.fuzz.guided TARGET[,TARGET…] FOLDER [libFuzzer's …]

Each target has a process of its own, forked when everything is imported and instrumented, which takes longer than a
short run. Below FOLDER/TARGET are its corpus and artefacts. With a file instead of a folder the target is run on that
file alone, which is how a crash is repeated.
"""

import os
import sys
from pathlib import Path

import atheris

INSTRUMENTED = [
    "certs",
    "mdmserver.commands.request",
    "mdmserver.config",
    "mdmserver.paging",
    "mdmserver.protocol",
    "mdmserver.web.api.plist_json",
    "mdmserver.web.endpoint",
]


def main() -> int:
    """How many targets broke."""
    with atheris.instrument_imports(include=INSTRUMENTED, enable_loader_override=False):
        from tests.fuzz.targets import TARGETS

    names, place, *limits = sys.argv[1:]
    broken = 0
    for name in names.split(","):
        TARGETS[name].seeds()
        child = os.fork()
        if not child:
            atheris.Setup([sys.argv[0], *_arguments(Path(place), name), *limits], TARGETS[name].check)
            atheris.Fuzz()  # never returns
        broken += os.waitpid(child, 0)[1] != 0
    return broken


def _arguments(place: Path, name: str) -> list[str]:
    if place.is_file():
        return [str(place)]
    return [str(place / name / "corpus"), f"-artifact_prefix={place / name / 'artefacts'}/"]


if __name__ == "__main__":
    sys.exit(main())
