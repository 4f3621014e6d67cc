"""Commands and reports, on both sides of the wire."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdmserver.protocol import (
    CommandReport,
    CommandUUID,
    EnrollmentID,
    EnrollmentType,
    ErrorItem,
    MessageMalformed,
    PlistMalformed,
    Status,
    build_command,
    dumps,
    encode_report,
    parse_command,
    parse_command_payload,
    parse_report,
    parse_report_plist,
    report_from_root,
    scan_root_strings,
)

DEVICE = EnrollmentID(EnrollmentType.DEVICE, "D1")
REPORT = {"UDID": "D1", "Status": "Acknowledged", "CommandUUID": "C1"}

texts = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=40)
error_items = st.builds(
    ErrorItem,
    code=st.none() | st.integers(-(2**63), 2**64 - 1),
    domain=st.none() | texts,
    localized_description=st.none() | texts,
    us_english_description=st.none() | texts,
)


@given(
    st.sampled_from([status for status in Status if status is not Status.IDLE]),
    texts.filter(bool),
    st.lists(error_items, max_size=4),
)
def test_a_report_survives_the_way_out_and_back(status: Status, uuid: str, chain: list[ErrorItem]) -> None:
    command_uuid = CommandUUID(uuid)

    body = encode_report(enrollment_id=DEVICE, status=status, command_uuid=command_uuid, error_chain=chain)

    expected = CommandReport(enrollment_id=DEVICE, status=status, command_uuid=command_uuid, error_chain=tuple(chain))
    assert parse_report(body) == expected


def test_idle_names_no_command() -> None:
    report = parse_report(encode_report(enrollment_id=DEVICE, status=Status.IDLE))

    assert report == CommandReport(enrollment_id=DEVICE, status=Status.IDLE)


def test_idle_with_a_command_is_tolerated() -> None:
    report = parse_report_plist(REPORT | {"Status": "Idle"})

    assert (report.status, report.command_uuid) == (Status.IDLE, "C1")


def test_the_whole_answer_is_at_hand() -> None:
    answer = {"QueryResponses": {"OSVersion": "18.1"}}

    report = parse_report(
        encode_report(enrollment_id=DEVICE, status=Status.ACKNOWLEDGED, command_uuid=CommandUUID("C1"), response=answer)
    )

    assert report.plist["QueryResponses"] == {"OSVersion": "18.1"}
    assert "18.1" not in repr(report)


@pytest.mark.parametrize(
    "change",
    [
        {"Status": "acknowledged"},
        {"Status": 1},
        {"Status": ""},
        {"CommandUUID": ""},
        {"CommandUUID": 7},
        {"CommandUUID": "C" * 4097},
        {"UDID": ""},
    ],
)
def test_a_report_without_what_it_needs_is_malformed(change: dict[str, Any]) -> None:
    with pytest.raises(MessageMalformed):
        parse_report_plist(REPORT | change)


@pytest.mark.parametrize("key", ["UDID", "Status", "CommandUUID"])
def test_a_report_that_lacks_a_key_is_malformed(key: str) -> None:
    with pytest.raises(MessageMalformed):
        parse_report_plist({name: value for name, value in REPORT.items() if name != key})


def test_an_odd_error_chain_loses_what_is_odd_and_not_the_report() -> None:
    odd = [
        {"ErrorCode": "12", "ErrorDomain": 7, "LocalizedDescription": "x" * 5000},
        "text",
        {"ErrorCode": True},
        *[{"ErrorCode": number} for number in range(200)],
    ]

    report = parse_report_plist(REPORT | {"ErrorChain": odd})

    assert report.error_chain[0] == ErrorItem(localized_description="x" * 4096)
    assert report.error_chain[1] == ErrorItem()
    assert report.error_chain[2] == ErrorItem(code=0)
    assert len(report.error_chain) == 99
    assert parse_report_plist(REPORT | {"ErrorChain": "text"}).error_chain == ()


def test_a_report_of_scanned_strings_is_the_report_without_its_details() -> None:
    chain = [ErrorItem(code=1)]
    user = EnrollmentID(EnrollmentType.USER, "D1", "U1")
    body = encode_report(enrollment_id=user, status=Status.ERROR, command_uuid=CommandUUID("C1"), error_chain=chain)

    report = report_from_root(scan_root_strings(body))

    assert report == CommandReport(enrollment_id=user, status=Status.ERROR, command_uuid=CommandUUID("C1"))


def test_a_scan_that_found_too_little_is_malformed() -> None:
    with pytest.raises(MessageMalformed):
        report_from_root({"UDID": "D1"})


def test_the_bytes_of_a_given_command_are_kept() -> None:
    body = b"<plist><dict>\n<key>CommandUUID</key><string>CMD1</string><!-- mine -->" + (
        b"<key>Command</key><dict><key>RequestType</key><string>MadeUp</string></dict></dict></plist>\n"
    )

    command = parse_command(body)

    assert (command.uuid, command.request_type, command.body) == ("CMD1", "MadeUp", body)


@pytest.mark.parametrize(
    "plist",
    [
        {},
        {"CommandUUID": "C1"},
        {"CommandUUID": "C1", "Command": "RestartDevice"},
        {"CommandUUID": "C1", "Command": {}},
        {"CommandUUID": "C1", "Command": {"RequestType": ""}},
        {"CommandUUID": "C1", "Command": {"RequestType": "R" * 256}},
        {"CommandUUID": "", "Command": {"RequestType": "R"}},
        {"CommandUUID": "C" * 256, "Command": {"RequestType": "R"}},
        {"CommandUUID": 1, "Command": {"RequestType": "R"}},
        {"CommandUUID": "C1", "RequestType": "R"},
    ],
)
def test_a_command_without_its_names_is_malformed(plist: dict[str, Any]) -> None:
    with pytest.raises(MessageMalformed):
        parse_command(dumps(plist))


def test_a_built_command_reaches_the_device_as_it_was_meant() -> None:
    payload = {"RequestType": "DeviceInformation", "Queries": ["UDID"]}

    command = build_command(CommandUUID("C1"), payload)

    assert parse_command(command.body) == command
    assert parse_command_payload(command.body) == ("C1", payload)
    assert "Queries" not in repr(command)


def test_a_command_that_no_plist_holds_is_not_built() -> None:
    with pytest.raises(MessageMalformed):
        build_command(CommandUUID("C1"), {})
    with pytest.raises(MessageMalformed):
        build_command(CommandUUID(""), {"RequestType": "R"})
    with pytest.raises(PlistMalformed):
        build_command(CommandUUID("C1"), {"RequestType": "R", "Payload": None})
