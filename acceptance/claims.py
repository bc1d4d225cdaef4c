"""What is unproven, read from docs/unproven.md, and where the fact sheets ask for it.

The page is the only list: a claim that is added there appears in the next report.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs/unproven.md"

FACTS: Mapping[tuple[str, int], tuple[str, ...]] = {
    ("windows-setup.md §14", 1): ("L5", "F1"),
    ("windows-setup.md §14", 2): ("W2",),
    ("windows-setup.md §14", 3): ("F2",),
    ("windows-setup.md §14", 4): ("W4",),
    ("windows-setup.md §14", 5): ("F3",),
    ("windows-setup.md §14", 6): ("W5",),
    ("windows-setup.md §14", 7): ("W16",),
    ("windows-setup.md §14", 8): ("F4",),
    ("iso-usb.md §9", 1): ("B1", "B2", "D2"),
    ("iso-usb.md §9", 2): ("D1",),
    ("iso-usb.md §9", 3): ("F5",),
    ("iso-usb.md §9", 4): ("F6",),
    ("iso-usb.md §9", 5): ("F7",),
    ("iso-usb.md §9", 6): ("D4", "D5", "D6"),
}
"""Each item of the two lists of open questions, and the claims that answer it."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One row of the page."""

    id: str
    text: str
    experiment: str
    settled: str = "nobody yet"


def claims(page: Path = PAGE) -> Mapping[str, Claim]:
    """Every claim by its id, in the order of the page."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition("\n## Settled\n")
    settled_part, _, tables = rest.partition("\n## ")
    settled = {row[0]: row[3] for row in _rows(settled_part, 4)}
    found = {}
    for number, claim, experiment in _rows(before + "\n## " + tables, 3):
        if re.fullmatch(r"[A-Z]\d+", number):
            found[number] = Claim(
                id=number,
                text=claim,
                experiment=experiment,
                settled=settled.get(number, "nobody yet"),
            )
    return found


def _rows(text: str, cells: int) -> list[list[str]]:
    rows = []
    for line in text.splitlines():
        if not line.startswith("|"):
            continue
        parts = [part.strip() for part in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(parts) == cells:
            rows.append(parts)
    return rows
