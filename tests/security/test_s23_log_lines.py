"""S23: no string of a device becomes a log line unescaped, and only allow-listed fields are written."""

import ast
import io
import json
import logging
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mdmserver
from mdmserver.errors import Invalid
from mdmserver.logs import FIELDS, LONGEST_VALUE, JSONFormatter, LineQueue, TextFormatter, logging_to
from mdmserver.secret import Secret

HOSTILE = {
    "crlf": 'iPad\r\n{"level":"info","message":"forged"}',
    "ansi": "\x1b]0;owned\x07\x1b[2J",
    "c1": "\x9b31m red",
    "bidi override": "abc\u202edlrow",
    "bidi isolate": "\u2066x\u2069",
    "line separator": "one\u2028two\u2029three",
    "invisible": "zero\u200bwidth\ufeff",
    "tag characters": "a\U000e0041",
    "delete": "\x7f",
    "nul": "a\x00b",
}
FORMATTERS = [JSONFormatter(), TextFormatter()]


def record(message: str, *args: object, **extra: Any) -> logging.LogRecord:
    return logging.getLogger("mdmserver.test").makeRecord(
        "mdmserver.test", logging.INFO, __file__, 1, message, args, None, extra=extra
    )


def record_of(error: Exception) -> logging.LogRecord:
    try:
        raise error
    except Exception as caught:
        return logging.LogRecord(
            "mdmserver.test", logging.ERROR, __file__, 1, "it broke", (), (type(caught), caught, caught.__traceback__)
        )


@pytest.mark.parametrize("formatter", FORMATTERS)
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_device_string_stays_on_its_line_and_drives_no_terminal(formatter: logging.Formatter, text: str) -> None:
    line = formatter.format(record("device is called %s", text, serial_number=text))

    assert line.splitlines() == [line]
    assert all(character.isprintable() for character in line)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_json_line_gives_the_device_string_back_unchanged(text: str) -> None:
    entry = json.loads(JSONFormatter().format(record("%s", text, serial_number=text)))

    assert entry["message"] == text
    assert entry["serial_number"] == text


@pytest.mark.parametrize("formatter", FORMATTERS)
def test_a_lone_surrogate_does_not_break_the_line(formatter: logging.Formatter) -> None:
    line = formatter.format(record("%s", "a\ud800b"))

    assert "ud800" in line
    line.encode()


@pytest.mark.parametrize("formatter", FORMATTERS)
def test_a_field_that_is_not_on_the_list_is_dropped(formatter: logging.Formatter) -> None:
    line = formatter.format(record("message", serial_number="C02X", unlock_token="canary-1", headers={"a": "canary-2"}))

    assert "C02X" in line
    assert "canary" not in line
    assert "unlock_token" not in line


@pytest.mark.parametrize("formatter", FORMATTERS)
def test_a_secret_is_written_as_stars(formatter: logging.Formatter) -> None:
    line = formatter.format(record("token %s", Secret("canary"), reason=Secret(b"canary"), code=[Secret("canary")]))

    assert "canary" not in line
    assert "***" in line


@pytest.mark.parametrize("formatter", FORMATTERS)
def test_bytes_are_written_as_their_number(formatter: logging.Formatter) -> None:
    line = formatter.format(record("message", reason=b"canary"))

    assert "canary" not in line
    assert "(6 bytes)" in line


@pytest.mark.parametrize("formatter", FORMATTERS)
@pytest.mark.parametrize("error", [ValueError("canary"), KeyError("canary"), Exception("canary")])
def test_an_exception_that_may_quote_a_value_is_written_without_its_words(
    formatter: logging.Formatter, error: Exception
) -> None:
    line = formatter.format(record_of(error))

    assert "canary" not in line
    assert type(error).__name__ in line
    assert "test_s23_log_lines.py" in line


@pytest.mark.parametrize("formatter", FORMATTERS)
@pytest.mark.parametrize("error", [Invalid("limit is 0"), OSError("limit is 0"), sqlite3.Error("limit is 0")])
def test_an_exception_that_quotes_no_value_keeps_its_words(formatter: logging.Formatter, error: Exception) -> None:
    assert "limit is 0" in formatter.format(record_of(error))


def test_every_further_line_of_a_traceback_in_text_is_indented() -> None:
    first, *rest = TextFormatter().format(record_of(OSError("one\ntwo"))).splitlines()

    assert not first.startswith(" ")
    assert rest
    assert all(line.startswith("    ") for line in rest)


def test_a_long_value_is_cut() -> None:
    entry = json.loads(JSONFormatter().format(record("message", reason="x" * 100_000)))

    assert len(entry["reason"]) < LONGEST_VALUE + 50
    assert entry["reason"].endswith("(100000 characters)")


def test_numbers_and_none_stay_what_they_are() -> None:
    entry = json.loads(JSONFormatter().format(record("message", status=200, duration_ms=1.5, code=None)))

    assert (entry["status"], entry["duration_ms"], entry["code"]) == (200, 1.5, None)


def test_records_are_written_in_order_when_logging_ends() -> None:
    stream = io.StringIO()

    with logging_to(stream, level="INFO", form="json"):
        for number in range(100):
            logging.getLogger("mdmserver.test").info("line %d", number)
        logging.getLogger("mdmserver.test").debug("below the level")

    messages = [json.loads(line)["message"] for line in stream.getvalue().splitlines()]
    assert messages == [f"line {number}" for number in range(100)]


def test_a_record_that_cannot_be_formatted_is_told_and_breaks_nothing() -> None:
    stream = io.StringIO()
    handler = LineQueue(stream, JSONFormatter())
    handler.start()

    handler.handle(record("%d", "no number"))
    handler.close()

    entry = json.loads(stream.getvalue())
    assert entry["message"] == "a record could not be formatted: TypeError"
    assert entry["logger"] == "mdmserver.test"


class StuckStream(io.StringIO):
    """A pipe that nobody reads until `free` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.is_writing = threading.Event()
        self.free = threading.Event()

    def write(self, text: str) -> int:
        self.is_writing.set()
        self.free.wait(10)
        return super().write(text)


def test_a_stuck_stream_never_makes_a_caller_wait_and_the_loss_is_told() -> None:
    stream = StuckStream()
    handler = LineQueue(stream, JSONFormatter(), lines_waiting=2)
    handler.start()
    handler.handle(record("first"))
    stream.is_writing.wait(10)

    for number in range(10):
        handler.handle(record("line %d", number))
    stream.free.set()
    handler.close()

    messages = [json.loads(line)["message"] for line in stream.getvalue().splitlines()]
    assert messages == ["first", "8 log lines were dropped", "line 0", "line 1"]


def test_every_extra_field_that_our_code_logs_is_on_the_list() -> None:
    package = Path(mdmserver.__file__).parent

    used = {field for path in package.rglob("*.py") for field in extra_fields(ast.parse(path.read_text()))}

    assert used
    assert used <= FIELDS


def extra_fields(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.keyword) and node.arg == "extra" and isinstance(node.value, ast.Dict):
            yield from (str(key.value) for key in node.value.keys if isinstance(key, ast.Constant))
