"""Speaks docs/protocol.md on the first serial port, and prints the report beside it.

Both directions are here: the guest writes, tests read.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

MARK = "PROVISIONER/1"
STAGES = (
    "setup", "answers", "setup-drivers", "disks", "image",
    "first-boot", "specialize", "oobe", "first-logon", "agent",
)  # fmt: skip
"""Everything the stand-in goes through, in its order."""
SCRIPT_STAGES = ("drivers", "settings", "steps", "cleanup")
"""What the script of the first logon goes through besides, in Windows."""
REPORT_MARK = "STANDIN-REPORT"
PIECE_LENGTH = 160
"""Characters of base64 per line: whole lines stay well below 200."""


def frame(sequence: int, event: Mapping[str, Any]) -> str:
    """One protocol line, without its line end."""
    payload = json.dumps(event, ensure_ascii=True, separators=(",", ":"))
    checked = f"{sequence} {payload}"
    return f"{MARK} {sequence} {zlib.crc32(checked.encode('ascii')):08x} {payload}"


def read_events(text: str) -> tuple[tuple[int, dict[str, Any]], ...]:
    """All valid protocol lines in a serial log as (sequence, payload); the rest is noise."""
    events = []
    for line in text.splitlines():
        found = re.search(rf"{re.escape(MARK)} (\d+) ([0-9a-f]{{8}}) (\{{.*\}})\s*$", line)
        if found is None:
            continue
        sequence, crc, payload = found[1], found[2], found[3]
        if f"{zlib.crc32(f'{sequence} {payload}'.encode('ascii', 'replace')):08x}" == crc:
            events.append((int(sequence), json.loads(payload)))
    return tuple(events)


def report_lines(report: Mapping[str, Any]) -> tuple[str, ...]:
    """The report as lines `STANDIN-REPORT i/n CRC BASE64`: base64 of zlib-compressed JSON, with the
    CRC-32 of the whole JSON on every line."""
    data = json.dumps(report, ensure_ascii=True, sort_keys=True).encode("ascii")
    text = base64.b64encode(zlib.compress(data, 9)).decode("ascii")
    pieces = [text[start : start + PIECE_LENGTH] for start in range(0, len(text), PIECE_LENGTH)]
    crc = f"{zlib.crc32(data):08x}"
    return tuple(
        f"{REPORT_MARK} {number}/{len(pieces)} {crc} {piece}"
        for number, piece in enumerate(pieces, start=1)
    )


def parse_report(text: str) -> dict[str, Any] | None:
    """The last whole report in a serial log, or None."""
    pieces: dict[str, dict[int, str]] = {}
    whole: dict[str, Any] | None = None
    pattern = rf"{REPORT_MARK} (\d+)/(\d+) ([0-9a-f]{{8}}) ([A-Za-z0-9+/=]+)"
    for number, total, crc, piece in re.findall(pattern, text):
        collected = pieces.setdefault(f"{crc}/{total}", {})
        collected[int(number)] = piece
        if int(number) == int(total) and len(collected) == int(total):
            joined = "".join(collected[key] for key in sorted(collected))
            data = zlib.decompress(base64.b64decode(joined))
            if f"{zlib.crc32(data):08x}" == crc:
                whole = dict(json.loads(data))
    return whole


@dataclass(slots=True)
class SerialReport:
    """The guest's side: numbers the lines of this boot."""

    write: Callable[[str], None]
    stage: str = "setup"
    _sequence: int = field(default=0)

    def begin(self, stage: str) -> None:
        """A stage begins."""
        self.stage = stage
        self._send({"event": "stage", "stage": stage})

    def detail(self, **facts: Any) -> None:
        """What was found in the present stage."""
        self._send({"event": "detail", "stage": self.stage, **facts})

    def progress(self, done: int, total: int) -> None:
        """How far the present stage is, in bytes."""
        self._send({"event": "progress", "stage": self.stage, "done": done, "total": total})

    def event(self, payload: Mapping[str, Any]) -> None:
        """An event of the steps (docs/steps.md)."""
        self._send(payload)

    def ready(self) -> None:
        """Nothing more will be reported."""
        self._send({"event": "ready"})

    def failed(self, message: str) -> None:
        """The guest gives up in the current stage."""
        self._send({"event": "failed", "stage": self.stage, "message": message})

    def _send(self, event: Mapping[str, Any]) -> None:
        self._sequence += 1
        self.write(frame(self._sequence, event) + "\n")
