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


def loads(body: bytes, limits: PlistLimits = DEFAULT_LIMITS) -> dict[str, Any]:
    """The root dictionary; dates are aware UTC, <data> that is no base64 is `MalformedData`.

    Raises PlistMalformed (BinaryPlistRefused for that form) or PlistTooLarge, nothing else."""
    check_body(body, limits)
    builder = _TreeBuilder(limits.depth)
    parser = make_parser(body)
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


def make_parser(body: bytes) -> expat.XMLParserType:
    """An expat parser for this body that refuses internal subsets and entities and has no handlers for content."""
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    # Every body has a document type, few have the bracket of a subset, and the handler costs as much as two values.
    if b"[" in body:
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
        # `start` and `end` run for every value of every device: what can be written out here is not called.
        if texts := self.texts:
            if len(texts) > 1 or not texts[0].isspace():
                self._refuse_stray_text()
            texts.clear()
        if name in _SCALARS:
            if attributes or self._in_scalar:
                raise PlistMalformed(f"<{name}> inside a value or with attributes")
            self._in_scalar = True
        elif name == "plist":
            # An entity in an attribute is not reported by expat; it leaves nothing behind.
            if self._in_plist or (attributes and not attributes.get("version")):
                raise PlistMalformed("<plist> inside <plist> or without its version")
            self._in_plist = True
        else:
            self._start_container(name, attributes)

    def end(self, name: str) -> None:
        texts = self.texts
        if not self._in_scalar:
            self._end_container(name)
            return
        text = texts[0] if len(texts) == 1 else "".join(texts)
        texts.clear()
        self._in_scalar = False
        key, container = self._key, self._container
        if name == "key":
            if key is not None or type(container) is not dict or text in container:
                raise PlistMalformed("a key out of place, or the same key twice")
            self._key = text
            return
        value = text if name == "string" else SCALAR_PARSERS[name](text)
        if key is not None and type(container) is dict:
            container[key] = value
            self._key = None
        elif type(container) is list:
            container.append(value)
        else:
            raise PlistMalformed("a value out of place, or without a key")

    def _start_container(self, name: str, attributes: dict[str, str]) -> None:
        if name not in ("dict", "array"):
            raise PlistMalformed(f"the unknown element <{name[:32]}>")
        if attributes or self._in_scalar or not self._in_plist:
            raise PlistMalformed(f"<{name}> out of place or with attributes")
        if len(self._outer) == self._depth:
            raise PlistTooLarge(f"nested deeper than {self._depth}")
        container, key = self._container, self._key
        added: dict[str, Any] | list[Any] = {} if name == "dict" else []
        if isinstance(container, list):
            container.append(added)
        elif container is not None and key is not None:
            container[key] = added
        elif container is None and self.root is None and isinstance(added, dict):
            self.root = added
        else:
            raise PlistMalformed("a container without a key, or not one dictionary as the root")
        self._outer.append(container)
        self._container, self._key = added, None

    def _end_container(self, name: str) -> None:
        if self.texts:
            self._refuse_stray_text()
            self.texts.clear()
        if name == "plist":
            return
        if self._key is not None:
            raise PlistMalformed("a key without a value")
        self._container = self._outer.pop()

    def _refuse_stray_text(self) -> None:
        if "".join(self.texts).strip():
            raise PlistMalformed("text outside of values")


def _refuse_internal_subset(name: str, system_id: str | None, public_id: str | None, has_subset: bool) -> None:
    if has_subset:
        raise PlistMalformed("a document type with declarations of its own")


def _refuse_entity(name: str, is_parameter_entity: bool) -> None:
    raise PlistMalformed("a reference to an entity")
