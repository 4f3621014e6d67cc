"""XML property lists from bytes, within limits. Writing is `plist_writer`, reading only the root is `plist_scan`.

Stricter than plistlib, which forgives unknown elements, duplicate keys, stray text and a second root: a body has one
meaning or none. Any bytes give a dictionary or a ProtocolError.
"""

from typing import Any
from xml.parsers import expat

from mdmserver.protocol.errors import PlistMalformed, PlistTooLarge
from mdmserver.protocol.plist_guard import DEFAULT_LIMITS, PlistLimits, check_body
from mdmserver.protocol.plist_values import SCALAR_PARSERS

_SCALARS = frozenset(SCALAR_PARSERS) | {"string", "key"}
_XML_WHITESPACE = " \t\r\n"


def loads(body: bytes, limits: PlistLimits = DEFAULT_LIMITS) -> dict[str, Any]:
    """The root dictionary; dates are aware UTC, <data> that is no base64 is `MalformedData`.

    Raises PlistMalformed (BinaryPlistRefused for that form) or PlistTooLarge, nothing else."""
    check_body(body, limits)
    builder = _TreeBuilder(limits.depth)
    parser = make_parser()
    # Text goes straight into the list, without a Python frame; the tag that follows decides what it was.
    parser.CharacterDataHandler = builder.texts.append
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    try:
        # One call: fed in pieces, expat rescans an unfinished token from its start each time.
        parser.Parse(body, True)
    except expat.ExpatError as error:
        raise PlistMalformed(f"not well-formed XML: {error}") from error
    if builder.root is None:
        raise PlistMalformed("a plist without a dictionary")
    return builder.root


def make_parser() -> expat.XMLParserType:
    """An expat parser for UTF-8 that refuses internal subsets and entities and has no handlers for content."""
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_internal_subset
    parser.SkippedEntityHandler = _refuse_entity
    return parser


class _TreeBuilder:
    """The handlers of one parse and what they have built so far.

    `texts` is all text since the last tag. `_container` is the innermost open dict or list; in a dict, `_key` is
    the key that waits for its value."""

    __slots__ = ("_container", "_depth", "_in_plist", "_in_scalar", "_key", "_outer", "root", "texts")

    def __init__(self, depth: int) -> None:
        self.root: dict[str, Any] | None = None
        self.texts: list[str] = []
        self._container: dict[str, Any] | list[Any] | None = None
        self._key: str | None = None
        self._outer: list[dict[str, Any] | list[Any] | None] = []
        self._depth = depth
        self._in_plist = False
        self._in_scalar = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if self.texts:
            self._drop_whitespace()
        if name in _SCALARS:
            if attributes or self._in_scalar or self._container is None:
                raise PlistMalformed(f"<{name}> out of place or with attributes")
            self._in_scalar = True
        elif name == "plist":
            if self._in_plist:
                raise PlistMalformed("<plist> inside <plist>")
            self._in_plist = True
        else:
            self._start_container(name, attributes)

    def end(self, name: str) -> None:
        if not self._in_scalar:
            if self.texts:
                self._drop_whitespace()
            self._end_container(name)
            return
        texts = self.texts
        text = texts[0] if len(texts) == 1 else "".join(texts)
        texts.clear()
        self._in_scalar = False
        if name == "key":
            self._take_key(text)
        else:
            self._add(text if name == "string" else SCALAR_PARSERS[name](text))

    def _start_container(self, name: str, attributes: dict[str, str]) -> None:
        if name not in ("dict", "array"):
            raise PlistMalformed(f"the unknown element <{name[:32]}>")
        if attributes or self._in_scalar or not self._in_plist:
            raise PlistMalformed(f"<{name}> out of place or with attributes")
        if len(self._outer) == self._depth:
            raise PlistTooLarge(f"nested deeper than {self._depth}")
        added: dict[str, Any] | list[Any] = {} if name == "dict" else []
        if self._outer:
            self._add(added)
        elif isinstance(added, dict) and self.root is None:
            self.root = added
        else:
            raise PlistMalformed("not one dictionary as the root")
        self._outer.append(self._container)
        self._container, self._key = added, None

    def _end_container(self, name: str) -> None:
        if name == "plist":
            return
        if self._key is not None:
            raise PlistMalformed("a key without a value")
        self._container = self._outer.pop()

    def _take_key(self, key: str) -> None:
        if not isinstance(self._container, dict) or self._key is not None:
            raise PlistMalformed("a key where a value belongs")
        if key in self._container:
            raise PlistMalformed("the same key twice in a dictionary")
        self._key = key

    def _add(self, value: Any) -> None:
        container, key = self._container, self._key
        if isinstance(container, list):
            container.append(value)
        elif container is not None and key is not None:
            container[key] = value
            self._key = None
        else:
            raise PlistMalformed("a value without a key")

    def _drop_whitespace(self) -> None:
        if "".join(self.texts).strip(_XML_WHITESPACE):
            raise PlistMalformed("text outside of values")
        self.texts.clear()


def _refuse_internal_subset(name: str, system_id: str | None, public_id: str | None, has_subset: bool) -> None:
    if has_subset:
        raise PlistMalformed("a document type with declarations of its own")


def _refuse_entity(name: str, is_parameter_entity: bool) -> None:
    raise PlistMalformed("a reference to an entity")
