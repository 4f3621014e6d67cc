"""Plists as JSON and back."""

import plistlib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdmserver.errors import Invalid
from mdmserver.protocol import dumps, loads
from mdmserver.web.api.plist_json import MASK, from_json, masked, to_json

SCALARS = (
    st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="\x7f\x80\x85\r"))
    | st.integers(min_value=-(2**63), max_value=2**64 - 1)
    | st.booleans()
    | st.binary(max_size=40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2100, 1, 1)).map(
        lambda at: at.replace(microsecond=0, tzinfo=UTC)
    )
)
KEYS = st.sampled_from(["a", "b", "$data", "$date", "$dict", "$", "c"])
PLISTS = st.dictionaries(
    KEYS, st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4))
)


@given(PLISTS)
def test_json_form_goes_back_to_the_same_plist(plist: dict[str, Any]) -> None:
    assert from_json(to_json(plist)) == plist


@given(PLISTS)
def test_json_form_goes_back_through_xml_too(plist: dict[str, Any]) -> None:
    assert loads(dumps(from_json(to_json(plist)))) == loads(dumps(plist))


def test_data_dates_and_big_integers_have_forms_of_their_own() -> None:
    form = to_json({"d": b"\x00\xff", "t": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "n": 2**64 - 1})

    assert form == {"d": {"$data": "AP8="}, "t": {"$date": "2026-01-02T03:04:05Z"}, "n": 18446744073709551615}


def test_device_cannot_write_what_only_looks_like_data() -> None:
    form = to_json({"x": {"$data": "aGk="}})

    assert form == {"x": {"$dict": {"$data": "aGk="}}}


@pytest.mark.parametrize(
    "value",
    [
        {"$data": "not base64!"},
        {"$data": 5},
        {"$data": None},
        {"$date": "yesterday"},
        {"$date": "2026-01-02"},
        {"$date": "2026-01-02T03:04:05"},
        {"$date": "2026-13-02T03:04:05Z"},
        {"$date": "0001-01-01T00:00:00+23:59"},
        {"$date": 5},
        {"$dict": []},
        {"$ref": "x"},
        {"a": None},
        [None],
    ],
)
def test_form_that_no_plist_has_is_refused(value: Any) -> None:
    with pytest.raises(Invalid):
        from_json(value)


def test_times_with_an_offset_become_utc() -> None:
    assert from_json({"$date": "2026-01-02T05:04:05+02:00"}) == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_form_nested_too_deeply_is_refused() -> None:
    deep: Any = "x"
    for _ in range(70):
        deep = {"a": deep}

    with pytest.raises(Invalid, match="deeper"):
        from_json(deep)


SECRET_KEYS = [
    "UnlockToken", "BootstrapToken", "ActivationLockBypassCode", "PIN", "Password", "NewPassword", "passwordHash",
    "EncryptedNewRecoveryKey", "FDE_PersonalRecoveryKeyCMS", "PersonalRecoveryKey", "PushToken", "PushMagic",
    "PrivateKeyExport", "PINGID_MDM_TOKEN", "unusedRedemptionCode", "Passcode", "clientSecret",
]  # fmt: skip


@pytest.mark.parametrize("name", SECRET_KEYS)
@pytest.mark.parametrize("value", ["canary", b"canary", ["canary"], {"a": "canary"}, 123456])
def test_secret_is_masked_however_deep_it_is(name: str, value: Any) -> None:
    form = to_json(masked({"a": [{"b": {name: value}}]}))

    assert form == {"a": [{"b": {name: MASK}}]}


@pytest.mark.parametrize(
    "name", ["HasRemovalPasscode", "PasscodePresent", "HasSecureToken", "BootstrapTokenAllowedForAuthentication"]
)
def test_flag_that_only_speaks_of_a_secret_is_shown(name: str) -> None:
    assert masked({name: True}) == {name: True}


def test_what_is_no_secret_is_shown() -> None:
    plist = plistlib.loads(plistlib.dumps({"SerialNumber": "C02", "Mapping": "x", "Pinned": "y", "Keys": [1]}))

    assert masked(plist) == {"SerialNumber": "C02", "Mapping": "x", "Pinned": "y", "Keys": [1]}
