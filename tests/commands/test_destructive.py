"""The rules of destructive commands: how many, until when, held back how long, which PIN."""

from dataclasses import replace
from datetime import timedelta

import pytest

from mdmserver.commands.destructive import (
    DestructiveRules,
    Use,
    check_cap,
    is_pin,
    limited,
    may_be_a_mac,
    takes_a_new_pin,
)
from mdmserver.commands.model import NewCommand
from mdmserver.errors import Conflict, Invalid
from mdmserver.protocol import CommandUUID
from tests.fleet import START

RULES = DestructiveRules()
COMMAND = NewCommand(
    uuid=CommandUUID("C1"), request_type="EraseDevice", body=b"", content_hash=b"", is_destructive=True
)


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


@pytest.mark.parametrize(
    ("enabled", "cap"), [(0, 5), (1, 5), (500, 5), (599, 5), (600, 6), (12_345, 123), (100_000, 1000)]
)
def test_five_devices_or_one_percent_are_allowed_whichever_is_more(enabled: int, cap: int) -> None:
    assert RULES.cap(enabled) == cap


def test_the_configuration_raises_or_lowers_the_cap() -> None:
    assert DestructiveRules(per_ten_minutes=2).cap(100_000) == 2
    assert DestructiveRules(per_ten_minutes=5000).cap(10) == 5000
    assert DestructiveRules(cap_percent=10).cap(1000) == 100


def test_the_cap_may_be_used_up_but_not_passed() -> None:
    uses = [Use(at=START, devices=2)]

    check_cap(uses, 3, cap=5, at=START)
    with pytest.raises(Conflict):
        check_cap(uses, 4, cap=5, at=START)


def test_a_refusal_says_when_enough_uses_have_passed_and_what_raises_the_cap() -> None:
    uses = [Use(at=START, devices=1), Use(at=START + minutes(2), devices=3), Use(at=START + minutes(4), devices=1)]

    with pytest.raises(Conflict, match=r"2026-01-01T00:12:01\+00:00.*destructive\.per_ten_minutes") as refused:
        check_cap(uses, 3, cap=5, at=START + minutes(5))

    assert refused.value.code == "destructive_cap_reached"


def test_more_than_the_cap_in_one_call_is_never_promised_for_later() -> None:
    with pytest.raises(Conflict, match=r"6 devices at once are more than the 5.*destructive\.per_ten_minutes"):
        check_cap([], 6, cap=5, at=START)


def test_without_an_expiry_it_lives_a_day() -> None:
    command = limited(COMMAND, RULES, targets=1, at=START)

    assert (command.not_before, command.expires_at) == (None, START + timedelta(hours=24))


def test_an_earlier_expiry_holds_and_a_later_one_is_refused() -> None:
    day = timedelta(hours=24)
    asked = replace(COMMAND, expires_at=START + day)

    assert limited(asked, RULES, targets=1, at=START).expires_at == START + day
    with pytest.raises(Invalid, match=r"destructive\.ttl_hours"):
        limited(asked, DestructiveRules(time_to_live=minutes(60)), targets=1, at=START)


def test_for_several_devices_it_waits_and_for_one_or_at_a_given_time_it_does_not() -> None:
    given = replace(COMMAND, not_before=START)

    assert limited(COMMAND, RULES, targets=2, at=START).not_before == START + minutes(5)
    assert limited(given, RULES, targets=2, at=START).not_before == START
    assert limited(COMMAND, DestructiveRules(hold=minutes(0)), targets=2, at=START).not_before is None


def test_what_would_expire_before_it_may_go_is_refused() -> None:
    late = replace(COMMAND, not_before=START + timedelta(hours=24))

    with pytest.raises(Invalid):
        limited(late, RULES, targets=1, at=START)


def test_a_pin_is_made_for_what_takes_one_and_has_none() -> None:
    assert takes_a_new_pin({"RequestType": "EraseDevice"})
    assert takes_a_new_pin({"RequestType": "DeviceLock", "Message": "m"})
    assert not takes_a_new_pin({"RequestType": "DeviceLock", "PIN": "012345"})
    assert not takes_a_new_pin({"RequestType": "ClearPasscode"})


@pytest.mark.parametrize("pin", ["12345", "1234567", "12345a", "", 123456, "१२३४५६", "²23456"])
def test_what_no_mac_takes_as_a_pin_is_refused(pin: object) -> None:
    assert not is_pin(pin)
    with pytest.raises(Invalid):
        takes_a_new_pin({"RequestType": "EraseDevice", "PIN": pin})


def test_only_what_is_known_to_be_no_mac_gets_no_pin() -> None:
    assert may_be_a_mac(None)
    assert may_be_a_mac("MacBookPro18,3")
    assert may_be_a_mac("VirtualMac2,1")
    assert not any(may_be_a_mac(name) for name in ("iPhone15,2", "iPad14,1", "AppleTV6,2", "Watch7,1"))
