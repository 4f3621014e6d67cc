"""What simulated devices answer to commands, as iOS and macOS do; error shapes as in the captures."""

import plistlib
from pathlib import Path
from random import Random
from typing import Any

import pytest

from mdmserver.protocol import EnrollmentType, Status, build_command, loads, parse_report
from mdmserver.simulator.answers import REQUEST_TYPES
from mdmserver.simulator.condition import Condition
from mdmserver.simulator.facts import Platform, draw_facts

CAPTURES = Path(__file__).parents[3] / "shared" / "reference" / "captures" / "Errors"
PROFILE = {
    "PayloadType": "Configuration",
    "PayloadIdentifier": "org.example.wifi",
    "PayloadUUID": "0C2A1B5E-0000-4000-8000-000000000001",
    "PayloadVersion": 1,
    "PayloadContent": [{"PayloadType": "com.apple.wifi.managed", "PayloadIdentifier": "w", "PayloadUUID": "u"}],
}
IN_POWER_NAP = Condition(is_in_power_nap=True)
LOCKED = Condition(is_locked=True)
AWAKE = Condition()


def asked(device: Any, *, user: bool = False, condition: Condition = AWAKE, **command: Any) -> Any:
    """The report of the device about this command."""
    channel = device.user_channel if user else device.channel
    return parse_report(channel.execute(build_command("C1", command).body, condition).body)


def chain_of(report: Any) -> list[tuple[int | None, str | None]]:
    return [(item.code, item.domain) for item in report.error_chain]


@pytest.mark.parametrize("platform", ["iPhone", "iPad", "AppleTV"])
def test_mobile_devices_have_a_udid_of_eight_and_sixteen_digits(platform: str) -> None:
    chip, _, number = draw_facts(Platform(platform), Random(3)).udid.partition("-")

    assert (len(chip), len(number)) == (8, 16)
    assert int(chip + number, 16)


def test_the_same_seed_draws_the_same_device_and_another_seed_another() -> None:
    assert draw_facts(Platform.MAC, Random(1)) == draw_facts(Platform.MAC, Random(1))
    assert draw_facts(Platform.MAC, Random(1)).udid != draw_facts(Platform.MAC, Random(2)).udid


def test_a_mac_says_which_command_it_answers_and_an_iphone_does_not(make_device: Any) -> None:
    assert asked(make_device("Mac"), RequestType="ProfileList").request_type == "ProfileList"
    assert asked(make_device("iPhone"), RequestType="ProfileList").request_type is None


def test_the_users_channel_of_a_mac_answers_for_the_user(make_device: Any) -> None:
    report = asked(make_device("Mac"), user=True, RequestType="ProfileList")

    assert report.enrollment_id.type is EnrollmentType.USER
    assert report.not_on_console is False


def test_device_information_without_queries_says_everything(make_device: Any) -> None:
    device = make_device("Mac")

    answers = asked(device, RequestType="DeviceInformation").plist["QueryResponses"]

    assert answers["SerialNumber"] == device.facts.serial_number
    assert answers["OSUpdateSettings"]["AutoCheckEnabled"] is True


@pytest.mark.parametrize("platform", list(Platform))
@pytest.mark.parametrize("request_type", ["SecurityInfo", "CertificateList", "InstalledApplicationList"])
def test_every_platform_answers_what_every_platform_is_asked(
    platform: str, request_type: str, make_device: Any
) -> None:
    report = asked(make_device(platform), RequestType=request_type)

    assert report.status is Status.ACKNOWLEDGED
    assert report.plist[request_type]


def test_the_certificate_list_holds_the_identity(make_device: Any) -> None:
    device = make_device()

    (item,) = asked(device, RequestType="CertificateList").plist["CertificateList"]

    assert item == {"CommonName": device.facts.udid, "IsIdentity": True, "Data": device.identity.certificate_der}


def test_a_mac_full_of_apps_sends_a_list_of_over_a_hundred_kilobytes(make_device: Any) -> None:
    device = make_device("Mac", has_many_applications=True)

    body = device.channel.execute(build_command("C1", {"RequestType": "InstalledApplicationList"}).body, AWAKE).body

    assert 100_000 < len(body) < 200_000


def test_an_installed_profile_is_listed_until_it_is_removed(make_device: Any) -> None:
    device = make_device()

    asked(device, RequestType="InstallProfile", Payload=plistlib.dumps(PROFILE))
    listed = asked(device, RequestType="ProfileList").plist["ProfileList"]
    removed = asked(device, RequestType="RemoveProfile", Identifier="org.example.wifi")

    assert [item["PayloadIdentifier"] for item in listed] == ["org.example.wifi"]
    assert listed[0]["PayloadContent"][0]["PayloadType"] == "com.apple.wifi.managed"
    assert removed.status is Status.ACKNOWLEDGED
    assert asked(device, RequestType="ProfileList").plist["ProfileList"] == []


def test_a_profile_of_the_user_is_not_one_of_the_device(make_device: Any) -> None:
    device = make_device("Mac")

    asked(device, user=True, RequestType="InstallProfile", Payload=plistlib.dumps(PROFILE))

    assert asked(device, RequestType="ProfileList").plist["ProfileList"] == []


@pytest.mark.parametrize("payload", [b"no profile", b"", b"\x30\x03abc", plistlib.dumps({"PayloadVersion": 1})])
def test_what_is_no_profile_is_an_error(payload: bytes, make_device: Any) -> None:
    device = make_device()

    report = asked(device, RequestType="InstallProfile", Payload=payload)

    assert report.status is Status.ERROR
    assert device.channel.installed.profiles == {}


