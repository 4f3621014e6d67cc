"""Distinguished names: read as `cryptography` reads them, and read at all where it would not."""

import pytest
from cryptography import x509

from certs import MalformedDER
from certs.der import element, object_identifier, sequence, set_of
from certs.names import USER_ID, name_attributes, name_text

COMMON_NAME = object_identifier("2.5.4.3")


def one(value: bytes) -> bytes:
    return sequence(set_of(sequence(COMMON_NAME, value)))


@pytest.mark.parametrize(
    "text",
    ["CN=dev", "CN=a,O=b,C=DE", "UID=0-1,CN=Über", "CN=a\\,b", "L=x,ST=y,OU=z,DC=w", ""],
)
def test_name_is_written_as_cryptography_writes_it(text: str) -> None:
    encoded = x509.Name.from_rfc4514_string(text).public_bytes()

    assert name_text(encoded) == text


def test_attributes_come_in_their_order() -> None:
    encoded = x509.Name.from_rfc4514_string("UID=enrollment,CN=dev").public_bytes()

    assert name_attributes(encoded) == ((COMMON_NAME, "dev"), (USER_ID, "enrollment"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (element(0x1E, "Büro".encode("utf-16-be")), "CN=Büro"),
        (element(0x1C, "Büro".encode("utf-32-be")), "CN=Büro"),
        (element(0x14, "Büro".encode("latin-1")), "CN=Büro"),
        (element(0x02, b"\x07"), "CN=\\#020107"),
        (element(0x0C, b"\xff"), "CN=\\#0c01ff"),
        (element(0x1E, b"\x00"), "CN=\\#1e0100"),
    ],
)
def test_value_of_any_kind_is_readable(value: bytes, text: str) -> None:
    assert name_text(one(value)) == text


@pytest.mark.parametrize(
    "encoded",
    [
        b"",
        b"\x31\x00",
        sequence(sequence()),
        sequence(set_of(sequence())),
        sequence(set_of(sequence(b"\x02\x00", b"\x05\x00"))),
    ],
)
def test_what_is_no_name_is_refused(encoded: bytes) -> None:
    with pytest.raises(MalformedDER):
        name_text(encoded)


def test_name_of_very_many_attributes_is_refused() -> None:
    with pytest.raises(MalformedDER, match="65 attributes"):
        name_text(sequence(*[set_of(sequence(COMMON_NAME, element(0x0C, b"x")))] * 65))
