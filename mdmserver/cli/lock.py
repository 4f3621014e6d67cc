"""STATE/lock: one server per state directory. Who holds it stands in the file, for whoever comes second."""

import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from mdmserver.cli.exits import Failure

_NAME = "lock"
_TRIES = 4


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """The process that holds the lock; `listening` is filled when its listeners are open."""

    pid: int
    command: str
    since: str
    listening: Mapping[str, tuple[str, int]] = {}


class StateLock:
    """A held lock; its holder may be described anew as it gets on."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def describe(self, holder: Holder) -> None:
        """Write who holds the lock."""
        text = msgspec.json.encode(holder)
        os.pwrite(self._descriptor, text, 0)
        os.ftruncate(self._descriptor, len(text))


@contextmanager
def hold_lock(state: Path, holder: Holder) -> Iterator[StateLock]:
    """Hold the lock for the time of the context. Raises Failure that names the process that holds it."""
    descriptor = os.open(state / _NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _locked(descriptor):
            raise Failure(_held_by(state, _read(descriptor)))
        lock = StateLock(descriptor)
        lock.describe(holder)
        yield lock
    finally:
        os.close(descriptor)  # which lets go; the file stays, so that nobody locks an unlinked one


def lock_holder(state: Path) -> Holder | None:
    """Who holds the lock now; None if nobody does, or it cannot be known (another user's state directory)."""
    try:
        descriptor = os.open(state / _NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(descriptor)
    finally:
        os.close(descriptor)
    return None


def _locked(descriptor: int) -> bool:
    for _ in range(_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)  # it may be only `lock_holder`, looking for a moment
        else:
            return True
    return False


def _read(descriptor: int) -> Holder | None:
    try:
        return msgspec.json.decode(os.pread(descriptor, 65536, 0), type=Holder)
    except msgspec.DecodeError:
        return None


def _held_by(state: Path, holder: Holder | None) -> str:
    if holder is None:
        return f"another process holds {state / _NAME}"
    return f"{state} is in use: `mdmserver {holder.command}`, process {holder.pid}, since {holder.since}"
