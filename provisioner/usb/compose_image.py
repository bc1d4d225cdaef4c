"""A stream into a sparse file that appears when it is complete."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from provisioner.image.output import replacing, temporary_name
from provisioner.image.transfer import write_all
from provisioner.usb.stream import Stream

_PIECE = 64 << 10
_ZEROS = bytes(_PIECE)


def write_image(
    stream: Stream,
    destination: Path,
    *,
    mode: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
    proof: Callable[[Path], None] = lambda path: None,
) -> None:
    """Writes every block; unused space and runs of zeros become holes.

    `proof` looks at the whole file before it gets its name, and raises where it is no good.
    Raises HostError without room for it, FailedError where reading or writing fails; nothing of
    that name is there then, or what was there before.
    """
    done = 0
    with replacing(destination, needed=stream.used, mode=mode) as out:
        target = out.fileno()
        os.ftruncate(target, stream.size)
        for offset, data in stream.blocks():
            _write(target, memoryview(data), offset)
            done += len(data)
            progress(done, stream.used)
        proof(temporary_name(destination))


def _write(target: int, data: memoryview, offset: int) -> None:
    """The parts of a block that are not zeros."""
    start = 0
    for at in range(0, len(data), _PIECE):
        piece = data[at : at + _PIECE]
        if piece[0] == 0 and bytes(piece) == _ZEROS[: len(piece)]:
            if start < at:
                write_all(target, data[start:at], offset + start)
            start = at + len(piece)
    if start < len(data):
        write_all(target, data[start:], offset + start)
