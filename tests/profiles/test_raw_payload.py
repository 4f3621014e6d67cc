"""The payload of any other type: whatever a plist can hold arrives as it was, and nothing else is taken."""

import plistlib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiles import KeyInvalid, PayloadRefused, RawPayload, render
from profiles.payloads.payload import COMMON_KEYS
from tests.profiles.examples import profile, uuid

CHARACTERS = st.characters(
    codec="utf-8", exclude_categories=["Cs"], exclude_characters=[*map(chr, range(32)), "\ufffe", "\uffff"]
) | st.sampled_from("\t\n")
TEXTS = st.text(CHARACTERS, max_size=20)
NAMES = st.text(CHARACTERS, min_size=1).filter(lambda name: name not in COMMON_KEYS)
SCALARS = (
    TEXTS
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.binary()
    | st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC)).map(lambda at: at.replace(microsecond=0))
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner), max_leaves=8)


def raw(content: Any, type_name: str = "com.example.type") -> RawPayload:
    return RawPayload(identifier="com.example.raw", uuid=uuid(1), type=type_name, content=content)


def without_zones(value: Any) -> Any:
    """plistlib reads times as naive UTC."""
    match value:
        case datetime():
            return value.replace(tzinfo=None)
        case dict():
            return {key: without_zones(item) for key, item in value.items()}
        case list():
            return [without_zones(item) for item in value]
    return value


def same(one: Any, two: Any) -> bool:
    """Equal, and of the same types all the way down: 1, 1.0 and True are three values to a plist."""
    if type(one) is not type(two):
        return False
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(two) and all(map(same, one, two))
    return bool(one == two)


@settings(max_examples=60)
@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_what_a_plist_can_hold_arrives_as_it_was(content: dict[str, Any]) -> None:
    read = plistlib.loads(render(profile(raw(content))))["PayloadContent"][0]

    assert same({key: value for key, value in read.items() if key not in COMMON_KEYS}, without_zones(content))


@pytest.mark.parametrize(
    "value",
    [
        None,
        object,
        {1, 2},
        float("nan"),
        float("inf"),
        2**64,
        -(2**63) - 1,
        datetime(2026, 1, 1),
        "\x00",
        "\x1b[31m",
        "\ud800",
        "\uffff",
        {1: "a"},
        {"": "a"},
        {"a\rb": "c"},
        {"\x00": "a"},
        plistlib.UID(1),
    ],
    ids=repr,
)
def test_what_a_plist_cannot_hold_is_refused_by_the_path_to_it(value: object) -> None:
    with pytest.raises(KeyInvalid) as raised:
        raw({"a": [{"b": value}]})

    assert raised.value.key == "com.example.type.a[0].b"


def test_line_ends_become_lf_before_the_bytes_are_made() -> None:
    payload = raw({"a": "one\r\ntwo\rthree\n"})

    assert payload.content["a"] == "one\ntwo\nthree\n"


def test_nesting_has_an_end() -> None:
    value: Any = "a"
    for _ in range(100_000):
        value = [value]

    with pytest.raises(KeyInvalid):
        raw({"a": value})


@pytest.mark.parametrize("key", sorted(COMMON_KEYS))
def test_the_keys_of_every_payload_are_not_set_by_content(key: str) -> None:
    with pytest.raises(KeyInvalid) as raised:
        raw({key: "a"})

    assert raised.value.key == key


def test_other_keys_that_begin_with_payload_belong_to_types() -> None:
    payload = raw({"PayloadContent": b"a", "PayloadCertificateFileName": "a.cer"})

    assert render(profile(payload))


def test_content_that_changes_afterwards_changes_nothing() -> None:
    content = {"a": [1]}
    payload = raw(content)

    content["a"].append(2)

    assert payload.content == {"a": [1]}


def test_an_identity_with_its_private_key_is_put_into_no_profile() -> None:
    with pytest.raises(PayloadRefused):
        raw({"PayloadContent": b"a"}, "com.apple.security.pkcs12")


def test_management_is_not_made_from_raw_keys() -> None:
    with pytest.raises(KeyInvalid):
        raw({"Topic": "a"}, "com.apple.mdm")
