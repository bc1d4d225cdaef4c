"""Reads and writes the frames of `docs/protocol.md`; everything else on the port is noise.

Pure: bytes in, frames out. Never trusts the guest: lines are bounded, payloads are plain JSON, and
every byte is looked at a fixed number of times.
"""

from __future__ import annotations

import json
import re
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

from provisioner.frozen import frozen

MAGIC = b"PROVISIONER/1"
LONGEST_LINE = 8192
"""Bytes kept of a line without an end; noise of a crashing kernel must not grow in memory."""

REMEMBERED = 256
"""So many frames are known again when they are replayed."""

_FRAME = re.compile(rb"PROVISIONER/1 ([1-9][0-9]{0,9}) ([0-9a-f]{8}) (\{.*\})")
_ESCAPE = re.compile(rb"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[@-Z\\-_])")
_LINE_END = re.compile(rb"\r\n?|\n")


@frozen
class Frame:
    """One event of the guest. `payload` has at least the member `event`."""

    sequence: int
    payload: Mapping[str, Any]

    @property
    def event(self) -> str:
        """`stage`, `step`, `ready`, `failed`, or one we do not know."""
        return str(self.payload["event"])

    def text(self, member: str, *, longest: int = 1000) -> str:
        """A member in words, whatever the guest put there; empty where there is none."""
        value = self.payload.get(member)
        return "" if value is None else str(value)[:longest]

    def number(self, member: str) -> int | None:
        """A member that is a whole number, not negative and of sensible size, or None."""
        value = self.payload.get(member)
        if isinstance(value, bool) or not isinstance(value, int):
            return None
        return value if 0 <= value < 1 << 63 else None


@frozen
class Noise:
    """A line that is no frame: firmware, kernels, drivers. Escape sequences are taken out."""

    text: str


def encode(sequence: int, payload: Mapping[str, Any]) -> bytes:
    """One line as the guest writes it, with CRLF."""
    body = json.dumps(payload, ensure_ascii=True, separators=(",", ":")).encode()
    checked = b"%d %s" % (sequence, body)
    return b"%s %d %08x %s\r\n" % (MAGIC, sequence, zlib.crc32(checked), body)


def decode(line: bytes) -> Frame | Noise:
    """A frame if its magic, checksum and JSON hold, otherwise noise.

    Where a broken frame lost its line end, a whole one may follow in the same line.
    """
    clean = _ESCAPE.sub(b"", line) if b"\x1b" in line else line
    first = clean.find(MAGIC)
    if first >= 0:
        last = clean.rfind(MAGIC)
        for start in (first,) if first == last else (first, last):
            frame = _frame(clean, start)
            if frame is not None:
                return frame
    return Noise(text=clean.decode("ascii", "replace").strip())


def _frame(line: bytes, start: int) -> Frame | None:
    found = _FRAME.match(line, start)
    if found is None:
        return None
    sequence, crc, body = found.groups()
    if zlib.crc32(b"%s %s" % (sequence, body)) != int(crc, 16):
        return None
    try:
        payload = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    if isinstance(payload, dict) and isinstance(payload.get("event"), str):
        return Frame(sequence=int(sequence), payload=payload)
    return None


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


class Decoder:
    """Cuts a growing log into lines. Feed it pieces of any size."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._after_cr = False
        self.position = 0
        """Bytes fed up to the end of the last line that `feed` has gone past."""
        self._fed = 0

    def feed(self, data: bytes) -> Iterator[Frame | Noise]:
        """Frames and noise of the lines that are complete now, empty noise left out."""
        base = self._fed
        self._fed += len(data)
        start = 1 if self._after_cr and data.startswith(b"\n") else 0
        if data:
            self._after_cr = data.endswith(b"\r")
        for end in _LINE_END.finditer(data, start):
            self._keep(data[start : end.start()])
            start = end.end()
            line = bytes(self._rest[-LONGEST_LINE:])
            self._rest.clear()
            self.position = base + start
            if not line:
                continue
            item = decode(line)
            if isinstance(item, Frame) or item.text:
                yield item
        self._keep(data[start:])

    @property
    def behind(self) -> int:
        """Bytes fed since the last line end."""
        return self._fed - self.position

    @property
    def pending(self) -> str:
        """The unfinished last line, for prompts that never end theirs."""
        rest = bytes(self._rest[-LONGEST_LINE:])
        return _ESCAPE.sub(b"", rest).decode("ascii", "replace").strip()

    def _keep(self, piece: bytes) -> None:
        """Adds to the line, which is cut only when it is twice as long as may be: linear."""
        self._rest += piece[-LONGEST_LINE:]
        if len(self._rest) > 2 * LONGEST_LINE:
            del self._rest[:-LONGEST_LINE]


class Numbering:
    """Holds the sequence numbers of one boot against each other.

    A number that was skipped means lost lines. A frame that came before, number and payload, is a
    replay. Any other is believed whatever its number: what a guest says about its own
    installation is worth more than how it counts, and losing `ready` would be worse.
    """

    def __init__(self) -> None:
        self.last: int | None = 0
        self._seen: OrderedDict[int, int] = OrderedDict()

    def resume(self) -> None:
        """Others have heard the beginning: the next frame may have any number."""
        self.last = None

    def new_boot(self) -> None:
        """The firmware has started again: numbers count from 1, and nothing is a replay."""
        self.last = 0
        self._seen.clear()

    def take(self, frame: Frame) -> tuple[bool, int]:
        """Whether the frame is news, and how many lines are missing before it."""
        mark = hash(json.dumps(frame.payload, sort_keys=True))
        if self._seen.get(frame.sequence) == mark:
            return False, 0
        missing = 0
        if frame.sequence == 1:
            self.new_boot()
        elif self.last is not None and frame.sequence > self.last + 1:
            missing = frame.sequence - self.last - 1
        self._seen[frame.sequence] = mark
        while len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        self.last = frame.sequence
        return True, missing
