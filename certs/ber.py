"""Reads BER lazily: one level at a time, skipping by length, within fixed limits.

Devices send BER where DER is written (indefinite lengths, OCTET STRINGs in pieces). A definite element
is not looked into until its children are asked for; an indefinite one is, once, since only its content
tells where it ends. What the elements mean is not decided here.
"""

from collections.abc import Sequence
from typing import NamedTuple

from certs.errors import MalformedDER

MAX_DEPTH = 32
MAX_ELEMENTS = 1024  # a signature has about 30; attached content comes in pieces of 1 kB or more

BOOLEAN = 0x01
INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
NULL_TAG = 0x05
OBJECT_IDENTIFIER = 0x06
SEQUENCE = 0x30
SET = 0x31
CONSTRUCTED = 0x20

_INDEFINITE = 0x80
_LONGEST_LENGTH = 4
_new = tuple.__new__  # half the time of the constructor that NamedTuple writes


class Element(NamedTuple):
    """One element, as offsets into the bytes it was read from; a tuple, because it is made by the dozen.

    `children` is None until someone asks, unless the length is indefinite.
    """

    tag: int
    start: int
    content: int
    content_end: int
    end: int
    depth: int
    children: tuple["Element", ...] | None


class Reader:
    """Reads the elements of one encoding; raises MalformedDER for whatever cannot be read.

    The elements read are counted over the life of a reader, so that no input costs more than its share.
    """

    __slots__ = ("_unread", "encoded", "saw_indefinite")

    def __init__(self, encoded: bytes) -> None:
        self.encoded = encoded
        self.saw_indefinite = False
        self._unread = MAX_ELEMENTS

    def root(self) -> Element:
        """The one element that fills the whole encoding."""
        row, _ = self._row(0, len(self.encoded), 1, is_indefinite=False)
        if len(row) != 1:
            raise MalformedDER(f"{len(row)} elements in a row where exactly one belongs")
        return row[0]

    def children(self, element: Element) -> Sequence[Element]:
        """The elements directly inside a constructed one."""
        if element.children is not None:
            return element.children
        if not element.tag & CONSTRUCTED:
            raise MalformedDER(f"element 0x{element.tag:02x} at {element.start} should be constructed")
        return self._row(element.content, element.content_end, element.depth + 1, is_indefinite=False)[0]

    def content(self, element: Element) -> bytes:
        """The content octets as they stand."""
        return self.encoded[element.content : element.content_end]

    def raw(self, element: Element) -> bytes:
        """The whole element as it stands, header and end included."""
        return self.encoded[element.start : element.end]

    def octets(self, element: Element) -> bytes:
        """The value of an OCTET STRING (under any tag), its segments joined if it came in pieces."""
        if not element.tag & CONSTRUCTED:
            return self.content(element)
        segments = self.children(element)
        for segment in segments:
            if segment.tag & ~CONSTRUCTED != OCTET_STRING:
                raise MalformedDER(f"tag 0x{segment.tag:02x} inside an OCTET STRING at {segment.start}")
        return b"".join(map(self.octets, segments))

    def definite(self, element: Element) -> bytes:
        """The whole element with every indefinite length inside it made definite, the rest unchanged."""
        if not element.tag & CONSTRUCTED:
            return self.raw(element)
        content = b"".join(map(self.definite, self.children(element)))
        if element.children is None and content == self.content(element):
            return self.raw(element)
        return bytes((element.tag,)) + definite_length(len(content)) + content

    def _row(self, position: int, limit: int, depth: int, *, is_indefinite: bool) -> tuple[list[Element], int]:
        """The elements up to the limit, or up to the end-of-contents octets, and where they end.

        One loop without calls for the usual element: this is most of what a signature costs to read.
        """
        if depth > MAX_DEPTH:
            raise MalformedDER(f"elements nested more than {MAX_DEPTH} deep")
        encoded = self.encoded
        row: list[Element] = []
        while position < limit:
            content = position + 2
            if len(row) >= self._unread:
                raise MalformedDER(f"more than {MAX_ELEMENTS} elements")
            if content > limit:
                raise MalformedDER(f"element at {position} is cut off")
            tag = encoded[position]
            length = encoded[position + 1]
            if tag == 0 or tag & 0x1F == 0x1F:
                if is_indefinite and tag == length == 0:
                    break
                raise MalformedDER(f"tag 0x{tag:02x} at {position} is not one that is read here")
            if length >= _INDEFINITE:
                if length == _INDEFINITE:
                    row.append(self._indefinite(tag, position, limit, depth))
                    position = row[-1].end
                    continue
                octets = length & 0x7F
                length = int.from_bytes(encoded[content : content + octets], "big")
                content += octets
                if octets > _LONGEST_LENGTH or content > limit:
                    raise MalformedDER(f"length at {position + 1} is cut off or longer than 4 octets")
            end = content + length
            if end > limit:
                raise MalformedDER(f"element 0x{tag:02x} at {position} goes beyond what holds it")
            row.append(_new(Element, (tag, position, content, end, end, depth, None)))
            position = end
        else:
            if is_indefinite:
                raise MalformedDER(f"nothing ends the element of indefinite length before {limit}")
        self._unread -= len(row)
        return row, position

    def _indefinite(self, tag: int, start: int, limit: int, depth: int) -> Element:
        if not tag & CONSTRUCTED:
            raise MalformedDER(f"primitive element 0x{tag:02x} at {start} has an indefinite length")
        self.saw_indefinite = True
        children, end = self._row(start + 2, limit, depth + 1, is_indefinite=True)
        return Element(tag, start, start + 2, end, end + 2, depth, tuple(children))


def expected(element: Element, tag: int) -> Element:
    """The element itself, if it has this identifier octet; raises MalformedDER."""
    if element.tag != tag:
        raise MalformedDER(f"tag 0x{element.tag:02x} where 0x{tag:02x} belongs, at {element.start}")
    return element


def definite_length(length: int) -> bytes:
    """The length octets of DER: X.690 §10.1."""
    if length < _INDEFINITE:
        return bytes((length,))
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((_INDEFINITE | len(octets),)) + octets
