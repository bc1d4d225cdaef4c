"""Bounded range reads over an image: the only place of this room that touches the file.

Nothing is read past the end, nothing is written, and every failure names the byte.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from provisioner.errors import MediaError
from provisioner.media.facts import Extent


class Damaged(MediaError):
    """Bytes that break the format's rules, or that lie past the end of the file."""


class Unsupported(Damaged):
    """A sound form of a format that this room does not read."""


class Window:
    """Random access to one image. `bytes_read` counts what was asked of the kernel."""

    __slots__ = ("_descriptor", "bytes_read", "path", "size")

    def __init__(self, *, path: Path, descriptor: int, size: int) -> None:
        self.path = path
        self.size = size
        self.bytes_read = 0
        self._descriptor = descriptor

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes; `Damaged` when the file is shorter than that."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise Damaged(
                f"{self.path.name} ends at byte {self.size}, but {length} bytes at byte {offset}"
                " are needed"
            )
        data = self.read_up_to(offset, length)
        if len(data) != length:
            raise Damaged(f"{self.path.name} became shorter while it was read, at byte {offset}")
        return data

    def read_up_to(self, offset: int, length: int) -> bytes:
        """At most `length` bytes, fewer at the end of the file."""
        parts: list[bytes] = []
        end = min(offset + length, self.size)
        while offset < end:
            try:
                part = os.pread(self._descriptor, end - offset, offset)
            except OSError as err:
                raise MediaError(
                    f"cannot read {self.path} at byte {offset}: {err}",
                    hint="the disc or the disk that holds it may be failing",
                ) from err
            if not part:
                break
            self.bytes_read += len(part)
            parts.append(part)
            offset += len(part)
        return b"".join(parts)


class Extents:
    """The bytes of one file inside an image, addressed from the file's own start."""

    __slots__ = ("_extents", "_window", "size")

    def __init__(self, window: Window, extents: Sequence[Extent]) -> None:
        self._window = window
        self._extents = tuple(extents)
        self.size = sum(extent.length for extent in extents)

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes; `Damaged` when the file inside is shorter."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise Damaged(
                f"a file inside {self._window.path.name} has {self.size} bytes, but {length} bytes"
                f" at its byte {offset} are needed"
            )
        parts: list[bytes] = []
        for extent in self._extents:
            if offset >= extent.length:
                offset -= extent.length
                continue
            count = min(length, extent.length - offset)
            parts.append(self._window.read(extent.offset + offset, count))
            length -= count
            offset = 0
            if not length:
                break
        return b"".join(parts)


def joined(extents: Sequence[Extent]) -> tuple[Extent, ...]:
    """The same bytes with neighbouring runs made one and empty runs dropped.

    pycdlib cuts a UDF file into descriptors of about 1 GiB that follow each other on the disc.
    """
    result: list[Extent] = []
    for extent in extents:
        if not extent.length:
            continue
        if result and result[-1].offset + result[-1].length == extent.offset:
            extent = Extent(offset=result[-1].offset, length=result.pop().length + extent.length)
        result.append(extent)
    return tuple(result)


def overlapping(extents: Sequence[Extent]) -> bool:
    """Whether any byte occurs twice, as no sane file has it."""
    ordered = sorted(extents, key=lambda extent: extent.offset)
    return any(a.offset + a.length > b.offset for a, b in pairwise(ordered))


@contextmanager
def opened(path: Path) -> Iterator[Window]:
    """The image at `path`, read-only, for the duration of the block.

    Takes regular files and block devices (an optical drive). `MediaError` for anything else.
    """
    try:
        # O_NONBLOCK so that a FIFO is refused below instead of waiting for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as err:
        raise MediaError(
            f"{path} does not exist", hint="check the path; `~` and relative paths are allowed"
        ) from err
    except PermissionError as err:
        raise MediaError(
            f"{path} may not be read by you", hint=f"try: {_letting_in(path)}"
        ) from err
    except (OSError, ValueError) as err:
        raise MediaError(f"cannot open {path}: {err}") from err
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise MediaError(f"{path} is a folder", hint="give the image file inside it")
        if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
            raise MediaError(f"{path} is neither a file nor a disc")
        size = os.lseek(descriptor, 0, os.SEEK_END)
        if not size:
            raise MediaError(
                f"{path} is empty (0 bytes)", hint="the download did not work; fetch it again"
            )
        yield Window(path=path, descriptor=descriptor, size=size)
    finally:
        os.close(descriptor)


def _letting_in(path: Path) -> str:
    """The one command that would help: for the outermost folder that keeps the user out, or it."""
    for folder in reversed(path.absolute().parents):
        if not os.access(folder, os.X_OK):
            return f"setfacl -m u:$USER:x {shlex.quote(str(folder))}"
    return f"setfacl -m u:$USER:r {shlex.quote(str(path))}"
