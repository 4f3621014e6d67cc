"""When two configurations are the same, and what may be stored of one (S24)."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import combinations
from typing import Any

import pytest

from mdmserver.apps.model import (
    DATA_MARK,
    READ_BACK_KEY,
    TEXT_MARK,
    NewApp,
    answer_with_fingerprints,
    is_same,
    with_fingerprints,
)
from mdmserver.assignments.model import Platform
from mdmserver.errors import Invalid
from mdmserver.protocol import dumps, loads

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
DISTINCT: list[Any] = [
    True, False, 0, 1, 2, 1.5, "", "1", "true", "a", b"", b"1", b"a", NOON, NOON + timedelta(seconds=1), [], [1], ["1"],
    [1, 2], [2, 1], {}, {"a": 1}, {"a": True}, {"a": "1"}, {"b": 1}, {"a": 1, "b": 1}, {"a": {"a": 1}}, {"a": [1]},
]  # fmt: skip


def fingerprint(value: bytes) -> str:
    return value.hex()


@pytest.mark.parametrize("one", DISTINCT, ids=repr)
def test_a_value_is_the_same_as_itself_after_the_wire_and_as_a_fingerprint(one: Any) -> None:
    read = loads(dumps({"v": one}))["v"]

    assert is_same(one, read)
    assert is_same(with_fingerprints(one, fingerprint), with_fingerprints(read, fingerprint))


@pytest.mark.parametrize(("one", "other"), list(combinations(DISTINCT, 2)), ids=repr)
def test_different_values_are_different_as_they_are_and_as_fingerprints(one: Any, other: Any) -> None:
    for left, right in ((one, other), (other, one)):
        assert not is_same(left, right)
        assert not is_same(with_fingerprints(left, fingerprint), with_fingerprints(right, fingerprint))


@pytest.mark.parametrize(("one", "other"), [(2.0, 2), (2, 2.0), (0, 0.0)])
def test_a_whole_real_and_its_integer_are_the_same_number(one: float, other: float) -> None:
    assert is_same(one, other)
    assert is_same({"a": [one]}, {"a": [other]})


@pytest.mark.parametrize("answered", [None, "", 1, []])
def test_no_dictionary_is_not_the_same_as_an_empty_one(answered: object) -> None:
    assert not is_same({}, answered)


def test_the_order_of_keys_does_not_matter() -> None:
    assert is_same({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1})


def test_texts_and_data_become_fingerprints_at_every_depth_and_nothing_else_does() -> None:
    value = {"a": "x", "b": [b"x", {"c": "y"}], "n": 1, "r": 1.5, "f": False, "d": NOON}

    assert with_fingerprints(value, fingerprint) == {
        "a": f"{TEXT_MARK}78", "b": [f"{DATA_MARK}78", {"c": f"{TEXT_MARK}79"}], "n": 1, "r": 1.5, "f": False,
        "d": NOON,
    }  # fmt: skip
    assert with_fingerprints(NOON.astimezone(timezone(timedelta(hours=2))).replace(microsecond=5), fingerprint) == NOON


def test_only_the_identifier_of_a_read_back_is_kept_as_it_is() -> None:
    plist = {
        "Status": "Acknowledged",
        READ_BACK_KEY: [{"Identifier": "a.b", "Configuration": {"T": "secret"}, "Else": "secret"}, "secret"],
    }

    safe = answer_with_fingerprints(plist, fingerprint)

    assert "secret" not in repr(safe)
    assert safe["Status"] == "Acknowledged"
    assert safe[READ_BACK_KEY][0]["Identifier"] == "a.b"


@pytest.mark.parametrize("answer", ["secret", {"Identifier": "a.b", "Configuration": "secret"}, b"secret", None, 1])
def test_a_read_back_of_any_shape_loses_its_texts(answer: object) -> None:
    safe = answer_with_fingerprints({READ_BACK_KEY: answer}, fingerprint)

    assert "secret" not in repr(safe)
    assert isinstance(safe[READ_BACK_KEY], list)


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": ""}, {"key": "PingID"}, {"key": "-a"}, {"key": "a" * 64}, {"name": ""}, {"name": "a\nb"},
        {"name": "a" * 201}, {"bundle_id": ""}, {"bundle_id": "a b"}, {"bundle_id": "ä"}, {"app_store_id": 0},
        {"app_store_id": 2**63}, {"manifest_url": "http://example.com"}, {"manifest_url": "ftp://example.com"},
        {"platforms": frozenset()}, {"preference_domain": ""}, {"preference_domain": "nodot"},
        {"preference_domain": "com.apple.Safari"}, {"preference_domain": "a..b"},
        {"preference_domain": "a." + "b" * 255},
    ],
    ids=repr,
)  # fmt: skip
def test_an_app_that_can_be_none_is_refused(wrong: dict[str, Any]) -> None:
    good: dict[str, Any] = {"key": "a", "name": "A", "bundle_id": "com.example.a", "preference_domain": "com.example.a"}
    NewApp(**good)

    with pytest.raises(Invalid):
        NewApp(**(good | wrong))


def test_an_app_is_for_phones_unless_it_says_otherwise() -> None:
    assert NewApp(key="a", name="A", bundle_id="com.example.a").platforms == {Platform.IOS}
