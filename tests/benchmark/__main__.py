"""`scripts/benchmark`: which phases there are, and their figures."""

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

from tests.benchmark.push import Lost, gateway_alone, outage, wake_up

PUSH: dict[str, tuple[Callable[[int], dict[str, Any]], int, int]] = {
    "gateway": (gateway_alone, 30_000, 2_000),
    "wake-up": (wake_up, 100_000, 1_000),
    "outage": (outage, 2_000, 200),
}


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for; 1 when something was lost."""
    parser = argparse.ArgumentParser(prog="scripts/benchmark", description="Measure the server on this machine.")
    parser.add_argument("subject", choices=["push"], help="what to measure")
    parser.add_argument("--short", action="store_true", help="few devices: whether it works, not how fast it is")
    parser.add_argument("--only", choices=sorted(PUSH), help="one phase")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args(arguments)
    results = {}
    for name, (phase, usual, short) in PUSH.items():
        if options.only in (None, name):
            try:
                results[name] = phase(short if options.short else usual)
            except Lost as error:
                sys.stderr.write(f"{name}: {error}\n")
                return 1
            if not options.json:
                _print(name, results[name])
    if options.json:
        sys.stdout.write(json.dumps(results, indent=2) + "\n")
    return 0


def _print(name: str, figures: dict[str, Any]) -> None:
    sys.stdout.write(f"{name}\n")
    for key, value in figures.items():
        sys.stdout.write(f"  {key.replace('_', ' '):24} {value}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
