"""Names that stay: by host, by identifier and revision, on every machine."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles import Identifiers, KeyInvalid, identifiers_of, revision_of
from profiles.identifiers import check_uuid

NAMES = identifiers_of("mdm.example.com")


@pytest.mark.parametrize(
    ("host", "root"),
    [
        ("mdm.example.com", "com.example.mdm"),
        ("MDM.Example.COM.", "com.example.mdm"),
        ("localhost", "localhost"),
        ("bücher.example", "example.xn--bcher-kva"),
        ("192.0.2.7", "ip-192-0-2-7"),
        ("[2001:db8::1]", "ip-2001-db8--1"),
    ],
)
def test_the_identifier_begins_with_the_host_in_reverse(host: str, root: str) -> None:
    assert identifiers_of(host).identifier("enrollment") == f"{root}.enrollment"


@pytest.mark.parametrize("host", ["", ".", "a..b", "a b", "-a.example", "a/b", "a_b\n", "x" * 64 + ".example"])
def test_what_is_no_host_names_nothing(host: str) -> None:
    with pytest.raises(KeyInvalid):
        identifiers_of(host)


@pytest.mark.parametrize("part", ["", ".", "a..b", "a b", "ä", "a\n"])
def test_a_part_of_an_identifier_is_letters_digits_hyphens_and_dots(part: str) -> None:
    with pytest.raises(KeyInvalid):
        NAMES.identifier(part)


def test_the_names_of_a_deployment_are_the_same_in_every_release() -> None:
    # Written down: with another UUID or identifier, enrolled devices would see another profile.
    assert NAMES.namespace == UUID("a95ddb78-4b1a-533b-a6fe-a74cc0cab070")
    assert NAMES.uuid("com.example.mdm.enrollment.mdm") == "1E4F9832-B436-5F5C-802E-D61160224AB3"
    assert NAMES.uuid("com.example.mdm.enrollment.mdm", "1") == "1754CA4E-67D2-5BEF-B1BC-4353C2EF12A8"


@given(st.text(), st.text())
def test_the_uuid_follows_from_identifier_and_revision_and_is_upper_case(one: str, two: str) -> None:
    uuid = NAMES.uuid("com.example.a", one)

    assert uuid == uuid.upper()
    assert UUID(uuid).version == 5
    assert (uuid == NAMES.uuid("com.example.a", two)) == (one == two)
    check_uuid(uuid, "PayloadUUID")


def test_identifier_and_deployment_make_another_uuid() -> None:
    other_host = identifiers_of("mdm.example.org")
    other_namespace = Identifiers(root=NAMES.root, namespace=UUID(int=0))

    uuids = {names.uuid("com.example.a", "1") for names in (NAMES, other_host, other_namespace)}

    assert len(uuids | {NAMES.uuid("com.example.b", "1")}) == 4


def test_a_revision_depends_on_the_content_and_not_on_its_order() -> None:
    assert revision_of({"a": 1, "b": [True]}) == revision_of({"b": [True], "a": 1})
    assert revision_of({"a": 1}) != revision_of({"a": 1.0})
    assert revision_of({"a": 1}) != revision_of({"a": True})
