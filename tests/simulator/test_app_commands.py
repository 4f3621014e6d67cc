"""How simulated devices answer to commands about apps, and what becomes of the apps meanwhile."""

from pathlib import Path
from random import Random
from typing import Any

import pytest

from mdmserver.protocol import EnrollmentType, Status, build_command, parse_report
from mdmserver.simulator.apps import MANAGED_CONFIGURATION, Rejection
from mdmserver.simulator.condition import Condition

CAPTURES = Path(__file__).parents[3] / "shared" / "reference" / "captures"
PINGID = "com.pingidentity.pingid.prod"
TOKEN = {"PINGID_MDM_TOKEN": "a token"}
AWAKE = Condition()


def asked(device: Any, request_type: str, *, user: bool = False, **command: Any) -> Any:
    """The report of the device about this command."""
    channel = device.user_channel if user else device.channel
    body = build_command("C1", {"RequestType": request_type, **command}).body
    return parse_report(channel.execute(body, AWAKE).body)


def installed(device: Any, **command: Any) -> Any:
    return asked(device, "InstallApplication", iTunesStoreID=891247102, **command)


def told(device: Any, *identifiers: str) -> dict[str, str]:
    """The states in a list of managed apps."""
    named = {"Identifiers": list(identifiers)} if identifiers else {}
    listed = asked(device, "ManagedApplicationList", **named).plist["ManagedApplicationList"]
    return {identifier: entry["Status"] for identifier, entry in listed.items()}


def configured(device: Any, configuration: dict[str, Any] | None, identifier: str = PINGID) -> Any:
    item: dict[str, Any] = {"Item": "ApplicationConfiguration", "Identifier": identifier}
    if configuration is not None:
        item["Configuration"] = configuration
    (answer,) = asked(device, "Settings", Settings=[item]).plist["Settings"]
    return answer


def read_back(device: Any, identifier: str = PINGID) -> list[Any]:
    found = asked(device, "ManagedApplicationConfiguration", Identifiers=[identifier])
    configurations: list[Any] = found.plist["ApplicationConfigurations"]
    return configurations


@pytest.fixture
def phone(make_device: Any) -> Any:
    return make_device()


@pytest.fixture
def with_pingid(phone: Any) -> Any:
    installed(phone, Configuration=TOKEN)
    assert told(phone) == {PINGID: "Managed"}
    return phone


def test_pingid_is_known_by_its_app_store_id_and_the_person_is_asked(phone: Any) -> None:
    report = installed(phone)

    assert report.status is Status.ACKNOWLEDGED
    assert (report.plist["Identifier"], report.plist["State"]) == (PINGID, "Prompting")


def test_an_app_becomes_managed_by_itself_after_a_look(phone: Any) -> None:
    installed(phone, Configuration=TOKEN)
    assert phone.channel.installed.apps.defaults(PINGID) == {}

    assert told(phone) == {PINGID: "Managed"}

    assert phone.channel.installed.apps.defaults(PINGID) == {MANAGED_CONFIGURATION: TOKEN}


def test_a_slow_installation_is_seen_by_several_looks(make_device: Any) -> None:
    phone = make_device(app_looks=2)
    installed(phone)

    assert [told(phone)[PINGID] for _ in range(4)] == ["Installing", "Installing", "Managed", "Managed"]


def test_a_licensed_app_is_installed_without_a_question(phone: Any) -> None:
    assert installed(phone, Options={"PurchaseMethod": 1}).plist["State"] == "Installing"


def test_an_installation_by_an_unknown_number_has_a_name_of_its_own(phone: Any) -> None:
    report = asked(phone, "InstallApplication", iTunesStoreID=7)

    assert report.plist["Identifier"] == "com.example.app-7"


def test_a_command_that_names_no_app_has_no_form(phone: Any) -> None:
    assert asked(phone, "InstallApplication").status is Status.COMMAND_FORMAT_ERROR


def test_the_list_can_be_of_some_apps(with_pingid: Any) -> None:
    asked(with_pingid, "InstallApplication", Identifier="com.example.other")

    assert told(with_pingid, PINGID, "com.example.none") == {PINGID: "Managed"}


@pytest.mark.skipif(not CAPTURES.exists(), reason="the captures are not here")
def test_a_second_question_is_refused_as_a_real_iphone_did(phone: Any) -> None:
    real = parse_report((CAPTURES / "InstallApplication" / "iOS-11.3.1-alreadyprompting.xml").read_bytes())
    installed(phone)

    report = installed(phone)

    assert report.status is real.status
    assert report.error_chain[0].code == real.error_chain[0].code
    assert report.error_chain[0].domain == real.error_chain[0].domain


