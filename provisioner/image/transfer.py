"""Moves content into a file in the kernel: copy_file_range(2), which shares blocks where the file
system can (Btrfs, XFS) and otherwise copies without a way through this process.

Where the kernel refuses (a block device, two file systems of an old kernel, FUSE), blocks of 1 MiB
go through one buffer.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from provisioner.errors import FailedError
from provisioner.image.content import Payload, opened_untouched
from provisioner.tree import HostFile, Slice

STEP = 64 * 1024 * 1024
"""Bytes asked of the kernel at once: Ctrl-C and the progress bar wait for so much."""
BUFFER = 1024 * 1024

_REFUSALS = frozenset(
    {errno.EINVAL, errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM, errno.ETXTBSY}
)

Moved = Callable[[int], None]
"""Told how many more bytes are there now."""


class Writeback:
    """Makes the kernel begin to write what lies in its cache, so that fsync finds little to do.

    Measured, an eighth of the time. What is not written yet stays in the cache.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._begun = 0

    def reached(self, position: int) -> None:
        """Told how far the file is written, from its beginning on; to be called often."""
        if position - self._begun >= STEP:
            length = position - self._begun
            os.posix_fadvise(self._target, self._begun, length, os.POSIX_FADV_DONTNEED)
            self._begun = position


def write_payload(payload: Payload, target: int, offset: int, *, moved: Moved) -> None:
    """Writes a payload at `offset` of the descriptor `target`.

    Raises FailedError where a source is missing, shorter than planned or changes meanwhile, and
    OSError where writing fails.
    """
    for piece in payload.pieces:
        match piece:
            case bytes():
                write_all(target, piece, offset)
                moved(len(piece))
                offset += len(piece)
            case HostFile(path=path, size=size):
                _host_file(payload.path, piece, target, offset, moved)
                offset += size
            case Slice(image=path, offset=start, length=size):
                with opened_untouched(path) as (source, _):
                    copy_range(payload.path, path, (source, start), (target, offset), size, moved)
                offset += size


def write_all(target: int, data: bytes | memoryview, offset: int) -> None:
    """All of `data` at `offset`; OSError where that fails."""
    view = memoryview(data)
    while view:
        count = os.pwrite(target, view, offset)
        view, offset = view[count:], offset + count


def _host_file(path: PurePosixPath, part: HostFile, target: int, offset: int, moved: Moved) -> None:
    with opened_untouched(part.path) as (source, before):
        if before.st_size != part.size:
            raise FailedError(
                f"{path}: {part.path} had {part.size} bytes when this was planned "
                f"and has {before.st_size} now",
                hint="do not change it meanwhile; try again to take the new content",
            )
        copy_range(path, part.path, (source, 0), (target, offset), part.size, moved)
        after = os.fstat(source)
        if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            raise FailedError(
                f"{path}: {part.path} changed while it was read",
                hint="do not change it meanwhile; try again",
            )


def copy_range(
    path: PurePosixPath | str,
    name: Path,
    source: tuple[int, int],
    target: tuple[int, int],
    length: int,
    moved: Moved,
) -> None:
    """Moves `length` bytes from one descriptor and offset to another.

    `path` (what becomes of them) and `name` (of the source) are for messages. Raises FailedError
    where the source cannot be read or ends too early, and OSError where writing fails.
    """
    (reader, start), (writer, offset) = source, target
    done = 0
    while done < length:
        try:
            count = os.copy_file_range(
                reader, writer, min(STEP, length - done), start + done, offset + done
            )
        except OSError as err:
            # An input error is found again below, where it can be told from one of the output.
            if err.errno not in _REFUSALS and err.errno != errno.EIO:
                raise
            break
        if not count:
            break
        done += count
        moved(count)
    buffer = memoryview(bytearray(min(BUFFER, length - done)))
    while done < length:
        wanted = min(BUFFER, length - done)
        try:
            count = os.preadv(reader, [buffer[:wanted]], start + done)
        except OSError as err:
            raise FailedError(
                f"{path}: cannot read {name} at byte {start + done}: {err.strerror}"
            ) from err
        if not count:
            raise FailedError(
                f"{path}: {name} ends at byte {start + done}, {length - done} bytes too early",
                hint="the file is truncated, or it changed since this was planned",
            )
        write_all(writer, buffer[:count], offset + done)
        done += count
        moved(count)
