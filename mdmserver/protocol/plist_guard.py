"""What is refused in a plist's bytes before expat sees them.

expat holds the interpreter lock for as long as one tag, one comment or one run of text takes, so whatever makes
those expensive is measured here first, with searches that are linear in the length of the body.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mdmserver.protocol.errors import BinaryPlistRefused, PlistMalformed, PlistTooLarge

LONGEST_TAG = 1024

# `[^<]` holds everywhere: markup has no `<` inside a tag, not even inside quotes.
_SHORT_TAG = re.compile(rb"""<(?>[^<>"']++|"[^<"]*+"|'[^<']*+')++>""")

_DOCTYPE = rb"""<!DOCTYPE(?>[^<>"'\[]++|"[^"]*+"|'[^']*+')*+"""
_ASIDE_START = re.compile(rb"<!--|<!\[CDATA\[|<\?|" + _DOCTYPE)
_ASIDE_ENDS = {b"<!--": b"-->", b"<![CDATA[": b"]]>", b"<?": b"?>"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlistLimits:
    """How much one plist may cost, next to the cap on bytes that the HTTP layer holds.

    `nodes` counts elements, keys included; `aside_bytes` is what comments, CDATA sections and processing
    instructions may take together; `lines` and `references` (`&amp;`) are each a token to expat.
    """

    depth: int = 64
    nodes: int = 100_000
    aside_bytes: int = 1_048_576
    lines: int = 500_000
    references: int = 100_000


DEFAULT_LIMITS = PlistLimits()


def check_body(body: bytes, limits: PlistLimits) -> None:
    """Raises PlistMalformed, BinaryPlistRefused or PlistTooLarge for a body that expat is not to see."""
    check_encoding(body)
    size = len(body)
    if size > 4 * limits.nodes and body.count(b"<") - body.count(b"</") > limits.nodes:
        raise PlistTooLarge(f"more than {limits.nodes} elements")
    if size > limits.lines and body.count(b"\n") + body.count(b"\r") > limits.lines:
        raise PlistTooLarge(f"more than {limits.lines} lines")
    if size > limits.references and body.count(b"&") > limits.references:
        raise PlistTooLarge(f"more than {limits.references} references")
    if size > LONGEST_TAG or size > limits.aside_bytes:
        check_tags(body, limits)


def check_encoding(body: bytes) -> None:
    """Raises BinaryPlistRefused, or PlistMalformed for what is not UTF-8 markup."""
    if body.startswith(b"bplist"):
        raise BinaryPlistRefused("a binary plist; devices send XML")
    # A byte order mark makes expat read UTF-16 in spite of the encoding it was given; such markup holds NULs.
    if b"\0" in body:
        raise PlistMalformed("a NUL byte")


def check_tags(body: bytes, limits: PlistLimits) -> None:
    """Raises PlistMalformed for a tag over 1 KiB, which would keep expat busy for seconds, and PlistTooLarge for
    asides of more than the limit."""
    if len(body) > limits.aside_bytes and _has_asides_over(body, limits.aside_bytes):
        raise PlistTooLarge(f"more than {limits.aside_bytes} bytes of comments and the like")
    # What looks like such a tag is harmless inside a comment or a CDATA section.
    if _has_long_tag(body) and _has_long_tag(_without_asides(body)):
        raise PlistMalformed(f"a tag of more than {LONGEST_TAG} bytes")


def _has_long_tag(body: bytes) -> bool:
    """Looks only at each `<` that no other follows within the length of a tag, which is a few searches per kilobyte."""
    at = body.find(b"<")
    while 0 <= at < len(body) - LONGEST_TAG:
        following = body.rfind(b"<", at + 1, at + LONGEST_TAG)
        if following < 0:
            if not _SHORT_TAG.match(body, at, at + LONGEST_TAG):
                return True
            following = body.find(b"<", at + LONGEST_TAG)
        at = following
    return False


def _has_asides_over(body: bytes, longest: int) -> bool:
    total = 0
    for start, end in _asides(body):
        total += end - start
        if total > longest:
            return True
    return False


def _without_asides(body: bytes) -> bytes:
    kept, at = [], 0
    for start, end in _asides(body):
        kept.append(body[at:start])
        at = end
    kept.append(body[at:])
    return b"".join(kept)


def _asides(body: bytes) -> Iterator[tuple[int, int]]:
    """Where comments, CDATA sections, processing instructions and document types start and end."""
    at = 0
    while opening := _ASIDE_START.search(body, at):
        start, at = opening.span()
        if closing := _ASIDE_ENDS.get(opening.group()):
            at = body.find(closing, at)
            at = len(body) if at < 0 else at + len(closing)
        yield start, at