def test_an_app_of_the_persons_own_is_not_installed_again(phone: Any) -> None:
    phone.channel.installed.apps.install_by_person(PINGID)

    report = installed(phone)

    assert (report.status, report.plist["RejectionReason"]) == (Status.ERROR, "AppAlreadyInstalled")
    assert report.error_chain[0].code == 12025
    assert told(phone) == {}


def test_an_app_of_the_persons_own_is_taken_over_when_the_person_agrees(phone: Any) -> None:
    phone.channel.installed.apps.install_by_person(PINGID)

    report = installed(phone, ChangeManagementState="Managed", Configuration=TOKEN)

    assert report.plist["State"] == "PromptingForManagement"
    assert phone.channel.installed.apps.defaults(PINGID) == {}
    assert told(phone) == {PINGID: "Managed"}
    assert phone.channel.installed.apps.defaults(PINGID) == {MANAGED_CONFIGURATION: TOKEN}


def test_a_person_who_keeps_their_app_to_themselves_is_told_of_once(phone: Any) -> None:
    apps = phone.channel.installed.apps
    apps.install_by_person(PINGID)
    apps.answers.append(False)
    installed(phone, ChangeManagementState="Managed", Configuration=TOKEN)

    assert [told(phone), told(phone)] == [{PINGID: "ManagementRejected"}, {}]
    assert apps.of_person == {PINGID}
    assert read_back(phone) == []


def test_a_person_who_declines_the_app_is_told_of_once(phone: Any) -> None:
    phone.channel.installed.apps.answers.append(False)
    installed(phone)

    assert told(phone, "com.example.other") == {}  # a list of other apps tells nothing
    assert [told(phone), told(phone)] == [{PINGID: "UserRejected"}, {}]


def test_a_share_of_persons_declines(make_device: Any) -> None:
    assert told_after_install(make_device(app_rejections=1.0)) == {PINGID: "UserRejected"}
    assert told_after_install(make_device(app_rejections=0.0)) == {PINGID: "Managed"}


def told_after_install(device: Any) -> dict[str, str]:
    installed(device)
    return told(device)


def test_an_app_that_the_person_got_meanwhile_is_told_of_once_and_stays_theirs(phone: Any) -> None:
    installed(phone)
    phone.channel.installed.apps.install_by_person(PINGID)

    assert [told(phone), told(phone)] == [{PINGID: "UserInstalledApp"}, {}]
    assert phone.channel.installed.apps.of_person == {PINGID}


def test_an_app_that_the_person_removed_is_still_managed_and_has_lost_its_configuration(with_pingid: Any) -> None:
    with_pingid.channel.installed.apps.remove_by_person(PINGID)

    assert told(with_pingid) == {PINGID: "ManagedButUninstalled"}
    assert read_back(with_pingid) == []
    assert configured(with_pingid, TOKEN)["Status"] == "Error"


def test_a_removed_app_that_comes_back_is_managed_again(with_pingid: Any) -> None:
    apps = with_pingid.channel.installed.apps
    apps.remove_by_person(PINGID)
    apps.install_by_person(PINGID)

    assert told(with_pingid) == {PINGID: "Managed"}
    assert apps.of_person == set()


@pytest.mark.parametrize("why", list(Rejection))
def test_an_installation_can_be_rejected_for_every_reason(why: Rejection, phone: Any) -> None:
    phone.channel.installed.apps.rejections.append(why)

    assert installed(phone).plist["RejectionReason"] == why.value
    assert installed(phone).status is Status.ACKNOWLEDGED


def test_an_installation_of_a_managed_app_replaces_its_configuration(with_pingid: Any) -> None:
    report = installed(with_pingid, Configuration={"k": 1}, ManagementFlags=1)

    assert report.plist["State"] == "Managed"
    assert read_back(with_pingid) == [{"Identifier": PINGID, "Configuration": {"k": 1}}]


def test_a_configuration_is_replaced_as_a_whole_and_removed_when_none_is_sent(with_pingid: Any) -> None:
    assert configured(with_pingid, {"other": "value"})["Status"] == "Acknowledged"
    assert read_back(with_pingid) == [{"Identifier": PINGID, "Configuration": {"other": "value"}}]

    configured(with_pingid, None)

    assert read_back(with_pingid) == []
    assert with_pingid.channel.installed.apps.defaults(PINGID) == {}


def test_an_app_that_is_still_being_installed_takes_no_settings(make_device: Any) -> None:
    phone = make_device(app_looks=3)
    installed(phone)

    assert configured(phone, TOKEN)["ErrorChain"][0]["ErrorCode"] == 12029


def test_attributes_are_set_and_read_back(with_pingid: Any) -> None:
    item = {"Item": "ApplicationAttributes", "Identifier": PINGID, "Attributes": {"Removable": False}}

    asked(with_pingid, "Settings", Settings=[item])
    read = asked(with_pingid, "ManagedApplicationAttributes", Identifiers=[PINGID])

    assert read.plist["ApplicationAttributes"] == [{"Identifier": PINGID, "Attributes": {"Removable": False}}]


