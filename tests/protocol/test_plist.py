"""Plists from bytes to values and back, with plistlib as the oracle."""

import plistlib
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdmserver.protocol import PlistMalformed, PlistTooLarge, dumps, loads, scan_root_strings

# What XML can carry unchanged: it makes a line feed of every carriage return.
texts = st.text(st.characters(exclude_characters="\r\ufffe\uffff", exclude_categories=["Cs", "Cc"]))
dates = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)).map(
    lambda moment: moment.replace(microsecond=0, tzinfo=UTC)
)
scalars = (
    texts
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.binary()
    | dates
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5), max_leaves=15
)
roots = st.dictionaries(texts, values, max_size=6)


def _naive(value: Any) -> Any:
    match value:
        case dict():
            return {key: _naive(item) for key, item in value.items()}
        case list():
            return [_naive(item) for item in value]
        case datetime():
            return value.replace(tzinfo=None)
    return value


@given(roots)
def test_every_value_survives_the_way_out_and_back(root: dict[str, Any]) -> None:
    assert loads(dumps(root)) == root


@given(roots)
def test_we_read_what_plistlib_writes_and_the_other_way_round(root: dict[str, Any]) -> None:
    assert loads(plistlib.dumps(_naive(root), sort_keys=False)) == root
    assert plistlib.loads(dumps(root)) == _naive(root)


@given(roots)
def test_the_scan_finds_the_strings_of_the_root(root: dict[str, Any]) -> None:
    assert scan_root_strings(dumps(root), keys=root) == {
        key: value for key, value in root.items() if isinstance(value, str)
    }


@given(st.binary(max_size=200))
def test_a_binary_plist_or_noise_is_a_protocol_error(noise: bytes) -> None:
    with pytest.raises(PlistMalformed):
        loads(noise)
    with pytest.raises(PlistMalformed):
        loads(b"bplist00" + noise)


@pytest.mark.parametrize(
    ("xml", "expected"),
    [
        ("<integer>0x1F</integer>", 31),
        ("<integer>-0x1f</integer>", -31),
        ("<integer> +7\n</integer>", 7),
        ("<integer>18446744073709551615</integer>", 2**64 - 1),
        ("<integer>-9223372036854775808</integer>", -(2**63)),
        ("<real>1</real>", 1.0),
        ("<real>-1.5e3</real>", -1500.0),
        ("<true/>", True),
        ("<false></false>", False),
        ("<string/>", ""),
        ("<string>a&amp;b&#65;<!-- c --><![CDATA[<d>]]></string>", "a&bA<d>"),
        ("<date>2026-01-02T03:04:05Z</date>", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("<array> <string>a</string> <array/> </array>", ["a", []]),
        ("<dict/>", {}),
    ],
)
def test_each_kind_of_value_is_read(xml: str, expected: object) -> None:
    assert loads(f"<plist><dict><key>k</key>{xml}</dict></plist>".encode()) == {"k": expected}


def test_a_byte_order_mark_of_utf_8_is_accepted() -> None:
    assert loads(b"\xef\xbb\xbf<plist><dict/></plist>") == {}


def test_long_text_in_many_pieces_stays_whole() -> None:
    text = "line\n" * 20_000 + "end"

    assert loads(dumps({"k": text})) == {"k": text}


def test_the_order_of_keys_is_kept() -> None:
    assert list(loads(dumps({"z": 1, "a": 2}))) == ["z", "a"]


def test_times_are_written_in_utc() -> None:
    moment = datetime(2026, 1, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))

    assert loads(dumps({"k": moment})) == {"k": datetime(2025, 12, 31, 23, 30, tzinfo=UTC)}


def test_characters_that_xml_does_not_know_are_replaced() -> None:
    assert loads(dumps({"k": "a\0b\x1bc\ud800d\uffffe\tf"})) == {"k": "a\ufffdb\ufffdc\ufffdd\ufffde\tf"}


def test_an_enum_of_strings_is_written_as_its_value() -> None:
    class Colour(StrEnum):
        RED = "red"

    assert loads(dumps({"k": Colour.RED})) == {"k": "red"}


@pytest.mark.parametrize(
    "value",
    [
        None,
        [None],
        {"a": None},
        float("nan"),
        float("inf"),
        2**64,
        -(2**63) - 1,
        datetime(2026, 1, 1),
        object(),
        {1: 2},
        {"\0": 1},
        {"\r": 1},
    ],
)
def test_what_no_plist_holds_is_refused(value: object) -> None:
    with pytest.raises(PlistMalformed):
        dumps({"k": value})


def test_what_is_too_deep_to_be_read_is_not_written() -> None:
    value: list[Any] = []
    for _ in range(63):
        value = [value]

    with pytest.raises(PlistTooLarge):
        dumps({"k": value})
    assert loads(dumps({"k": value[0]})) == {"k": value[0]}
