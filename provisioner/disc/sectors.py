"""Which bytes of a rip are there: a map that GNU ddrescue reads and writes as well.

Format: ddrescue's manual, "Mapfile structure". Kept beside the image; of the statuses, `+` is
finished, `-` is bad, and everything else was not tried to the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from provisioner.errors import MediaError

_NUMBER = r"(0x[0-9A-Fa-f]{1,16}|[0-9]{1,19})"
_LINE = re.compile(rf"{_NUMBER}\s+{_NUMBER}\s+([?*/+-])")
_MOST = 1_000_000


class Status(StrEnum):
    """What is known about a run of bytes."""

    UNTRIED = "?"
    BAD = "-"
    GOOD = "+"


@dataclass(frozen=True, slots=True)
class Run:
    """Bytes of one status."""

    start: int
    end: int
    status: Status


@dataclass(slots=True)
class SectorMap:
    """Runs that follow each other from 0 to `size`; neighbours differ in status."""

    size: int
    _runs: list[Run] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self._runs and self.size:
            self._runs = [Run(0, self.size, Status.UNTRIED)]

    @property
    def runs(self) -> tuple[Run, ...]:
        """All runs, in order."""
        return tuple(self._runs)

    def total(self, status: Status) -> int:
        """Bytes of a status."""
        return sum(run.end - run.start for run in self._runs if run.status is status)

    def having(self, *statuses: Status) -> Iterator[Run]:
        """The runs of these statuses, as they are now."""
        return (run for run in self.runs if run.status in statuses)

    def mark(self, start: int, end: int, status: Status) -> None:
        """Gives bytes a status."""
        if start >= end:
            return
        last = self._runs[-1]
        if last.start <= start and end <= last.end:  # the usual case: on from where it was
            changed, self._runs = self._runs[-1:], self._runs[:-1]
        else:
            changed, self._runs = self._runs, []
        for run in changed:
            for piece in (
                Run(run.start, min(run.end, start), run.status),
                Run(max(run.start, start), min(run.end, end), status),
                Run(max(run.start, end), run.end, run.status),
            ):
                if piece.start < piece.end:
                    self._append(piece)

    def cut(self, size: int) -> None:
        """Forgets everything from `size` on."""
        self._runs = [
            Run(run.start, min(run.end, size), run.status) for run in self._runs if run.start < size
        ]
        self.size = size

    def text(self) -> str:
        """As ddrescue writes it."""
        done = not any(run.status is Status.UNTRIED for run in self._runs)
        lines = [
            "# Mapfile of a disc image, for provisioner iso rip and for GNU ddrescue",
            "# current_pos  current_status  current_pass",
            f"0x00000000     {'+' if done else '?'}               1",
            "#      pos        size  status",
        ]
        lines += [
            f"0x{run.start:08X}  0x{run.end - run.start:08X}  {run.status}" for run in self._runs
        ]
        return "\n".join(lines) + "\n"

    def _append(self, run: Run) -> None:
        if self._runs and self._runs[-1].status is run.status:
            run = Run(self._runs.pop().start, run.end, run.status)
        self._runs.append(run)


def parse_map(text: str) -> SectorMap:
    """A map from its text. MediaError for what is none."""
    runs: list[Run] = []
    end = 0
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for line in lines[1:]:
        match = _LINE.fullmatch(line.strip())
        if match is None or len(runs) > _MOST:
            raise MediaError("the sector map is damaged", hint="delete it to begin again")
        start, size = (int(each, 16 if each.startswith("0x") else 10) for each in match.group(1, 2))
        if start != end or not size:
            raise MediaError("the sector map has holes", hint="delete it to begin again")
        end = start + size
        status = {"+": Status.GOOD, "-": Status.BAD}.get(match[3], Status.UNTRIED)
        runs.append(Run(start, end, status))
    if not runs:
        raise MediaError("the sector map is empty", hint="delete it to begin again")
    return SectorMap(end, runs)
