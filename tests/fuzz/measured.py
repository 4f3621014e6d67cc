"""Runs every hostile input through every fuzz target within limits of its own, and writes what each cost as JSON.

A process by itself, so that what grows or never ends is ended by the operating system and not by the test's patience.
"""

import json
import resource
import sys
import time

from tests.fuzz.hostile import hostile_inputs
from tests.fuzz.targets import TARGETS, Target

CPU_SECONDS = 60
ADDRESS_SPACE = 2 * 1024**3
TRIES = 3


def main() -> None:
    """One line for each target and input."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    inputs = hostile_inputs()
    for target in TARGETS.values():
        for seed in target.seeds():
            target.check(seed)
    for name, target in TARGETS.items():
        for input_name, data in inputs.items():
            before = _peak_bytes()
            seconds, error = _cost(target, data)
            cost = {"seconds": seconds, "grown": _peak_bytes() - before, "error": error}
            json.dump({"target": name, "on_the_loop": target.on_the_loop, "input": input_name, **cost}, sys.stdout)
            sys.stdout.write("\n")


def _cost(target: Target, data: bytes) -> tuple[float, str | None]:
    """The least of a few tries, since other processes share the machine; and what came out that should not."""
    least = float("inf")
    for _ in range(TRIES):
        began = time.thread_time()
        try:
            target.check(data)
        except Exception as error:
            return time.thread_time() - began, repr(error)
        least = min(least, time.thread_time() - began)
        if least < 0.02:
            break
    return least, None


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    main()
