"""How log records become lines (S23): one JSON object each, or text for a person at a terminal.

Only allow-listed extra fields are written, characters that could forge a line or drive a terminal are escaped, and
what an exception says is kept back unless its kind is known to quote no values. Writing is a thread's work.
"""

import logging
import queue
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import msgspec

from mdmserver.escaping import escaped, escaped_json

FIELDS = frozenset(
    {
        "event",
        "code",
        "error",
        "reason",
        "request_id",
        "listener",
        "method",
        "route",
        "status",
        "duration_ms",
        "address",
        "body_bytes",
        "retry_after_seconds",
        "enrollment_id",
        "enrollment_type",
        "life",
        "serial_number",
        "topic",
        "fingerprint",
        "authority",
        "message_type",
        "command_uuid",
        "request_type",
        "state",
        "key_id",
        "actor",
        "count",
        "batch",
        "job",
        "path",
        "host",
        "port",
    }
)
"""The extra fields (`extra={…}` of a logging call) that reach a line; every other one is dropped."""

LONGEST_VALUE = 1024
LONGEST_MESSAGE = 8192
_LINES_WAITING = 10_000
_FRAMES = 30

# What these say is about code, files or our own rules. Others (ValueError, KeyError …) quote the value they met.
_QUOTES_NO_VALUES = (OSError, AttributeError, NameError, ImportError, TypeError, RuntimeError)
_MODULES_QUOTING_NO_VALUES = frozenset({"mdmserver", "profiles", "certs", "sqlite3"})


class JSONFormatter(logging.Formatter):
    """One JSON object per record, in ASCII-safe form as far as control and bidi characters go."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        entry: dict[str, Any] = {
            "at": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _cut(record.getMessage(), LONGEST_MESSAGE),
            **fields_of(record),
        }
        if (error := _error_of(record)) is not None:
            entry["exception"] = {
                "type": type(error).__qualname__,
                "message": _said_by(error),
                "frames": _frames(error),
            }
        return escaped_json(msgspec.json.encode(entry).decode())


class TextFormatter(logging.Formatter):
    """A line for a person; a traceback follows indented, so that no message can pass for a line of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        fields = "".join(f" {name}={value}" for name, value in fields_of(record).items())
        message = _cut(record.getMessage(), LONGEST_MESSAGE)
        line = escaped(f"{_time(record)} {record.levelname:7} {record.name}: {message}{fields}")
        if (error := _error_of(record)) is None:
            return line
        where = [f"    {escaped(frame)}" for frame in _frames(error)]
        said = _said_by(error)
        return "\n".join([line, *where, f"    {type(error).__qualname__}" + (f": {escaped(said)}" if said else "")])


def fields_of(record: logging.LogRecord) -> dict[str, str | int | float | bool | None]:
    """The allow-listed extra fields of a record."""
    return {name: _plain(record.__dict__[name]) for name in sorted(FIELDS & record.__dict__.keys())}


class LineQueue(logging.Handler):
    """Formats a record where it is made and hands the line to a thread; never waits.

    When the thread cannot keep up (a blocked pipe) lines are dropped and their number is told by the next one.
    """

    def __init__(self, stream: TextIO, formatter: logging.Formatter, *, lines_waiting: int = _LINES_WAITING) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self._stream = stream
        self._lines: queue.Queue[str | None] = queue.Queue(lines_waiting)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write_lines, name="log lines", daemon=True)

    def start(self) -> None:
        """Begin to write; records made before wait for this."""
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Format and queue one record; what cannot be formatted is reported by its logger's name."""
        try:
            line = self.format(record)
        except Exception as error:  # a log call must not break what it reports
            line = self.format(_notice(record.name, "a record could not be formatted: %s", type(error).__qualname__))
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    def close(self) -> None:
        """Write what waits, up to five seconds, and end the thread."""
        if self._thread.is_alive():
            try:
                self._lines.put(None, timeout=5)
            except queue.Full:
                return  # the stream is blocked for good: the process must be able to end
            self._thread.join(timeout=5)
        super().close()

    def _write_lines(self) -> None:
        while (line := self._lines.get()) is not None:
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                line = self.format(_notice(__name__, "%d log lines were dropped", dropped)) + "\n" + line
            try:
                self._stream.write(line + "\n")
                self._stream.flush()
            except (OSError, ValueError):  # nobody reads any more: nothing is left to tell it to
                continue


@contextmanager
def logging_to(stream: TextIO, *, level: str, form: Literal["json", "text"]) -> Iterator[None]:
    """Send every logger's records to the stream for as long as the context lasts; what waits is written at its end."""
    handler = LineQueue(stream, JSONFormatter() if form == "json" else TextFormatter())
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(level)
    handler.start()
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
        handler.close()


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(value: object) -> str | int | float | bool | None:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return f"({len(value)} bytes)"
    return _cut(str(value), LONGEST_VALUE)


def _cut(text: str, longest: int) -> str:
    kept = text if len(text) <= longest else f"{text[:longest]}… ({len(text)} characters)"
    return kept.encode("utf-8", "backslashreplace").decode()  # lone surrogates have no UTF-8


def _error_of(record: logging.LogRecord) -> BaseException | None:
    return record.exc_info[1] if record.exc_info else None


def _said_by(error: BaseException) -> str | None:
    module = type(error).__module__.partition(".")[0]
    is_harmless = isinstance(error, _QUOTES_NO_VALUES) or module in _MODULES_QUOTING_NO_VALUES
    return _cut(str(error), LONGEST_VALUE) if is_harmless else None


def _frames(error: BaseException) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]


def _notice(name: str, message: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord(name, logging.WARNING, __file__, 0, message, args, None)
