"""How text fits a width: terminal cells, wrapped lines, columns, amounts. Pure text, no streams."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from provisioner.pattern import pattern

_STYLE = pattern(r"\x1b\[[0-9;]*m")
_COLUMN = pattern(r" *\S+(?: \S+)*  +(?=\S)")
"""The first column of `  answer disc   6 files`."""


def cells(text: str) -> int:
    """Columns of a terminal that the text takes; styles take none, East Asian characters two."""
    width = 0
    for character in _STYLE.sub("", text):
        if unicodedata.combining(character) or unicodedata.category(character) == "Cf":
            continue
        width += 2 if unicodedata.east_asian_width(character) in "WF" else 1
    return width


def wrapped(text: str, width: int) -> list[str]:
    """Every line of `text` in lines of at most `width` cells.

    Breaks only at spaces, so that a path or an address stays whole and can be copied; the lines
    that follow are indented under the first, or under its second column where that leaves room.
    """
    lines = []
    for line in text.split("\n"):
        if cells(line) <= width:
            lines.append(line)
            continue
        lines += _wrapped_line(line, width)
    return lines


def _wrapped_line(line: str, width: int) -> list[str]:
    column = _COLUMN.match(line)
    if column is not None and cells(column[0]) <= width // 2:
        prefix, hang = column[0], cells(column[0])
    else:
        prefix = line[: len(line) - len(line.lstrip(" "))]
        hang = len(prefix) + 2
    first, *words = line[len(prefix) :].split() or [""]
    lines = []
    current = prefix + first
    for word in words:
        if cells(current) + 1 + cells(word) <= width:
            current += f" {word}"
        else:
            lines.append(current)
            current = " " * hang + word
    return [*lines, current]


def shortened(text: str, width: int) -> str:
    """The text, cut at its end with `…` where it takes more than `width` cells."""
    if cells(text) <= width:
        return text
    kept = ""
    for character in text:
        if cells(kept + character) > width - 1:
            break
        kept += character
    return f"{kept}…" if width > 0 else ""


def table(rows: Sequence[Sequence[str]], width: int | None) -> list[str]:
    """Rows in columns; where they do not fit `width`, a row's cells stand below each other.

    None is no limit.
    """
    if not rows:
        return []
    widths = [max(cells(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = []
    for row in rows:
        padded = (cell + " " * (wide - cells(cell)) for cell, wide in zip(row, widths, strict=True))
        lines.append("  ".join(padded).rstrip())
    if width is None or all(cells(line) <= width for line in lines):
        return lines
    return [
        cell if number == 0 else f"  {cell}"
        for row in rows
        for number, cell in enumerate(row)
        if cell
    ]


def amount(count: float) -> str:
    """`5.1 GiB`: three digits at most, binary units."""
    units = iter(("B", "KiB", "MiB", "GiB", "TiB"))
    unit = next(units)
    while count >= 999.5 and (larger := next(units, None)) is not None:
        count, unit = count / 1024, larger
    return f"{count:.1f} {unit}" if count < 9.95 and unit != "B" else f"{count:.0f} {unit}"


def duration(seconds: float) -> str:
    """`0:27`, `1:02:03`."""
    whole = int(seconds + 0.5)
    hours, minutes = whole // 3600, whole // 60 % 60
    if hours:
        return f"{hours}:{minutes:02}:{whole % 60:02}"
    return f"{minutes}:{whole % 60:02}"