def test_feedback_is_read_until_it_is_deleted(with_pingid: Any) -> None:
    with_pingid.channel.installed.apps.give_feedback(PINGID, {"paired": True})
    given = [{"Identifier": PINGID, "Feedback": {"paired": True}}]

    answers = [
        asked(with_pingid, "ManagedApplicationFeedback", Identifiers=[PINGID], DeleteFeedback=deletes).plist
        for deletes in (False, True, False)
    ]

    assert [answer["ManagedApplicationFeedback"] for answer in answers] == [given, given, []]


def test_a_mac_tells_of_feedback_only_on_the_users_channel(make_device: Any) -> None:
    mac = make_device("Mac")

    assert asked(mac, "ManagedApplicationFeedback", Identifiers=[]).status is Status.ERROR
    assert asked(mac, "ManagedApplicationFeedback", user=True, Identifiers=[]).status is Status.ACKNOWLEDGED


def test_a_mac_has_no_pingid_app_and_gives_no_other_reason(make_device: Any) -> None:
    report = installed(make_device("Mac"), InstallAsManaged=True)

    assert (report.status, report.plist["RejectionReason"]) == (Status.ERROR, "Other")


def test_a_mac_installs_as_managed_only_what_is_said_to_be(make_device: Any) -> None:
    mac = make_device("Mac")
    asked(mac, "InstallApplication", iTunesStoreID=497799835, InstallAsManaged=True)
    assert told(mac) == {"com.apple.dt.Xcode": "Managed"}

    asked(mac, "InstallApplication", iTunesStoreID=497799835)

    assert told(mac) == {}
    assert mac.channel.installed.apps.of_person == {"com.apple.dt.Xcode"}


def test_a_mac_installs_an_enterprise_app_by_its_manifest_and_says_nothing_of_it(make_device: Any) -> None:
    mac, url = make_device("Mac"), "https://apps.example.com/com.example.tool.plist"

    report = asked(mac, "InstallEnterpriseApplication", ManifestURL=url, InstallAsManaged=True)

    assert (report.status, "State" in report.plist) == (Status.ACKNOWLEDGED, False)
    assert told(mac) == {"com.example.tool": "Managed"}


def test_a_mac_takes_a_configuration_for_any_app(make_device: Any) -> None:
    mac = make_device("Mac")

    assert configured(mac, TOKEN, "com.example.tool")["Status"] == "Acknowledged"
    assert read_back(mac, "com.example.tool") == [{"Identifier": "com.example.tool", "Configuration": TOKEN}]


def test_a_device_of_the_persons_own_refuses_to_take_apps_over(make_device: Any) -> None:
    device = make_device(anonymous_id="6F1A")

    report = installed(device, ChangeManagementState="Managed", Options={"PurchaseMethod": 1})

    assert report.enrollment_id.type is EnrollmentType.USER_ENROLLMENT_DEVICE
    assert report.status is Status.ERROR
    assert "invalid" in (report.error_chain[0].us_english_description or "")
    assert told(device) == {}


def test_a_device_of_the_persons_own_wants_apps_with_a_licence(make_device: Any) -> None:
    device = make_device(anonymous_id="6F1A")

    assert installed(device).plist["RejectionReason"] == "PurchaseMethodNotSupported"
    assert installed(device, Options={"PurchaseMethod": 1}).plist["State"] == "Installing"


async def test_a_device_that_enrolls_again_has_no_more_of_what_it_was_given(enrolled: Any, transport: Any) -> None:
    device = await enrolled()
    apps = device.channel.installed.apps
    apps.install_by_person("com.example.own")
    installed(device, ManagementFlags=1, Configuration=TOKEN)
    asked(device, "InstallApplication", Identifier="com.example.kept")
    told(device)

    await device.enroll(transport)

    assert (told(device), apps.configurations) == ({}, {})
    assert apps.of_person == {"com.example.own", "com.example.kept"}


async def test_a_device_that_is_erased_has_no_apps_at_all(server: Any, enrolled: Any, transport: Any) -> None:
    device = await enrolled()
    device.channel.installed.apps.install_by_person("com.example.own")
    server.enqueue(device.channel.enrollment_id, RequestType="EraseDevice")

    await device.connect(transport)

    assert device.channel.installed.apps.of_person == set()


def test_chance_is_the_devices_own(make_device: Any) -> None:
    def course(seed: int) -> list[str]:
        device, random = make_device(seed=seed, app_rejections=0.5), Random(9)
        states = []
        for number in random.sample(range(1000), 12):
            asked(device, "InstallApplication", iTunesStoreID=number)
            states.append(told(device)[f"com.example.app-{number}"])
        return states

    assert course(1) == course(1)
    assert set(course(1)) == {"Managed", "UserRejected"}
