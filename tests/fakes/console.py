"""A console that remembers what it was told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class RecordingConsole:
    """`lines`, `warnings`, `progresses` and `events`, in the order in which they came."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.warnings: list[str] = []
        self.progresses: list[tuple[str, int, int | None]] = []
        self.events: list[tuple[str, Mapping[str, Any]]] = []
        self.moments: list[tuple[str, Mapping[str, Any]]] = []
        self.pulses = 0

    def say(self, line: str) -> None:
        self.lines.append(line)

    def warn(self, line: str) -> None:
        self.warnings.append(line)

    def progress(self, label: str, done: int, total: int | None) -> None:
        self.progresses.append((label, done, total))

    def event(self, name: str, members: Mapping[str, Any]) -> None:
        self.events.append((name, dict(members)))

    def moment(self, event: str, members: Mapping[str, Any]) -> None:
        self.moments.append((event, dict(members)))

    def pulse(self, elapsed: float) -> None:
        self.pulses += 1

    @property
    def text(self) -> str:
        """Everything a person would have read."""
        return "\n".join([*self.lines, *self.warnings])
