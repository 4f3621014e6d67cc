"""Hostile plists: each is refused by name, cheaply, and never with another exception."""

import time

import pytest

from mdmserver.protocol import (
    BinaryPlistRefused,
    MalformedData,
    PlistLimits,
    PlistMalformed,
    PlistTooLarge,
    ProtocolError,
    loads,
    scan_root_strings,
)

APPLE_DOCTYPE = (
    b'<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">'
)
MIB = 1_048_576


def plist(inner: bytes, *, doctype: bytes = APPLE_DOCTYPE) -> bytes:
    return b'<?xml version="1.0" encoding="UTF-8"?>' + doctype + b'<plist version="1.0">' + inner + b"</plist>"


def value(xml: bytes) -> bytes:
    return plist(b"<dict><key>k</key>" + xml + b"</dict>")


BILLION_LAUGHS = (
    b'<!DOCTYPE plist [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>'
    b"<plist><dict><key>k</key><string>&c;</string></dict></plist>"
)

MALFORMED = {
    "nothing": b"",
    "not XML": b"Idle",
    "an empty plist": plist(b""),
    "a billion laughs": BILLION_LAUGHS,
    "an internal subset without declarations": plist(b"<dict/>", doctype=b"<!DOCTYPE plist []>"),
    "a parameter entity": plist(b"<dict/>", doctype=b"<!DOCTYPE plist [<!ENTITY % p SYSTEM 'http://x/'>%p;]>"),
    "an external entity": plist(b"<dict/>", doctype=b"<!DOCTYPE plist [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>"),
    "an entity that the external type might define": value(b"<string>&apple;</string>"),
    "an entity in an attribute": plist(b"<dict/>").replace(b'"1.0">', b'"&apple;">'),
    "UTF-16 with a byte order mark": plist(b"<dict/>").decode().encode("utf-16"),
    "UTF-16 without one": plist(b"<dict/>").decode().encode("utf-16-le"),
    "Latin-1": value("<string>é</string>".encode("latin-1")),
    "a surrogate in UTF-8": value(b"<string>\xed\xa0\x80</string>"),
    "NUL": value(b"<string>a\0b</string>"),
    "NUL as a reference": value(b"<string>&#0;</string>"),
    "a control character": value(b"<string>\x07</string>"),
    "two roots": plist(b"<dict/><dict/>"),
    "two documents": plist(b"<dict/>") * 2,
    "HTML": b"<html><dict/></html>",
    "a dictionary without plist around it": b"<dict><key>k</key><true/></dict>",
    "plist in plist": plist(plist(b"<dict/>")[-30:]),
    "an array as root": plist(b"<array/>"),
    "a string as root": plist(b"<string>k</string>"),
    "the same key twice": plist(b"<dict><key>k</key><true/><key>k</key><true/></dict>"),
    "the same key twice, first as a container": plist(b"<dict><key>k</key><dict/><key>k</key><true/></dict>"),
    "a key without a value": plist(b"<dict><key>k</key></dict>"),
    "two keys in a row": plist(b"<dict><key>k</key><key>l</key></dict>"),
    "a value without a key": plist(b"<dict><true/></dict>"),
    "a container without a key": plist(b"<dict><array/></dict>"),
    "a key in an array": value(b"<array><key>k</key></array>"),
    "text in a dictionary": plist(b"<dict>text</dict>"),
    "text between key and value": plist(b"<dict><key>k</key>text<true/></dict>"),
    "text after the dictionary": plist(b"<dict/>text"),
    "text in <true>": value(b"<true>no</true>"),
    "an element in a string": value(b"<string>a<b/></string>"),
    "a dictionary in a string": value(b"<string><dict/></string>"),
    "an unknown element": value(b"<null/>"),
    "an attribute": value(b'<string lang="en">a</string>'),
    "an unclosed document": value(b"<true/>")[:-9],
    "an integer of words": value(b"<integer>twelve</integer>"),
    "an integer of other digits": value("<integer>١٢</integer>".encode()),
    "an integer with underscores": value(b"<integer>1_000</integer>"),
    "an empty integer": value(b"<integer/>"),
    "2 to the 64th": value(b"<integer>18446744073709551616</integer>"),
    "less than minus 2 to the 63rd": value(b"<integer>-9223372036854775809</integer>"),
    "an integer of 5,000 digits": value(b"<integer>" + b"9" * 5000 + b"</integer>"),
    "a hex integer of a million digits": value(b"<integer>0x" + b"f" * 1_000_000 + b"</integer>"),
    "NaN": value(b"<real>nan</real>"),
    "infinity": value(b"<real>-infinity</real>"),
    "a real that overflows": value(b"<real>1e999</real>"),
    "a month 13": value(b"<date>2026-13-01T00:00:00Z</date>"),
    "the year 0": value(b"<date>0000-01-01T00:00:00Z</date>"),
    "a date with an offset": value(b"<date>2026-01-01T00:00:00+01:00</date>"),
    "an element name of a mebibyte": value(b"<" + b"a" * MIB + b"/>"),
}

