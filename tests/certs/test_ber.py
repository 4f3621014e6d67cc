"""The BER reader: what it reads, and the limits at which it stops."""

import pytest

from certs import MalformedDER
from certs.ber import CONSTRUCTED, MAX_DEPTH, MAX_ELEMENTS, Element, Reader
from certs.der import element, integer, octet_string, sequence


def children(encoded: bytes) -> tuple[Reader, list[Element]]:
    reader = Reader(encoded)
    return reader, list(reader.children(reader.root()))


def test_definite_elements_are_read_one_level_at_a_time() -> None:
    broken_inside = element(0x30, b"\x04\x7f")

    reader, found = children(sequence(integer(7), broken_inside))

    assert [reader.raw(child) for child in found] == [b"\x02\x01\x07", broken_inside]
    with pytest.raises(MalformedDER):
        reader.children(found[1])


def test_indefinite_lengths_end_where_their_contents_end() -> None:
    reader, found = children(bytes.fromhex("3080 3080 020101 0000 020102 0000"))

    assert [reader.raw(child).hex() for child in found] == ["30800201010000", "020102"]
    assert reader.saw_indefinite


def test_zeros_in_a_definite_element_do_not_end_the_indefinite_one() -> None:
    reader, found = children(bytes.fromhex("3080 04020000 020101 0000"))

    assert [reader.content(child).hex() for child in found] == ["0000", "01"]


def test_length_may_take_more_octets_than_needed() -> None:
    reader, found = children(bytes.fromhex("308400000005 0282000107"))

    assert [reader.content(child) for child in found] == [b"\x07"]


@pytest.mark.parametrize(
    ("encoded", "value"),
    [
        ("0403616263", b"abc"),
        ("2480 0402 6162 0401 63 0000", b"abc"),
        ("2407 0402 6162 0401 63", b"abc"),
        ("2480 2480 0401 61 0000 2403 0401 62 0000", b"ab"),
        ("2480 0000", b""),
        ("a080 0401 61 0401 62 0000", b"ab"),
    ],
)
def test_octet_string_in_pieces_is_joined(encoded: str, value: bytes) -> None:
    reader = Reader(bytes.fromhex(encoded))

    assert reader.octets(reader.root()) == value


def test_only_octet_strings_are_joined() -> None:
    reader = Reader(bytes.fromhex("2480 0201 61 0000"))

    with pytest.raises(MalformedDER):
        reader.octets(reader.root())


@pytest.mark.parametrize("content", [b"", b"\x04\x01a", octet_string(b"x" * 120), octet_string(b"x" * 300)])
def test_indefinite_lengths_are_made_definite(content: bytes) -> None:
    reader = Reader(b"\x30\x80\x31\x80" + content + b"\x00\x00\x00\x00")

    assert reader.definite(reader.root()) == sequence(element(0x31, content))


def test_indefinite_length_deep_inside_a_definite_element_is_made_definite() -> None:
    # A content of 256 octets is as long in either form, so the lengths do not give it away.
    inner = octet_string(b"x" * 296)
    reader = Reader(sequence(b"\x31\x80" + inner + b"\x00\x00"))

    assert reader.definite(reader.root()) == sequence(element(0x31, inner))


def test_definite_element_stays_as_it_was_written() -> None:
    written = bytes.fromhex("308104 02810107")
    reader = Reader(written)

    assert reader.definite(reader.root()) == written


@pytest.mark.parametrize(
    "encoded",
    [
        "",
        "30",
        "3001",
        "3081",
        "3082ff",
        "30850000000000",
        "30ff",
        "020101 020101",
        "0480 0000",
        "1f0100",
        "3003 1f0100",
        "0000",
        "3002 0000",
        "3080",
        "308000",
        "3080 0001 0000",
        "3080 020101",
        "3003 3080 00 00",
        "3003 020201",
    ],
)
def test_bytes_that_are_not_one_element_are_refused(encoded: str) -> None:
    with pytest.raises(MalformedDER):
        children(bytes.fromhex(encoded))


@pytest.mark.parametrize("end", [b"", b"\x00\x00"])
def test_nesting_is_read_down_to_the_limit_and_no_further(end: bytes) -> None:
    encoded = b"\x05\x00"
    for _ in range(MAX_DEPTH - 1):
        encoded = b"\x30\x80" + encoded + end if end else sequence(encoded)

    assert depth(encoded) == MAX_DEPTH
    with pytest.raises(MalformedDER, match="deep"):
        depth(b"\x30\x80" + encoded + end if end else sequence(encoded))


def depth(encoded: bytes) -> int:
    reader = Reader(encoded)
    element = reader.root()
    while element.tag & CONSTRUCTED:
        element = reader.children(element)[0]
    return element.depth


@pytest.mark.parametrize("opening", [b"\x30\x80", b"\x24\x80", b"\xa0\x80"])
def test_nested_indefinite_lengths_are_no_bomb(opening: bytes) -> None:
    with pytest.raises(MalformedDER, match="deep"):
        Reader(opening * 1_000_000).root()


@pytest.mark.parametrize("opening", [b"", b"\x30\x80"])
def test_elements_are_counted_and_limited(opening: bytes) -> None:
    fits = opening + b"\x05\x00" * (MAX_ELEMENTS - 2) + (b"\x00\x00" if opening else b"")
    reader = Reader(fits if opening else sequence(fits))
    assert len(reader.children(reader.root())) == MAX_ELEMENTS - 2

    too_many = b"\x05\x00" * 1_000_000
    reader = Reader(opening + too_many + b"\x00\x00" if opening else sequence(too_many))
    with pytest.raises(MalformedDER, match="elements"):
        reader.children(reader.root())


def test_elements_are_counted_over_the_life_of_a_reader() -> None:
    reader = Reader(sequence(*[b"\x05\x00"] * 100))
    root = reader.root()
    for _ in range(MAX_ELEMENTS // 100):
        reader.children(root)

    with pytest.raises(MalformedDER, match="elements"):
        reader.children(root)
