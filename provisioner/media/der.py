"""DER, as far as a signature's names need it: definite lengths, one level at a time.

ITU-T X.690. Nothing is recursive, nothing is copied before it is asked for, and an element never
reaches past the one that holds it.
"""

from __future__ import annotations

from collections.abc import Iterator

from provisioner.frozen import frozen
from provisioner.media.window import Damaged

INTEGER, BIT_STRING, OCTET_STRING, OID, SEQUENCE, SET = 0x02, 0x03, 0x04, 0x06, 0x30, 0x31
CONTEXT_0, CONTEXT_1 = 0xA0, 0xA1
MAX_CHILDREN = 4096
_STRINGS = {
    0x0C: "utf-8",
    0x12: "ascii",
    0x13: "ascii",
    0x14: "latin-1",  # T.61, which everybody fills with Latin-1
    0x16: "ascii",
    0x1A: "ascii",
    0x1C: "utf-32-be",
    0x1E: "utf-16-be",
}


@frozen
class Element:
    """One element of `data`: it starts at `start`, its content goes from `content` to `end`."""

    data: bytes
    tag: int
    start: int
    content: int
    end: int

    @property
    def value(self) -> bytes:
        """The content."""
        return self.data[self.content : self.end]

    @property
    def encoded(self) -> bytes:
        """Tag, length and content."""
        return self.data[self.start : self.end]

    def expect(self, *tags: int) -> Element:
        """Itself; `Damaged` unless it has one of these tags."""
        if self.tag not in tags:
            raise Damaged(f"a signature is damaged: tag {self.tag:#04x} at byte {self.start}")
        return self


def element(data: bytes, at: int = 0, end: int | None = None) -> Element:
    """The element that starts at a byte and ends before `end`."""
    limit = len(data) if end is None else min(end, len(data))
    if at + 2 > limit:
        raise Damaged(f"a signature is cut off at byte {at}")
    tag, first = data[at], data[at + 1]
    content = at + 2
    length = first
    if tag & 0x1F == 0x1F or first == 0x80:
        raise Damaged("a signature is encoded in a way that signatures are not")
    if first & 0x80:
        count = first & 0x7F
        if count > 4 or content + count > limit:
            raise Damaged(f"a signature has an impossible length at byte {at}")
        length = int.from_bytes(data[content : content + count], "big")
        content += count
    if content + length > limit:
        raise Damaged(f"a signature is cut off inside the element at byte {at}")
    return Element(data=data, tag=tag, start=at, content=content, end=content + length)


def children(parent: Element) -> Iterator[Element]:
    """The elements inside a constructed one, in order; at most `MAX_CHILDREN`."""
    if not parent.tag & 0x20:
        raise Damaged(f"a signature is damaged: nothing can be inside byte {parent.start}")
    at = parent.content
    for _ in range(MAX_CHILDREN):
        if at >= parent.end:
            return
        child = element(parent.data, at, parent.end)
        yield child
        at = child.end
    raise Damaged("a signature has more parts than any real one")


def members(parent: Element, least: int) -> list[Element]:
    """All elements inside; `Damaged` when there are fewer than `least`."""
    found = list(children(parent))
    if len(found) < least:
        raise Damaged(f"a signature is damaged: parts are missing at byte {parent.start}")
    return found


def oid(item: Element) -> str:
    """`1.2.840.113549.1.7.2`."""
    data = item.expect(OID).value
    if not data or len(data) > 64:
        raise Damaged("a signature has an impossible object identifier")
    numbers: list[int] = []
    number = 0
    for byte in data:
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(number)
            number = 0
    if not numbers:
        raise Damaged("a signature has an object identifier that does not end")
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))


def text(item: Element) -> str:
    """A string of any of ASN.1's kinds; empty for anything else."""
    encoding = _STRINGS.get(item.tag)
    return item.value[:1024].decode(encoding, "replace") if encoding else ""