def test_the_configuration_of_a_managed_app_can_be_set_and_read_back(make_device: Any) -> None:
    device = make_device()
    asked(device, RequestType="InstallApplication", Identifier="com.example.app")
    asked(device, RequestType="ManagedApplicationList")  # by then it is there
    setting = {"Item": "ApplicationConfiguration", "Identifier": "com.example.app", "Configuration": {"k": "v"}}

    (made,) = asked(device, RequestType="Settings", Settings=[setting]).plist["Settings"]
    read = asked(device, RequestType="ManagedApplicationConfiguration", Identifiers=["com.example.app"])

    assert made["Status"] == "Acknowledged"
    assert read.plist["ApplicationConfigurations"] == [{"Identifier": "com.example.app", "Configuration": {"k": "v"}}]


def test_a_configuration_for_an_app_that_is_not_managed_is_an_error_of_that_item_alone(make_device: Any) -> None:
    setting = {"Item": "ApplicationConfiguration", "Identifier": "com.example.app", "Configuration": {}}

    report = asked(make_device(), RequestType="Settings", Settings=[setting])

    assert report.status is Status.ACKNOWLEDGED
    assert report.plist["Settings"][0]["Status"] == "Error"


@pytest.mark.skipif(not CAPTURES.exists(), reason="the captures are not here")
@pytest.mark.parametrize(
    ("platform", "command", "capture"),
    [
        ("iPhone", {"RequestType": "NoSuchCommand"}, "error_invalid_request_type.plist"),
        ("Mac", {"RequestType": "NoSuchCommand"}, "10.13.6-invalid-command.xml"),
        ("Mac", {"RequestType": "RemoveProfile"}, "10.12.5-invalid-command.xml"),
        ("iPhone", {"RequestType": "RemoveProfile"}, "iOS-11.3.1-CommandFormatError.xml"),
        ("iPhone", {"RequestType": "RemoveProfile", "Identifier": "x"}, "iOS-11.3.1-RemoveProfile-Unmanaged.xml"),
    ],
)
def test_errors_have_the_shape_of_those_that_real_devices_sent(
    platform: str, command: dict[str, Any], capture: str, make_device: Any
) -> None:
    real = parse_report((CAPTURES / capture).read_bytes())

    report = asked(make_device(platform), **command)

    assert report.status is real.status
    assert chain_of(report) == chain_of(real)


@pytest.mark.parametrize(
    ("platform", "request_type"),
    [("iPhone", "ScheduleOSUpdateScan"), ("Mac", "Restrictions"), ("AppleTV", "DeviceLock")],
)
def test_a_command_of_another_platform_is_not_known(platform: str, request_type: str, make_device: Any) -> None:
    report = asked(make_device(platform), RequestType=request_type)

    assert chain_of(report) == [(12021, "MCMDMErrorDomain")]


def test_a_command_for_the_device_is_not_known_on_the_users_channel(make_device: Any) -> None:
    assert asked(make_device("Mac"), user=True, RequestType="RestartDevice").status is Status.ERROR


@pytest.mark.parametrize("platform", ["iPhone", "iPad"])
@pytest.mark.parametrize(
    "request_type",
    [
        "DeviceInformation",
        "ProfileList",
        "DeviceLock",
        "EraseDevice",
        "ClearPasscode",
        "ProvisioningProfileList",
        "InstalledApplicationList",
        "Restrictions",
    ],
)
def test_what_ios_never_puts_off_is_not_put_off_while_locked(
    platform: str, request_type: str, make_device: Any
) -> None:
    device = make_device(platform)

    statuses = {asked(device, condition=LOCKED, RequestType=request_type).status for _ in range(20)}

    assert Status.NOT_NOW not in statuses


@pytest.mark.parametrize("request_type", ["InstallProfile", "InstallProvisioningProfile", "SecurityInfo"])
def test_what_needs_the_passcode_is_put_off_while_locked(request_type: str, make_device: Any) -> None:
    device = make_device("iPad")

    report = asked(device, condition=LOCKED, RequestType=request_type)

    assert report.status is Status.NOT_NOW
    assert device.executed == {}


def test_a_locked_iphone_puts_a_certificate_list_off_sometimes(make_device: Any) -> None:
    device = make_device()

    statuses = {asked(device, condition=LOCKED, RequestType="CertificateList").status for _ in range(40)}

    assert statuses == {Status.NOT_NOW, Status.ACKNOWLEDGED}


def test_a_mac_in_power_nap_puts_all_off_but_what_must_be_done(make_device: Any) -> None:
    device = make_device("Mac")

    assert asked(device, condition=IN_POWER_NAP, RequestType="ProfileList").status is Status.NOT_NOW
    assert asked(device, condition=IN_POWER_NAP, RequestType="RestartDevice").status is Status.ACKNOWLEDGED
    assert asked(device, condition=IN_POWER_NAP, RequestType="UserList").status is Status.ACKNOWLEDGED


def test_a_mac_with_a_locked_keychain_puts_profiles_of_the_user_off_and_no_others(make_device: Any) -> None:
    device = make_device("Mac")
    command = {"RequestType": "InstallProfile", "Payload": plistlib.dumps(PROFILE)}

    assert asked(device, user=True, condition=LOCKED, **command).status is Status.NOT_NOW
    assert asked(device, condition=LOCKED, **command).status is Status.ACKNOWLEDGED


def test_every_answer_can_be_written_and_read(make_device: Any) -> None:
    for platform in Platform:
        device = make_device(platform)
        for request_type in REQUEST_TYPES:
            body = device.channel.execute(build_command("C1", {"RequestType": request_type}).body, AWAKE).body
            assert loads(body)["CommandUUID"] == "C1"
