"""A stream into a sparse file that appears when it is complete."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from collections.abc import Callable
from pathlib import Path

from provisioner.image.output import replacing, temporary_name
from provisioner.image.transfer import write_all
from provisioner.usb.stream import Stream

_BLOCK = 4 << 20
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
        os.ftruncate(out.fileno(), stream.size)
        with mmap.mmap(-1, _BLOCK) as aligned:
            writer = _Writer(out.fileno(), aligned)
            for offset, data in stream.blocks():
                writer.write(memoryview(data), offset)
                done += len(data)
                progress(done, stream.used)
            writer.past_the_cache(wanted=False)
        proof(temporary_name(destination))


class _Writer:
    """Writes past the page cache where the file system lets us (open(2), O_DIRECT).

    Otherwise gigabytes wait in memory for the final fsync, behind everybody else's.
    """

    def __init__(self, target: int, aligned: mmap.mmap) -> None:
        self._target = target
        self._aligned = aligned
        self._direct = self.past_the_cache(wanted=True)

    def write(self, data: memoryview, offset: int) -> None:
        """A block, without the parts that are zeros."""
        start = 0
        for at in range(0, len(data), _PIECE):
            piece = data[at : at + _PIECE]
            if piece[0] == 0 and bytes(piece) == _ZEROS[: len(piece)]:
                self._put(data[start:at], offset + start)
                start = at + len(piece)
        self._put(data[start:], offset + start)

    def past_the_cache(self, *, wanted: bool) -> bool:
        """Switches, and tells whether it is so now."""
        flags = fcntl.fcntl(self._target, fcntl.F_GETFL)
        flags = flags | os.O_DIRECT if wanted else flags & ~os.O_DIRECT
        try:
            fcntl.fcntl(self._target, fcntl.F_SETFL, flags)
        except OSError as err:
            if err.errno != errno.EINVAL:
                raise
            return False
        return wanted

    def _put(self, data: memoryview, offset: int) -> None:
        if data and self._direct:
            try:
                with memoryview(self._aligned) as whole, whole[: len(data)] as part:
                    part[:] = data
                    write_all(self._target, part, offset)
                return
            except OSError as err:
                if err.errno != errno.EINVAL:
                    raise
                # Sectors of 4 KiB, perhaps; then everything goes through the cache.
                self._direct = self.past_the_cache(wanted=False)
        write_all(self._target, data, offset)
