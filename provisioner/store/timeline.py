"""What happened to a machine, one JSON object a line: written by `up`, read by everybody else.

`timeline.jsonl` in the machine's folder. A reader needs no lock: a line cut off by a crash is
ignored, and lines are only ever appended.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import field
from enum import StrEnum
from pathlib import Path
from typing import Any

from provisioner.frozen import frozen

FILE = "timeline.jsonl"


class Origin(StrEnum):
    """Who says so."""

    REPORTED = "reported"
    """The guest, in a whole frame of docs/protocol.md."""
    INFERRED = "inferred"
    """We conclude it from evidence: firmware output, byte counters, reboots, the screen."""
    HOST = "host"
    """We did or saw it ourselves: started, ejected, screenshot, gap."""


@frozen
class Moment:
    """One event. `at` in seconds since 1970, by the host's clock; `members` as JSON holds them.

    Events: `started`, `stage` (`stage`), `step` (`name`, `state`, `exit_code`), `output` (`step`,
    `stream`, `text`), `warning` and `failed` (`stage`, `message`), `ready`, `reboot`, `progress`
    (`done`, `total` or None, `rate` in bytes per second), `screen` (`file`, relative to the
    machine's folder), `stalled` (`stage`, `seconds`), `gap` (`reason`), `ejected`, `ended`.
    """

    at: float
    event: str
    origin: Origin
    members: Mapping[str, Any] = field(default_factory=dict)


class Timeline:
    """The timeline of one machine; one writer at a time, any number of readers."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, moment: Moment) -> None:
        """Adds one line; not fsynced, since only the telling of the story is lost."""
        record = {
            "at": round(moment.at, 3),
            "event": moment.event,
            "origin": moment.origin.value,
            **moment.members,
        }
        data = json.dumps(record, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, data)
        finally:
            os.close(descriptor)

    def read(self, offset: int = 0) -> tuple[tuple[Moment, ...], int]:
        """The moments from a byte offset on, and the offset to read on from next time."""
        try:
            with self._path.open("rb") as file:
                file.seek(offset)
                data = file.read()
        except FileNotFoundError:
            return (), offset
        whole = data.rfind(b"\n") + 1
        return tuple(_moments(data[:whole])), offset + whole

    def clear(self) -> None:
        """Forgets everything: a new generation begins."""
        self._path.unlink(missing_ok=True)


def _moments(data: bytes) -> Iterator[Moment]:
    for line in data.splitlines():
        try:
            raw = json.loads(line)
            yield Moment(
                at=float(raw.pop("at")),
                event=str(raw.pop("event")),
                origin=Origin(raw.pop("origin")),
                members=raw,
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
