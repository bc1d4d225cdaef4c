"""An append-only list of what a run began, so that the next one can finish or clean.

Every line is on the disk before the thing it announces is begun. A line cut off by a crash is
ignored: what it would have announced was not begun.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from provisioner.frozen import frozen


@frozen
class Entry:
    """Step number `step` began, or is done. `undo` names what removes it: kind and subject."""

    step: int
    done: bool
    undo: tuple[str, str] | None = None


class Journal:
    """The journal of one machine; one writer at a time, which the machine's lock sees to."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self, step: int, undo: tuple[str, str] | None) -> None:
        """Announces a step, durably."""
        self._append({"step": step, "done": False, "undo": undo})

    def done(self, step: int) -> None:
        """Notes that a step is complete, durably."""
        self._append({"step": step, "done": True})

    def entries(self) -> tuple[Entry, ...]:
        """Everything written so far; empty when there is no journal."""
        try:
            lines = self._path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return ()
        found = []
        for line in lines[:-1]:  # what follows the last line break was cut off
            try:
                raw = json.loads(line)
                undo = raw.get("undo")
                found.append(
                    Entry(
                        step=int(raw["step"]),
                        done=bool(raw["done"]),
                        undo=(str(undo[0]), str(undo[1])) if undo else None,
                    )
                )
            except (ValueError, KeyError, TypeError, AttributeError):
                continue
        return tuple(found)

    def completed(self) -> frozenset[int]:
        """Numbers of the steps that are done."""
        return frozenset(entry.step for entry in self.entries() if entry.done)

    def clear(self) -> None:
        """Forgets everything."""
        self._path.unlink(missing_ok=True)

    def _append(self, record: dict[str, object]) -> None:
        data = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
