"""Text that others wrote (devices above all), made safe to show: it can forge no line and drive no terminal (S23)."""

import re

_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def escaped(text: str) -> str:
    """The text with every control, bidi and invisible character written out (`\\x1b`, `\\u202e`)."""
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def escaped_json(document: str) -> str:
    """A JSON document without line breaks that means the same, with those characters as JSON escapes."""
    return _UNSAFE.sub(_json_escape, document)


def _json_escape(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
