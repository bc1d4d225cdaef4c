"""Block devices and image files as sources of sectors: how long, and one read at a time."""

from __future__ import annotations

import errno
import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from provisioner.errors import HostError, MediaError
from provisioner.frozen import frozen
from provisioner.host.optical import is_optical, require_disc

SECTOR = 2048

GONE = frozenset({errno.ENODEV, errno.ENXIO, errno.ENOMEDIUM, errno.EBADF, errno.ESTALE})
"""Errors after which no other sector can be read either."""


@frozen
class Source:
    """An open device or file. `size`: its capacity in bytes. `direct` is a second descriptor that
    goes past the kernel's cache, or -1."""

    path: Path
    descriptor: int
    direct: int
    size: int
    device: bool
    optical: bool

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes; OSError as the kernel says it."""
        return os.pread(self.descriptor, length, offset)

    def read_again(self, offset: int, length: int) -> bytes:
        """The same from the medium itself, as far as the kernel lets us: no neighbour that shares
        a page is needed for it, and nothing old is given out."""
        if self.direct < 0 or length % 512:
            self.forget()
            return self.read(offset, length)
        with mmap.mmap(-1, length) as buffer:  # direct reads want aligned memory (open(2))
            count = os.preadv(self.direct, [buffer], offset)
            return buffer[:count]

    def forget(self) -> None:
        """Lets the kernel drop what it has cached of the source, so that it is read again."""
        os.posix_fadvise(self.descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


@contextmanager
def opened_source(path: Path) -> Iterator[Source]:
    """Opens for reading. HostError for a drive without a disc, MediaError for what is no source."""
    try:
        status = path.stat()
        device = stat.S_ISBLK(status.st_mode)
        if not device and not stat.S_ISREG(status.st_mode):
            raise MediaError(
                f"{path} is neither a drive nor a file",
                hint="`iso create` makes an image from a folder" if path.is_dir() else None,
            )
        optical = device and is_optical(path)
        if optical:
            require_disc(path)
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as err:
        raise _refused(err, path) from err
    try:
        size = os.lseek(descriptor, 0, os.SEEK_END)
        if not size:
            raise MediaError(f"{path} is empty", hint="is there a disc in it?")
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        direct = _direct(path) if device else -1
        try:
            yield Source(
                path=path,
                descriptor=descriptor,
                direct=direct,
                size=size,
                device=device,
                optical=optical,
            )
        finally:
            if direct >= 0:
                os.close(direct)
    finally:
        os.close(descriptor)


def _direct(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECT)
    except OSError:
        return -1


def _refused(err: OSError, path: Path) -> HostError | MediaError:
    match err.errno:
        case errno.ENOENT:
            return MediaError(f"{path} does not exist", hint="drives are /dev/sr0 and so on")
        case errno.EACCES | errno.EPERM:
            return HostError(
                f"{path} may not be read by you", hint="join the group cdrom, or use sudo"
            )
        case errno.ENOMEDIUM:
            return HostError(f"there is no disc in {path}", hint="insert one")
        case _:
            return HostError(f"cannot open {path}: {err.strerror}")
