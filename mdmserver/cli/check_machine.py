"""Checks of the machine: programs, disk, clock, ports."""

import shutil
import socket
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import aiohttp.http_parser

from mdmserver.cli.findings import Finding, failure, ok, warning
from mdmserver.cli.lock import lock_holder
from mdmserver.cli.state import CONFIG_FILE, DATABASE_FILE
from mdmserver.config import Config

_OLDEST_PYTHON = (3, 11)
_GIB = 1024**3
_ENOUGH_BYTES, _TOO_LITTLE_BYTES = 2 * _GIB, _GIB // 10
_RELEASED = datetime(2026, 1, 1, tzinfo=UTC)
_HIGHEST_PORT = 65535
_TOLERATED = timedelta(minutes=5)


def check_programs() -> Iterator[Finding]:
    """Python, the parser, the loop."""
    version = ".".join(map(str, sys.version_info[:3]))
    is_new = sys.version_info[:2] >= _OLDEST_PYTHON
    yield ok("python", version) if is_new else failure("python", f"{version} is too old; 3.11 is needed")
    if aiohttp.http_parser.HttpRequestParser is aiohttp.http_parser.HttpRequestParserPy:
        yield failure("http parser", "aiohttp's C parser is missing: install its wheel, unset AIOHTTP_NO_EXTENSIONS")
    else:
        yield ok("http parser", f"aiohttp {aiohttp.__version__} with its C parser")
    if find_spec("uvloop") is None:
        yield warning("event loop", "uvloop is not installed; asyncio's own loop takes 10 to 30 % more time")
    else:
        yield ok("event loop", "uvloop")


def check_disk(state: Path) -> Iterator[Finding]:
    """Room for the database to grow."""
    if not state.exists():
        return
    free = shutil.disk_usage(state).free
    text = f"{free / _GIB:.1f} GiB free"
    if free < _TOO_LITTLE_BYTES:
        yield failure("disk", f"{text}: the database will soon refuse to write")
    elif free < _ENOUGH_BYTES:
        yield warning("disk", text)
    else:
        yield ok("disk", text)


def check_clock(state: Path, *, now: datetime) -> Iterator[Finding]:
    """Certificates, expiries and the timeline need the time: it must not be before anything that was written."""
    written = [datetime.fromtimestamp(path.stat().st_mtime, UTC) for path in _written(state)]
    latest = max([_RELEASED, *written])
    if now + _TOLERATED < latest:
        yield failure("clock", f"it says {now.isoformat(timespec='seconds')}, which is before "
                      f"{latest.isoformat(timespec='seconds')}, when the state directory was last written")  # fmt: skip
    else:
        yield ok("clock", now.isoformat(timespec="seconds"))


def check_ports(config: Config, state: Path) -> Iterator[Finding]:
    """Every configured address can be bound, or it is our own server that holds it."""
    holder = lock_holder(state)
    addresses = {name: getattr(config.listen, name) for name in ("https", "mtls", "http", "operations")}
    for name, address in addresses.items():
        if not address:
            continue
        host, _, port = address.rpartition(":")
        if holder is not None and name in holder.listening:
            bound = ":".join(map(str, holder.listening[name]))
            yield ok(f"port {name}", f"{bound} is held by this server, process {holder.pid}")
        else:
            yield _bound(name, host.strip("[]"), port)


def _bound(name: str, host: str, port: str) -> Finding:
    if not port.isdecimal() or int(port) > _HIGHEST_PORT:  # the resolver would wrap it round
        return failure(f"port {name}", f"{port!r} is no port")
    try:
        [family, kind, protocol, _, address] = socket.getaddrinfo(host or None, int(port), type=socket.SOCK_STREAM,
                                                                  flags=socket.AI_PASSIVE)[0]  # fmt: skip
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, ValueError) as error:
        return failure(f"port {name}", f"{host}:{port} cannot be used: {error}")
    return ok(f"port {name}", f"{host}:{port} is free")


def _written(state: Path) -> list[Path]:
    names = (CONFIG_FILE, DATABASE_FILE, f"{DATABASE_FILE}-wal")
    return [path for name in names if (path := state / name).exists()]
