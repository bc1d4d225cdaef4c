"""What happened to a machine, one JSON object a line: written by `up`, read by everybody else.

`timeline.jsonl` in the machine's folder. A reader needs no lock: a line cut off by a crash is
ignored, and lines are only ever appended.
"""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field
from enum import StrEnum
from pathlib import Path
from typing import IO, Any

from provisioner.frozen import frozen

FILE = "timeline.jsonl"

PIECE = 4 * 2**20
"""Bytes that a follower reads at once."""


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

    Every moment has `elapsed`, seconds since the start, by a clock that never jumps. What came over
    the serial line has `log`, the file's inode and the offset behind it, where a recorder that
    crashed is resumed.

    Events: `started` (`usual`: stage to median and spread in seconds; `usual_bytes`), `stage`
    (`stage`; inferred: `evidence`), `detail` (`stage`, and what the guest found there), `step`
    (`name`, `state`, `exit_code`, `attempt`), `output` (`step`, `stream`, `text`), `warning` and
    `failed` (`stage`, `message`), `ready`, `reboot`, `progress` (`stage`, `done`, `total` or None,
    `rate` in bytes per second), `screen` (`file`, relative to the machine's folder; `stage`),
    `stalled` (`stage`, `seconds`, `looked_at`), `gap` (`reason`), `agent` (`system`), `ejected`,
    `resumed` (`step`), `result` (`step`, `name`, `text`),
    `ended` (`outcome`: `ready`, `failed`, `stopped` or `detached`; `message`).
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
        descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                data = (
                    b"\n" + data
                )  # a crash cut the last line off; it must not take this one along
            if os.write(descriptor, data) < len(data):
                os.ftruncate(descriptor, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        finally:
            os.close(descriptor)

    def size(self) -> int:
        """Bytes so far."""
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0

    @contextmanager
    def writing(self) -> Iterator[bool]:
        """Whether we are the one writer, until the block ends. The lock goes with its process."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            yield True  # nothing can be written anyway, and the first to try will say so
            return
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
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
            at = float(raw.pop("at"))
            if not math.isfinite(at):
                continue
            yield Moment(
                at=at,
                event=str(raw.pop("event")),
                origin=Origin(raw.pop("origin")),
                members=raw,
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue


class Follower:
    """Reads a timeline as it grows. The file stays open, so that the end of a story is read even
    when the machine is undone in the meantime; a new generation's file is begun from its start.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._offset = 0

    def news(self) -> tuple[Moment, ...]:
        """What was added since the last call."""
        moments: list[Moment] = []
        while True:
            if self._file is None:
                try:
                    self._file = self._path.open("rb")
                except FileNotFoundError:
                    return tuple(moments)
                self._offset = 0
            self._file.seek(self._offset)
            data = self._file.read(PIECE)
            whole = data.rfind(b"\n") + 1
            if not whole and len(data) == PIECE:
                whole = PIECE  # a line that nobody of ours wrote
            if whole:
                self._offset += whole
                moments += _moments(data[:whole])
                continue
            if not self._replaced(self._file):
                return tuple(moments)
            self.close()

    def close(self) -> None:
        """Lets go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _replaced(self, file: IO[bytes]) -> bool:
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        return not os.path.samestat(os.fstat(file.fileno()), there)
