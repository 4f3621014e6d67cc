"""The table of RequestTypes says what Apple's schema says."""

from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # PyYAML has no types

from mdmserver.protocol import (
    DESTRUCTIVE_REQUEST_TYPES,
    REQUEST_TYPES,
    AccessRight,
    Channel,
    Platform,
    is_destructive,
    is_known,
)

SCHEMA = Path(__file__).resolve().parents[3] / "shared" / "reference" / "apple-schema" / "mdm" / "commands"
SYNONYMS = {"DeviceLockAndRemovePasscode": "PasscodeRemovalAndLock", "QueryInstalledApps": "QueryApplications"}

needs_schema = pytest.mark.skipif(not SCHEMA.is_dir(), reason="Apple's schema is not on this machine")


def _schema() -> dict[str, dict[str, Any]]:
    payloads = [yaml.safe_load(path.read_text(encoding="utf-8"))["payload"] for path in SCHEMA.glob("*.yaml")]
    return {payload["requesttype"]: payload["supportedOS"] for payload in payloads}


def _channels(support: dict[str, Any], platform: Platform) -> Channel:
    system = support.get("iOS" if platform is Platform.SHARED_IPAD else str(platform), {"introduced": "n/a"})
    shared_mode = system.get("sharedipad", {}).get("mode")
    if system["introduced"] == "n/a":
        return Channel.NONE
    if platform is Platform.SHARED_IPAD:
        flags = system.get("sharedipad", {}) if shared_mode in ("allowed", "required") else {"devicechannel": False}
    else:
        flags = {"devicechannel": False} if shared_mode == "required" else system
    device = Channel.DEVICE if flags.get("devicechannel", True) else Channel.NONE
    return device | (Channel.USER if flags.get("userchannel", False) else Channel.NONE)


def _right_name(right: AccessRight) -> str:
    return (right.name or "").replace("_", "").lower()


@needs_schema
def test_every_request_type_of_the_schema_is_known_and_no_other() -> None:
    assert REQUEST_TYPES.keys() == _schema().keys()
    assert len(REQUEST_TYPES) == 66


@needs_schema
def test_the_channels_on_each_platform_are_those_of_the_schema() -> None:
    for request_type, support in _schema().items():
        for platform in Platform:
            expected = _channels(support, platform)
            assert REQUEST_TYPES[request_type].channels_on(platform) == expected, (request_type, platform)


@needs_schema
def test_the_access_rights_are_those_of_the_schema() -> None:
    for request_type, support in _schema().items():
        named = {system.get("accessrights", "None") for system in support.values()} - {"None", "n/a", "Special Case"}
        expected = {SYNONYMS.get(name, name).removeprefix("Allow").lower() for name in named}
        right = REQUEST_TYPES[request_type].access_right
        assert ({_right_name(right)} if right else set()) == expected, request_type


def test_a_mac_user_takes_a_profile_and_no_lock() -> None:
    assert Channel.USER in REQUEST_TYPES["InstallProfile"].channels_on(Platform.MACOS)
    assert REQUEST_TYPES["DeviceLock"].channels_on(Platform.MACOS) is Channel.DEVICE
    assert REQUEST_TYPES["DeviceLock"].channels_on(Platform.TVOS) is Channel.NONE


def test_an_unknown_request_type_is_only_unknown() -> None:
    assert not is_known("MadeUp")
    assert not is_destructive("MadeUp")


def test_what_erases_locks_or_clears_a_passcode_is_destructive() -> None:
    assert {"EraseDevice", "DeviceLock", "ClearPasscode"} <= DESTRUCTIVE_REQUEST_TYPES <= REQUEST_TYPES.keys()
    assert all(is_destructive(request_type) for request_type in DESTRUCTIVE_REQUEST_TYPES)
    assert not is_destructive("DeviceInformation")


def test_removing_a_profile_is_destructive_where_it_is_the_enrollment_profile_or_may_be() -> None:
    other, own = {"Identifier": "com.example.wifi"}, {"Identifier": "com.example.mdm"}

    assert is_destructive("RemoveProfile", own, enrollment_profile_identifier="com.example.mdm")
    assert not is_destructive("RemoveProfile", other, enrollment_profile_identifier="com.example.mdm")
    assert is_destructive("RemoveProfile", other)
    assert is_destructive("RemoveProfile")
