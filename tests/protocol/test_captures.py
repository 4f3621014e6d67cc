"""Messages that real devices sent are read as what they are."""

import plistlib
import random
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mdmserver.protocol import (
    CommandReport,
    ProtocolError,
    Status,
    TokenUpdate,
    encode_checkin,
    is_checkin,
    loads,
    parse_checkin,
    parse_report,
    scan_root_strings,
)

CAPTURES = Path(__file__).resolve().parents[3] / "shared" / "reference" / "captures"
FILES = sorted(path for path in CAPTURES.glob("*/*") if path.suffix in (".xml", ".plist"))
BROKEN_BASE64 = CAPTURES / "TokenUpdate" / "iOS-11.3.1.xml"
CHECKIN_KINDS = ("Authenticate", "TokenUpdate", "CheckOut")

pytestmark = pytest.mark.skipif(not CAPTURES.is_dir(), reason="the captures are not on this machine")
every_capture = pytest.mark.parametrize("path", FILES, ids=[f"{path.parent.name}/{path.name}" for path in FILES])


def _aware(value: object) -> object:
    match value:
        case dict():
            return {key: _aware(item) for key, item in value.items()}
        case list():
            return [_aware(item) for item in value]
        case datetime():
            return value.replace(tzinfo=UTC)
    return value


def test_there_are_captures_of_every_kind() -> None:
    assert len(FILES) >= 30
    assert {path.parent.name for path in FILES} >= {*CHECKIN_KINDS, "NotNow", "Errors"}


@every_capture
def test_a_capture_is_read_as_its_kind(path: Path) -> None:
    body = path.read_bytes()

    plist = loads(body)

    assert is_checkin(plist) == (path.parent.name in CHECKIN_KINDS)
    if is_checkin(plist):
        message = parse_checkin(body)
        assert type(message).__name__ == path.parent.name == plist["MessageType"]
        assert parse_checkin(encode_checkin(message)) == message
    else:
        report = parse_report(body)
        assert isinstance(report, CommandReport)
        assert report.status == plist["Status"]
        assert len(report.error_chain) == len(plist.get("ErrorChain", ()))


def test_captures_read_as_plistlib_reads_them() -> None:
    for path in FILES:
        if path != BROKEN_BASE64:  # which plistlib refuses
            assert loads(path.read_bytes()) == _aware(plistlib.loads(path.read_bytes()))


@every_capture
def test_the_scan_of_a_capture_agrees_with_the_whole(path: Path) -> None:
    body = path.read_bytes()
    keys = loads(body).keys()

    scanned = scan_root_strings(body, keys=keys)

    assert scanned == {key: value for key, value in loads(body).items() if isinstance(value, str)}


def test_a_token_update_with_broken_base64_keeps_the_enrollment_and_has_no_tokens() -> None:
    message = parse_checkin(BROKEN_BASE64.read_bytes())

    assert isinstance(message, TokenUpdate)
    assert message.token is None
    assert message.unlock_token is None
    assert message.push_magic


def test_a_not_now_and_a_format_error_have_no_error_chain() -> None:
    not_now = parse_report((CAPTURES / "NotNow/iOS-11.3.1.xml").read_bytes())
    format_error = parse_report((CAPTURES / "Errors/iOS-11.3.1-CommandFormatError.xml").read_bytes())

    assert (not_now.status, not_now.error_chain) == (Status.NOT_NOW, ())
    assert (format_error.status, format_error.error_chain) == (Status.COMMAND_FORMAT_ERROR, ())


def test_an_error_chain_is_read_from_the_top() -> None:
    report = parse_report((CAPTURES / "Errors/iOS-11.3.1-AvailableOSUpdatesFailure.xml").read_bytes())

    assert [item.code for item in report.error_chain] == [2213, 3]
    assert report.error_chain[0].domain == "DeviceManagement.error"
    assert report.error_chain[0].us_english_description is None


def test_mutated_captures_raise_nothing_but_protocol_errors() -> None:
    generator = random.Random(20260101)
    bodies = [path.read_bytes() for path in FILES]
    refused = 0

    for _ in range(6000):
        body = _mutated(generator.choice(bodies), generator)
        assert isinstance(scan_root_strings(body), dict)
        for parse in (parse_checkin, parse_report):
            try:
                parse(body)
            except ProtocolError:
                refused += 1

    assert 6000 < refused < 12000


def _mutated(body: bytes, generator: random.Random) -> bytes:
    pieces = [
        b"<key>",
        b"</dict>",
        b"<array>",
        b"<data>",
        b"<integer>0x",
        b"<date>",
        b"&",
        b"<!--",
        b"\0",
        b"\xff",
        b"<![CDATA[",
    ]
    mutable = bytearray(body)
    for _ in range(generator.randint(1, 4)):
        at = generator.randrange(len(mutable))
        match generator.randrange(4):
            case 0:
                mutable[at] = generator.randrange(256)
            case 1:
                del mutable[at : at + generator.randint(1, 40)]
            case 2:
                mutable[at:at] = generator.choice(pieces)
            case _:
                start = generator.randrange(len(mutable))
                mutable[at:at] = mutable[start : start + generator.randint(1, 60)]
        if not mutable:
            return b""
    return bytes(mutable)
