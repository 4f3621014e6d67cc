"""Inputs of at most 64 KiB made to cost as much as they can: by depth, number, repetition, and backtracking."""

from collections.abc import Callable
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.fuzz import seeds

SIZE = 65_536


def filled(piece: bytes, *, before: bytes = b"", after: bytes = b"") -> bytes:
    """As many pieces as fit between what stands before and after them."""
    return before + piece * ((SIZE - len(before) - len(after)) // len(piece)) + after


def plists() -> dict[str, bytes]:
    """XML, most of it almost a plist."""
    start, end = b'<plist version="1.0"><dict><key>UDID</key><string>A</string><key>k</key>', b"</dict></plist>"
    inside: dict[str, bytes] = {
        "deep arrays": filled(b"<array>", before=start),
        "deep dictionaries": filled(b"<dict><key>a</key>", before=start),
        "balanced arrays": start + b"<array>" * 4000 + b"</array>" * 4000 + end,
        "many empty arrays": filled(b"<array/>", before=start + b"<array>", after=b"</array>" + end),
        "many numbers": filled(b"<integer>1</integer>", before=start + b"<array>", after=b"</array>" + end),
        "many keys": start + b"<true/>" + b"".join(b"<key>%d</key><true/>" % number for number in range(2500)) + end,
        "one key again and again": filled(b"<key>k</key><true/>", before=start + b"<true/>", after=end),
        "a long number": filled(b"9", before=start + b"<integer>", after=b"</integer>" + end),
        "a long hexadecimal number": filled(b"f", before=start + b"<integer>0x", after=b"</integer>" + end),
        "a long real": filled(b"9", before=start + b"<real>", after=b"</real>" + end),
        "a long date": filled(b"9", before=start + b"<date>", after=b"</date>" + end),
        "long data": filled(b"AAAA", before=start + b"<data>", after=b"</data>" + end),
        "data of white space": filled(b"A \n\t", before=start + b"<data>", after=b"</data>" + end),
        "data of padding": filled(b"=", before=start + b"<data>", after=b"</data>" + end),
        "references": filled(b"&amp;", before=start + b"<string>", after=b"</string>" + end),
        "character references": filled(b"&#1114111;", before=start + b"<string>", after=b"</string>" + end),
        "lines": filled(b"\r\n", before=start + b"<string>", after=b"</string>" + end),
        "text between tags": filled(b"x", before=start, after=end),
        "comments": filled(b"<!---->", before=start + b"<string>", after=b"</string>" + end),
        "CDATA sections": filled(b"<![CDATA[a]]>", before=start + b"<string>", after=b"</string>" + end),
        "an error chain": filled(
            b"<dict><key>ErrorCode</key><integer>1</integer></dict>",
            before=start + b"<string>Error</string><key>Status</key><string>Error</string><key>CommandUUID</key>"
            b"<string>U</string><key>ErrorChain</key><array>",
            after=b"</array>" + end,
        ),
    }
    entities = b"".join(b'<!ENTITY e%d "%s">' % (level, b"&e%d;" % (level - 1) * 10) for level in range(1, 12))
    around: dict[str, bytes] = {
        "a tag of attributes": filled(b' a="b"', before=b"<plist", after=b">"),
        "a tag of one attribute": filled(b"x", before=b'<plist a="', after=b'">'),
        "entities in entities": b'<!DOCTYPE plist [<!ENTITY e0 "ha">'
        + entities
        + b"]><plist><dict>&e11;</dict></plist>",
        "open comments": filled(b"<!--"),
        "open CDATA sections": filled(b"<![CDATA["),
        "open instructions": filled(b"<?"),
        "open document types": filled(b"<!DOCTYPE "),
        "quoted document types": filled(b"<!DOCTYPE \"'"),
        "open quotes": filled(b"<a '", after=b'"'),
        "quotes in a tag": filled(b"\"'\"'", before=b"<a ", after=b">"),
        "only less-than": filled(b"<"),
        "only greater-than": filled(b">"),
        "zeros": filled(b"\0"),
        "UTF-16": filled("<plist>".encode("utf-16-le"), before=b"\xff\xfe"),
        "a binary plist": b"bplist00" + bytes(range(256)) * 200,
    }
    return inside | around


def encodings() -> dict[str, bytes]:
    """DER, BER and what looks like it."""
    content_info = b"\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02\xa0\x80\x30\x80\x02\x01\x01"
    return {
        "deep sequences": filled(b"\x30\x80"),
        "deep sequences that end": b"\x30\x80" * 16_000 + b"\x00\x00" * 16_000,
        "deep definite sequences": _nested(2_000),
        "many nulls": b"\x30\x83\x00\xff\xf0" + b"\x05\x00" * 32_760,
        "a string in pieces": content_info + filled(b"\x04\x01A", before=b"\x24\x80", after=b"\x00\x00" * 8)[:64_000],
        "strings in strings": filled(b"\x24\x80", before=content_info),
        "lengths beyond the end": filled(b"\x30\x84\xff\xff\xff\xff"),
        "a length of many bytes": filled(b"\xff", before=b"\x30\xfe"),
        "a high tag number": filled(b"\xff", before=b"\x1f"),
        "a long object identifier": filled(b"\xff", before=b"\x06\x83\x00\xff\xf0"),
        "a long serial number": filled(b"\xff", before=b"\x30\x83\x00\xff\xf0\x02\x83\x00\xff\xe0"),
        "signers without end": filled(seeds.signatures()[0][60:], before=content_info),
    }


def certificates() -> dict[str, bytes]:
    """Whole certificates of the trusted CA, with keys that are expensive to use."""
    keys = {
        "an RSA key of 16384 bits": rsa.RSAPublicNumbers(65537, (1 << 16_383) | 1),
        "an RSA key of 4096 bits with as long an exponent": rsa.RSAPublicNumbers((1 << 4000) | 1, (1 << 4095) | 1),
        "an RSA key of 512 bits": rsa.RSAPublicNumbers(65537, (1 << 511) | 1),
    }
    many_names = x509.SubjectAlternativeName([x509.DNSName(f"{number}.example.com") for number in range(2_800)])
    issued = {name: _issued(key.public_key()) for name, key in keys.items() if _is_possible(key)}
    return {**issued, "a certificate of many names": _issued(seeds.device_key().public_key(), many_names)}


def texts() -> dict[str, bytes]:
    """JSON, TOML, headers, ids."""
    return {
        "deep JSON arrays": filled(b"["),
        "deep JSON objects": filled(b'{"a":'),
        "deep commands": b'{"command":{"a":' + filled(b'{"$dict":{"a":')[:65_000],
        "many JSON arrays": filled(b"[],", before=b'{"command":{"RequestType":"a","b":[', after=b"1]}}"),
        "many JSON zeros": filled(b"0,", before=b'{"command":{"RequestType":"a","b":[', after=b"1]}}"),
        "a long JSON number": filled(b"9", before=b'{"priority":', after=b"}"),
        "a large JSON exponent": b'{"command":{"RequestType":"a","b":1e999999999}}',
        "a JSON string of escapes": filled(b"\\u0041", before=b'{"command":{"RequestType":"', after=b'"}}'),
        "many targets": filled(b'"a",', before=b'{"everyone":true,"targets":[', after=b'"a"]}'),
        "deep TOML arrays": filled(b"[", before=b"a = "),
        "percent signs": filled(b"%"),
        "percent escapes": filled(b"%25"),
        "colons": filled(b":"),
        "slashes": filled(b"declaration/"),
        "base64": filled(b"A"),
        "open certificates": filled(b"-----BEGIN CERTIFICATE-----"),
        "small certificates": filled(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        "white space": filled(b" "),
        "letters": filled(b"a"),
    }


KINDS: tuple[Callable[[], dict[str, bytes]], ...] = (plists, encodings, certificates, texts)


def hostile_inputs() -> dict[str, bytes]:
    """All of them, by what they are."""
    inputs = {name: data for kind in KINDS for name, data in kind().items()}
    assert all(len(data) <= SIZE for data in inputs.values()), [
        name for name, data in inputs.items() if len(data) > SIZE
    ]
    return inputs


def _nested(levels: int) -> bytes:
    encoded = b""
    for _ in range(levels):
        length = len(encoded)
        encoded = (bytes((0x30, length)) if length < 128 else b"\x30\x83" + length.to_bytes(3)) + encoded
    return encoded


def _is_possible(numbers: rsa.RSAPublicNumbers) -> bool:
    try:
        numbers.public_key()
    except ValueError:
        return False
    return True


def _issued(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey, *extensions: x509.ExtensionType) -> bytes:
    authority = x509.load_der_x509_certificate(seeds.device_certificates()[1])
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(authority.subject)
        .public_key(key)
        .serial_number(3)
        .not_valid_before(seeds.NOW)
        .not_valid_after(seeds.NOW + timedelta(days=1))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    certificate = builder.sign(seeds.authority_key(), hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.DER)
