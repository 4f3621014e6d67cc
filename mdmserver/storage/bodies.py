"""Command bodies: sealed in the database, and in memory while they are handed out often.

One body goes to many devices; opening it once per process instead of once per delivery saves a read and a decryption.
"""

import threading
from collections import OrderedDict

from mdmserver.commands.model import CommandRow

CAPACITY_BYTES = 32 * 1024 * 1024


class BodyCache:
    """The bodies handed out last, bounded in bytes. Used from the writer's and the readers' threads."""

    def __init__(self, capacity_bytes: int = CAPACITY_BYTES) -> None:
        self._capacity_bytes = capacity_bytes
        self._bodies: OrderedDict[CommandRow, bytes] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def get(self, command: CommandRow) -> bytes | None:
        """The body, if it is here."""
        with self._lock:
            body = self._bodies.get(command)
            if body is not None:
                self._bodies.move_to_end(command)
            return body

    def put(self, command: CommandRow, body: bytes) -> None:
        """Remember a body; those used longest ago make room. One larger than a quarter of all is not kept."""
        if len(body) > self._capacity_bytes // 4:
            return
        with self._lock:
            if command in self._bodies:
                return
            self._bodies[command] = body
            self._size += len(body)
            while self._size > self._capacity_bytes:
                _, oldest = self._bodies.popitem(last=False)
                self._size -= len(oldest)

    def forget(self, command: CommandRow) -> None:
        """Drop a body that is not this command's: a number is given again when the one who had it was rolled back."""
        with self._lock:
            body = self._bodies.pop(command, None)
            if body is not None:
                self._size -= len(body)
