"""What can still be learned from a result that is too large or broken."""

from mdmserver.protocol import Status, dumps, report_from_root, scan_root_strings

HEAD = b"<plist><dict><key>CommandUUID</key><string>C1</string><key>Status</key><string>Acknowledged</string>"
UDID = b"<key>UDID</key><string>D1</string>"
TAIL = b"</dict></plist>"
FOUND = {"CommandUUID": "C1", "Status": "Acknowledged"}


def test_only_strings_of_known_keys_at_the_root_are_found() -> None:
    body = dumps(
        {
            "CommandUUID": "C1",
            "Nested": {"Status": "Error", "List": [{"UDID": "other"}]},
            "Status": "Acknowledged",
            "UDID": "D1",
            "Unasked": "text",
            "UserID": 7,
        }
    )

    assert scan_root_strings(body) == {**FOUND, "UDID": "D1"}


def test_a_tree_beyond_the_limits_does_not_hide_the_root() -> None:
    deep = b"<key>Deep</key>" + b"<array>" * 2000 + b"</array>" * 2000
    wide = b"<key>Wide</key><array>" + b"<string>x</string>" * 200_000 + b"</array>"

    found = scan_root_strings(HEAD + deep + wide + UDID + TAIL)

    assert report_from_root(found).command_uuid == "C1"
    assert report_from_root(found).status is Status.ACKNOWLEDGED
    assert report_from_root(found).enrollment_id.key == "D1"


def test_what_stands_before_the_fault_is_found() -> None:
    assert scan_root_strings(HEAD + b"<key>List</key><array><string>cut o") == FOUND
    assert scan_root_strings(HEAD + b"<key>k</key><string>\x01</string>" + UDID + TAIL) == FOUND
    assert scan_root_strings(HEAD + b"<key>k</key><string>&undefined;</string>" + UDID + TAIL) == FOUND


def test_a_second_value_for_a_key_does_not_replace_the_first() -> None:
    body = HEAD + b"<key>Status</key><string>Idle</string>" + UDID + TAIL

    assert scan_root_strings(body) == FOUND


def test_a_second_root_is_not_read() -> None:
    body = HEAD + b"</dict><dict>" + UDID + TAIL

    assert scan_root_strings(body) == FOUND


def test_a_key_whose_value_is_a_container_does_not_lend_its_name_to_the_next_string() -> None:
    body = b"<plist><dict><key>UDID</key><array/><string>D1</string></dict></plist>"

    assert scan_root_strings(body) == {}


def test_the_strings_of_another_root_are_not_found() -> None:
    assert scan_root_strings(b"<html><dict>" + UDID + b"</dict></html>") == {}
    assert scan_root_strings(b"<plist><array><dict>" + UDID + b"</dict></array></plist>") == {}


def test_a_string_of_more_than_4096_characters_is_left_out() -> None:
    body = dumps({"RequestType": "x" * 4097, "Status": "y" * 4096})

    assert scan_root_strings(body) == {"Status": "y" * 4096}


def test_a_root_of_too_many_elements_is_given_up() -> None:
    keys = b"".join(b"<key>%d</key><true/>" % number for number in range(5001))

    assert scan_root_strings(HEAD + keys + UDID + TAIL) == FOUND


def test_values_across_pieces_of_the_body_stay_whole() -> None:
    padding = b"<key>Padding</key><data>" + b"QUFB" * 100_000 + b"</data>"

    for shift in range(40):
        body = HEAD + b" " * shift + padding + UDID + TAIL
        assert scan_root_strings(body) == {**FOUND, "UDID": "D1"}
