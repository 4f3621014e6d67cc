"""Runs `mdmserver serve` again and again in forked processes, so that a start costs a fork and no imports.

Lines on standard input: `start <state>` forks a server, `kill` ends it with SIGKILL. Lines on standard output: what the
server prints, and `killed` once it is gone. It ends, and its server with it, when standard input does.
"""

import os
import signal
import sys

from mdmserver.cli.serve import serve

ARGUMENTS = ("--set", "listen.http=127.0.0.1:0", "--set", "listen.operations=", "--set", "log.level=WARNING")


def main() -> None:
    """Work through the commands on standard input."""
    server: int | None = None
    try:
        while line := sys.stdin.readline():
            verb, _, state = line.rstrip("\n").partition(" ")
            if verb == "start":
                server = _started(state)
            elif server is not None:
                _kill(server)
                server = None
                sys.stdout.write("killed\n")
                sys.stdout.flush()
    finally:
        if server is not None:
            _kill(server)


def _started(state: str) -> int:
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        os.close(sys.stdin.fileno())
        serve.main(["--state", state, *ARGUMENTS], standalone_mode=False)
        status = 0
    finally:
        sys.stdout.flush()
        os._exit(status)


def _kill(server: int) -> None:
    os.kill(server, signal.SIGKILL)
    os.waitpid(server, 0)


if __name__ == "__main__":
    main()
