"""Reads and writes the frames of `docs/protocol.md`; everything else on the port is noise.

Pure: bytes in, frames out. Never trusts the guest: lines are bounded and payloads are plain JSON.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from provisioner.frozen import frozen

MAGIC = b"PROVISIONER/1"
LONGEST_LINE = 8192
"""Bytes kept of a line without an end; noise of a crashing kernel must not grow in memory."""

_FRAME = re.compile(rb"PROVISIONER/1 ([1-9][0-9]{0,9}) ([0-9a-f]{8}) (\{.*\})")
_ESCAPE = re.compile(rb"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[@-Z\\-_])")


@frozen
class Frame:
    """One event of the guest. `payload` has at least the member `event`."""

    sequence: int
    payload: Mapping[str, Any]

    @property
    def event(self) -> str:
        """`stage`, `step`, `ready`, `failed`, or one we do not know."""
        return str(self.payload["event"])


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
    """A frame if its magic, checksum and JSON hold, otherwise noise."""
    clean = _ESCAPE.sub(b"", line)
    if found := _FRAME.search(clean):
        sequence, crc, body = found.groups()
        if zlib.crc32(b"%s %s" % (sequence, body)) == int(crc, 16):
            try:
                payload = json.loads(body)
            except (ValueError, RecursionError):
                payload = None
            if isinstance(payload, dict) and isinstance(payload.get("event"), str):
                return Frame(sequence=int(sequence), payload=payload)
    return Noise(text=clean.decode("ascii", "replace").strip())


class Decoder:
    """Cuts a growing log into lines. Feed it pieces of any size."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Frame | Noise]:
        """Frames and noise of the lines that are complete now, empty noise left out."""
        self._rest += data
        *lines, self._rest = re.split(rb"\r?\n|\r(?!\n|$)", self._rest)
        if len(self._rest) > LONGEST_LINE:
            self._rest = self._rest[-LONGEST_LINE:]
        for line in lines:
            item = decode(line)
            if isinstance(item, Frame) or item.text:
                yield item

    @property
    def pending(self) -> str:
        """The unfinished last line, for prompts that never end theirs."""
        return _ESCAPE.sub(b"", self._rest).decode("ascii", "replace").strip()
