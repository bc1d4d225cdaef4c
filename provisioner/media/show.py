"""`inspect` for people: the facts about a medium as lines that fit a terminal of any width.

Pure text. Everything that came from the medium is escaped here, so that no label or file name can
steer a terminal.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from provisioner.frozen import frozen

_LABEL = 15
_NARROW = 48
"""Below this many columns a label stands on a line of its own."""


@frozen
class Field:
    """A label, its paragraphs, and a table, whose first row is its head."""

    label: str
    texts: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    right: frozenset[int] = frozenset()
    """Columns of numbers, aligned to the right."""


def lines(title: str, aside: str, fields: Iterable[Field], *, width: int) -> Iterator[str]:
    """The whole page. `aside` stands at the right end of the title where there is room; an empty
    title is left out.
    """
    width = max(width, 10)
    room = width - cells(title) - cells(aside)
    if not title:
        pass
    elif room >= 2:
        yield title + " " * (room if width < 100 else min(room, 12)) + aside
    else:
        yield from wrap(title, width, "", "  ")
        yield from wrap(aside, width, "  ", "  ")
    for field in fields:
        yield from _field(field, width)


def _field(field: Field, width: int) -> Iterator[str]:
    narrow = width < _NARROW
    indent = "  " if narrow else " " * (_LABEL + 2)
    body: list[str] = []
    for text in field.texts:
        body += wrap(text, width, indent, indent + "  ")
    if field.rows:
        body += _table(field, width - len(indent), indent)
    if narrow:
        yield from wrap(field.label, width, "", "  ")
        yield from body
        return
    label = f"  {field.label}".ljust(_LABEL + 1) + " "
    first, *rest = body or [indent]
    yield (label + first[len(indent) :]).rstrip()
    yield from rest


def _table(field: Field, width: int, indent: str) -> Iterator[str]:
    """Aligned columns, or, where they do not fit, one paragraph for each row."""
    head, *rows = field.rows
    widths = [max(cells(row[n]) for row in field.rows) for n in range(len(head))]
    if sum(widths) + 2 * (len(widths) - 1) > width:
        for row in rows:
            text = " · ".join(part for part in row if part)
            yield from wrap(text, width + len(indent), indent, indent + "  ")
        return
    for row in field.rows:
        parts = (
            _pad(part, widths[number], right=number in field.right)
            for number, part in enumerate(row)
        )
        yield (indent + "  ".join(parts)).rstrip()


def _pad(text: str, width: int, *, right: bool) -> str:
    blanks = " " * (width - cells(text))
    return blanks + text if right else text + blanks


def wrap(text: str, width: int, first: str, following: str) -> Iterator[str]:
    """Lines of at most `width` columns, broken at blanks, or inside a word where one is longer."""
    line, used, begun = first, cells(first), False
    for word in text.split():
        while True:
            gap = 1 if begun else 0
            if used + gap + cells(word) <= width:
                line += " " * gap + word
                used += gap + cells(word)
                begun = True
                break
            if begun:
                yield line
                line, used, begun = following, cells(following), False
                continue
            part = _cut(word, max(width - used, 1))
            yield line + part
            word = word[len(part) :]
            line, used = following, cells(following)
            if not word:
                break
    if begun:
        yield line


def _cut(word: str, width: int) -> str:
    """The longest start of a word that fits, but one character at least."""
    used = 0
    for number, character in enumerate(word):
        used += cells(character)
        if used > width and number:
            return word[:number]
    return word


def cells(text: str) -> int:
    """Columns of a terminal that a text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.combining(character)
        else 2
        if unicodedata.east_asian_width(character) in "WF"
        else 1
        for character in text
    )


def shown(text: str) -> str:
    """The text with everything that could steer a terminal as `\\x1b`; long ones are cut."""
    if len(text) > 512:
        text = text[:511] + "…"
    return "".join(
        character
        if character.isprintable()
        else character.encode("unicode_escape", "backslashreplace").decode("ascii")
        for character in text
    )


def size_text(count: int) -> str:
    """`5.4 GiB`, `412 KiB`, `17 bytes`."""
    if count < 1 << 10:
        return f"{count} byte{'s' if count != 1 else ''}"
    amount = float(count)
    for unit in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        amount /= 1024
        if amount < 1000 or unit == "PiB":
            break
    digits = 1 if unit not in {"KiB", "MiB"} or amount < 10 else 0
    return f"{amount:.{digits}f} {unit}"


def plural(count: int, word: str) -> str:
    """`1 image`, `11 images`."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def listed(items: Sequence[str], most: int) -> str:
    """The first few, and how many more there are."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
