"""Ids of enrollments: distinct in, distinct out, exactly as sent."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdmserver.protocol import (
    EnrollmentID,
    EnrollmentType,
    MessageMalformed,
    enrollment_id_of,
    identity_keys,
    parse_external,
)

ALL_F = "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"

device_parts = st.from_regex(r"[A-Za-z0-9-]{1,128}", fullmatch=True)
user_parts = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), min_size=1, max_size=255
).filter(lambda user: user != ALL_F)
enrollment_ids = st.one_of(
    st.builds(
        EnrollmentID, st.sampled_from([EnrollmentType.DEVICE, EnrollmentType.USER_ENROLLMENT_DEVICE]), device_parts
    ),
    st.builds(
        EnrollmentID,
        st.sampled_from([EnrollmentType.USER, EnrollmentType.USER_ENROLLMENT, EnrollmentType.SHARED_IPAD]),
        device_parts,
        user_parts,
    ),
)


@pytest.mark.parametrize(
    ("plist", "expected", "external", "key"),
    [
        ({"UDID": "D"}, EnrollmentID(EnrollmentType.DEVICE, "D"), "D", "D"),
        ({"UDID": "D", "UserID": "U"}, EnrollmentID(EnrollmentType.USER, "D", "U"), "D:U", "D:U"),
        (
            {"UDID": "D", "UserID": ALL_F, "UserShortName": "a@b.c"},
            EnrollmentID(EnrollmentType.SHARED_IPAD, "D", "a@b.c"),
            "D:a@b.c",
            "ipad/D:a@b.c",
        ),
        ({"EnrollmentID": "E"}, EnrollmentID(EnrollmentType.USER_ENROLLMENT_DEVICE, "E"), "E", "ue/E"),
        (
            {"EnrollmentID": "E", "EnrollmentUserID": "V"},
            EnrollmentID(EnrollmentType.USER_ENROLLMENT, "E", "V"),
            "E:V",
            "ueuser/E:V",
        ),
        ({"UDID": "D", "EnrollmentID": "E"}, EnrollmentID(EnrollmentType.DEVICE, "D"), "D", "D"),
        ({"UDID": "", "EnrollmentID": "E"}, EnrollmentID(EnrollmentType.USER_ENROLLMENT_DEVICE, "E"), "E", "ue/E"),
        ({"UDID": "D", "UserID": ""}, EnrollmentID(EnrollmentType.DEVICE, "D"), "D", "D"),
        ({"UDID": "aB", "UserID": ALL_F.lower()}, EnrollmentID(EnrollmentType.USER, "aB", ALL_F.lower()), None, None),
    ],
)
def test_each_combination_of_keys_names_its_channel(
    plist: dict[str, Any], expected: EnrollmentID, external: str | None, key: str | None
) -> None:
    enrollment_id = enrollment_id_of(plist)

    assert enrollment_id == expected
    assert external is None or str(enrollment_id) == external
    assert key is None or enrollment_id.key == key


@pytest.mark.parametrize(
    "plist",
    [
        {},
        {"UserID": "U"},
        {"UDID": ""},
        {"UDID": 7},
        {"UDID": b"D"},
        {"UDID": "D", "UserID": 7},
        {"UDID": "D:U"},
        {"UDID": "ue/D"},
        {"UDID": "D D"},
        {"UDID": "D\n"},
        {"UDID": "Ü"},
        {"UDID": "D" * 129},
        {"EnrollmentID": "E:V"},
        {"EnrollmentID": "E", "UserID": "U"},
        {"UDID": "D", "UserID": "U" * 256},
        {"UDID": "D", "UserID": "U\n"},
        {"UDID": "D", "UserID": "U\x9f"},
        {"UDID": "D", "UserID": ALL_F},
        {"UDID": "D", "UserID": ALL_F, "UserShortName": ""},
    ],
)
def test_an_id_outside_of_the_grammar_is_malformed(plist: dict[str, Any]) -> None:
    with pytest.raises(MessageMalformed):
        enrollment_id_of(plist)


@pytest.mark.parametrize(
    "udid", ["1c" * 20, "00008030-001A35E11EE8802E", "E3568F17-92ED-450A-8904-C3BF4CB7E9A5", "f" * 64]
)
def test_every_form_of_udid_in_use_is_kept_as_sent(udid: str) -> None:
    assert enrollment_id_of({"UDID": udid}).key == udid


@given(enrollment_ids, enrollment_ids)
def test_two_ids_have_the_same_key_only_if_they_are_the_same(first: EnrollmentID, second: EnrollmentID) -> None:
    assert (first.key == second.key) == (first == second)


@pytest.mark.parametrize("device", ["D", "ue", "ipad", "ueuser"])
@pytest.mark.parametrize("user", ["U", "ue/E", "E:V", ":", "/", "ipad/D:U"])
def test_no_text_of_a_user_makes_two_types_meet(device: str, user: str) -> None:
    ids = [
        EnrollmentID(kind, device, user)
        for kind in EnrollmentType
        if kind in ("User", "User Enrollment", "Shared iPad")
    ]
    ids += [EnrollmentID(EnrollmentType.DEVICE, device), EnrollmentID(EnrollmentType.USER_ENROLLMENT_DEVICE, device)]

    assert len({enrollment_id.key for enrollment_id in ids}) == 5


@given(enrollment_ids)
def test_an_id_comes_back_from_its_key_its_external_form_and_its_message(enrollment_id: EnrollmentID) -> None:
    assert EnrollmentID.from_key(enrollment_id.key) == enrollment_id
    assert enrollment_id in parse_external(str(enrollment_id))
    assert enrollment_id in parse_external(enrollment_id.key)
    assert enrollment_id_of(identity_keys(enrollment_id)) == enrollment_id


def test_the_external_form_gives_every_meaning_the_likeliest_first() -> None:
    assert [str(meant.type) for meant in parse_external("D")] == ["Device", "User Enrollment (Device)"]
    assert [str(meant.type) for meant in parse_external("D:U")] == ["User", "User Enrollment", "Shared iPad"]
    assert [str(meant.type) for meant in parse_external("ipad/D:U")] == ["Shared iPad"]
    assert parse_external("") == parse_external("D U") == parse_external("D:") == parse_external("x/D") == ()


def test_the_parent_of_a_user_channel_is_its_device() -> None:
    device = EnrollmentID(EnrollmentType.DEVICE, "D")
    enrollment = EnrollmentID(EnrollmentType.USER_ENROLLMENT_DEVICE, "E")

    assert EnrollmentID(EnrollmentType.USER, "D", "U").parent == device
    assert EnrollmentID(EnrollmentType.SHARED_IPAD, "D", "a@b.c").parent == device
    assert EnrollmentID(EnrollmentType.USER_ENROLLMENT, "E", "V").parent == enrollment
    assert device.parent is device
    assert not device.is_user_channel
    assert EnrollmentID(EnrollmentType.USER, "D", "U").is_user_channel


@given(st.lists(enrollment_ids, max_size=8).flatmap(lambda ids: st.tuples(st.just(ids), st.permutations(ids))))
def test_ids_have_one_order(ids: tuple[list[EnrollmentID], list[EnrollmentID]]) -> None:
    assert sorted(ids[0]) == sorted(ids[1])


@pytest.mark.parametrize(("kind", "user"), [(EnrollmentType.DEVICE, "U"), (EnrollmentType.USER, None)])
def test_type_and_parts_must_agree(kind: EnrollmentType, user: str | None) -> None:
    with pytest.raises(MessageMalformed):
        EnrollmentID(kind, "D", user)


@pytest.mark.parametrize("key", ["", "D/", "ue/", "ipad/D", "ue/D:U", "x/D", "D:", "ue/ue/D"])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(MessageMalformed):
        EnrollmentID.from_key(key)
