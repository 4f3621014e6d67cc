"""The strings at the root of a plist, without the tree: for results too large or too broken to be read whole.

The device must be answered whatever it sent (security.md S18), so a fault ends the scan and is no error: what stood
before it is returned.
"""

from collections.abc import Collection
from xml.parsers import expat

from mdmserver.protocol.errors import PlistMalformed, PlistTooLarge, ProtocolError
from mdmserver.protocol.plist import make_parser
from mdmserver.protocol.plist_guard import DEFAULT_LIMITS, check_encoding, check_tags

ROOT_KEYS = frozenset(
    {
        "CommandUUID",
        "EnrollmentID",
        "EnrollmentUserID",
        "MessageType",
        "RequestType",
        "Status",
        "UDID",
        "UserID",
        "UserLongName",
        "UserShortName",
    }
)
LONGEST_ROOT_STRING = 4096
MOST_ROOT_ELEMENTS = 10_000

# Between two pieces other threads get the interpreter; small enough for that, large enough for few calls.
_PIECE_BYTES = 131_072


def scan_root_strings(body: bytes, *, keys: Collection[str] = ROOT_KEYS) -> dict[str, str]:
    """The string values of those `keys` of the root dictionary that stand before the first fault.

    Limits on depth and number do not apply below the root, which may have 10,000 elements; a key given twice is a
    fault; strings over 4096 characters are left out. A tag over 1 KiB anywhere, or no XML at all, gives an empty
    dictionary. Never raises for any bytes."""
    scanner = _RootScanner(body, keys)
    try:
        check_encoding(body)
        check_tags(body, DEFAULT_LIMITS)
        for at in range(0, len(body), _PIECE_BYTES):
            piece = body[at : at + _PIECE_BYTES]
            scanner.parser.Parse(piece, at + len(piece) == len(body))
    except (ProtocolError, expat.ExpatError):
        pass
    return scanner.found


class _RootScanner:
    """Listens to text only directly below the root dictionary; below that it only counts how deep it is."""

    def __init__(self, body: bytes, keys: Collection[str]) -> None:
        self.found: dict[str, str] = {}
        self.parser = make_parser(body)
        self._keys = frozenset(keys)
        self._seen: set[str] = set()
        self._path: list[str] = []
        self._texts: list[str] = []
        self._key: str | None = None
        self._root_elements = 0
        self._levels_inside = 0
        self._listen()

    def _listen(self) -> None:
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        depth = len(self._path)
        if depth == 2:
            self._start_in_root(name)
        elif depth > 2:
            raise PlistMalformed("an element inside a value")
        elif name == ("plist", "dict")[depth]:
            self._path.append(name)
        else:
            raise PlistMalformed("not a plist with a dictionary as its root")

    def _start_in_root(self, name: str) -> None:
        self._root_elements += 1
        if self._root_elements > MOST_ROOT_ELEMENTS:
            raise PlistTooLarge("too many elements in the root")
        if name in ("dict", "array"):
            self._key = None
            self._levels_inside = 1
            self.parser.StartElementHandler = self._start_inside
            self.parser.EndElementHandler = self._end_inside
        else:
            self._path.append(name)
            self._texts.clear()
            self.parser.CharacterDataHandler = self._texts.append

    def _end(self, name: str) -> None:
        self._path.pop()
        if len(self._path) == 2:
            self.parser.CharacterDataHandler = None
            self._take(name, "".join(self._texts))
        elif len(self._path) == 1:
            # The root is complete; a second one would not count.
            self.parser.StartElementHandler = self.parser.EndElementHandler = None

    def _take(self, name: str, text: str) -> None:
        if name == "key":
            if text in self._seen:
                raise PlistMalformed("the same key twice in the root")
            self._key = text if text in self._keys else None
            self._seen.update(self._keys & {text})
            return
        if name == "string" and self._key is not None and len(text) <= LONGEST_ROOT_STRING:
            self.found[self._key] = text
        self._key = None

    def _start_inside(self, name: str, attributes: dict[str, str]) -> None:
        self._levels_inside += 1

    def _end_inside(self, name: str) -> None:
        self._levels_inside -= 1
        if not self._levels_inside:
            self._listen()