TOO_LARGE = {
    "100,000 nested arrays": value(b"<array>" * 100_000),
    "65 levels": plist(b"<dict><key>k</key>" + b"<array>" * 64 + b"</array>" * 64 + b"</dict>"),
    "more than 100,000 elements": value(b"<array>" + b"<true/>" * 100_001 + b"</array>"),
    "a million lines": value(b"<string>" + b"\n" * 1_000_000 + b"</string>"),
    "a million references": value(b"<string>" + b"&amp;" * 1_000_000 + b"</string>"),
    "two mebibytes of comment": plist(b"<!--" + b"x" * 2 * MIB + b"--><dict/>"),
    "comments that do not end": plist(b"<!-- <" * MIB),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_not_one_well_formed_plist_is_malformed(body: bytes) -> None:
    with pytest.raises(PlistMalformed):
        loads(body)


@pytest.mark.parametrize("body", TOO_LARGE.values(), ids=TOO_LARGE.keys())
def test_what_exceeds_a_limit_is_too_large(body: bytes) -> None:
    with pytest.raises(PlistTooLarge):
        loads(body)


@pytest.mark.parametrize("body", [*MALFORMED.values(), *TOO_LARGE.values()], ids=[*MALFORMED, *TOO_LARGE])
def test_the_scan_takes_every_hostile_body_without_raising(body: bytes) -> None:
    assert isinstance(scan_root_strings(body), dict)


def test_a_binary_plist_is_refused_as_such() -> None:
    with pytest.raises(BinaryPlistRefused):
        loads(b"bplist00\xd0\x08\x00")


GIANT_TAGS = {
    "attributes": b"<dict " + b'a="" ' * (8 * MIB // 5) + b"/>",
    "attributes with brackets in quotes": b"<dict " + b'a=">" ' * (8 * MIB // 6) + b"/>",
    "one attribute": b'<dict a="' + b"x" * 8 * MIB + b'"/>',
    "one attribute full of brackets": b"<dict a='" + b">" * 8 * MIB + b"'/>",
    "white space": b"<dict" + b" " * 8 * MIB + b"/>",
    "a closing tag": b"<dict></dict" + b" " * 8 * MIB + b">",
    "behind a comment": b"<!-- it's < --><dict " + b'a="" ' * MIB + b"/>",
    "behind CDATA": b"<string><![CDATA[<!--]]></string><dict " + b'a="" ' * MIB + b"/>",
    "behind an instruction": b"<?x <!-- ?><dict " + b'a="" ' * MIB + b"/>",
}


@pytest.mark.parametrize("tag", GIANT_TAGS.values(), ids=GIANT_TAGS.keys())
def test_a_giant_tag_is_refused_before_it_is_parsed(tag: bytes) -> None:
    body = value(tag)
    started = time.process_time()

    with pytest.raises(ProtocolError):
        loads(body)
    found = scan_root_strings(body, keys={"k"})

    # expat alone takes seconds for these; the bound is wide because machines that run tests are busy.
    assert time.process_time() - started < 1
    assert found == {}


def test_a_giant_tag_behind_a_document_type_that_imitates_a_comment_is_refused() -> None:
    body = plist(b"<dict " + b'a="" ' * MIB + b"/><!-- -->", doctype=b"<!DOCTYPE plist SYSTEM '<!--'>")

    with pytest.raises(PlistMalformed, match="a tag of more than 1024 bytes"):
        loads(body)


@pytest.mark.parametrize("size", [1023, 1024])
def test_a_tag_of_a_kibibyte_passes(size: int) -> None:
    tag = b"<dict" + b" " * (size - 6) + b">"

    assert loads(plist(tag + b"</dict>" + b"\n" * 4000)) == {}


def test_a_tag_of_a_byte_more_is_refused() -> None:
    tag = b"<dict" + b" " * 1019 + b">"
    assert len(tag) == 1025

    with pytest.raises(PlistMalformed):
        loads(plist(tag + b"</dict>"))


def test_long_text_that_looks_like_a_tag_passes_in_comments_and_cdata() -> None:
    looks = b"<it's one\" " + b"x" * 3000

    body = plist(b"<!--" + looks + b"--><dict><key>k</key><string><![CDATA[" + looks + b"]]></string></dict>")

    assert loads(body) == {"k": looks.decode()}


def test_limits_can_be_narrowed() -> None:
    body = value(b"<array>" + b"<true/>" * 30 + b"</array>")

    with pytest.raises(PlistTooLarge):
        loads(body, PlistLimits(nodes=10))
    with pytest.raises(PlistTooLarge):
        loads(body, PlistLimits(depth=1))


@pytest.mark.parametrize(
    "text", [b"Base64=", b"base64==", b"YQ", b"YQ===", b"====", b"Y$Q=", b"YQ==YQ==", "é".encode()]
)
def test_data_that_is_no_base64_is_marked_and_empty(text: bytes) -> None:
    data = loads(value(b"<data>" + text + b"</data>"))["k"]

    assert type(data) is MalformedData
    assert data == b""


@pytest.mark.parametrize(
    ("text", "expected"),
    [(b"", b""), (b" \n\t", b""), (b"YQ==", b"a"), (b"Y\n Q\t=\r\n=", b"a"), (b"YWJj", b"abc"), (b"AAAA=", b"\0\0\0")],
)
def test_data_is_read_with_whitespace_anywhere(text: bytes, expected: bytes) -> None:
    data = loads(value(b"<data>" + text + b"</data>"))["k"]

    assert data == expected
    assert type(data) is bytes
