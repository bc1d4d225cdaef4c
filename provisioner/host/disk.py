"""A whole disk, held open for one job: the only place that writes to a stick's device node.

What is checked about a disk is asked through the descriptor that is written, never through a name
that may have moved on (facts iso-usb §1.4).
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import mmap
import os
import stat
import struct
import threading
from pathlib import Path

from provisioner.frozen import frozen

BLOCK = 4 * 1024 * 1024
"""Most bytes of one read or write (facts iso-usb §8.4)."""

SETTLE_EVERY = 16 * 1024 * 1024
"""Without O_DIRECT, written data are pushed out this often, so that progress means something."""

_BLKROGET, _BLKRRPART, _BLKFLSBUF, _BLKSSZGET = 0x125E, 0x125F, 0x1261, 0x1268
_BLKGETSIZE64, _BLKGETDISKSEQ = 0x80081272, 0x80081280
"""linux/fs.h. The disk sequence number exists since Linux 5.15."""


@frozen
class Identity:
    """What an open descriptor says about the disk behind it. `number`: `8:32`; sizes in bytes."""

    number: str
    diskseq: int | None
    size: int
    sector: int
    read_only: bool


class OpenDisk:
    """Reads and writes past the kernel's cache where the device allows it.

    Offsets and lengths are multiples of the sector size. Every method raises OSError as the
    kernel says it. Reads, digests and writes may come from several threads.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._own = threading.local()
        self._unsettled = 0

    def identity(self) -> Identity:
        """Asked anew each time."""
        status = os.fstat(self._descriptor)
        if not stat.S_ISBLK(status.st_mode):
            raise OSError(errno.ENOTBLK, os.strerror(errno.ENOTBLK))
        return Identity(
            number=f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}",
            diskseq=self._diskseq(),
            size=self._number(_BLKGETSIZE64, "Q"),
            sector=self._number(_BLKSSZGET, "i"),
            read_only=bool(self._number(_BLKROGET, "i")),
        )

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes; fewer only at the disk's end."""
        parts = []
        while length > 0:
            part = bytes(self._read(offset, min(length, BLOCK)))
            if not part:
                break
            parts.append(part)
            offset += len(part)
            length -= len(part)
        return b"".join(parts)

    def digest(self, offset: int, length: int) -> bytes:
        """SHA-256 of what stands there; EIO where the disk ends before."""
        digest = hashlib.sha256()
        end = offset + length
        while offset < end:
            part = self._read(offset, min(BLOCK, end - offset))
            if not part:
                raise OSError(errno.EIO, "the disk ends here")
            digest.update(part)
            offset += len(part)
        return digest.digest()

    def write(self, offset: int, data: bytes | memoryview) -> int:
        """How many bytes the device took; data in page-aligned memory are not copied."""
        taken = self._write(offset, data)
        if not self._direct:
            self._unsettled += taken
            if self._unsettled >= SETTLE_EVERY:
                self._settle()
        return taken

    def flush(self) -> None:
        """Until the device says that it has everything."""
        os.fsync(self._descriptor)

    def forget(self) -> None:
        """Lets the kernel drop what it has cached of the disk. Without CAP_SYS_ADMIN (a
        descriptor of udisks) only this file's pages; reads are direct all the same."""
        try:
            fcntl.ioctl(self._descriptor, _BLKFLSBUF, 0)
        except OSError as err:
            if err.errno not in {errno.EACCES, errno.EPERM}:
                raise
        os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def reread_table(self) -> None:
        """Tells the kernel that the partition table is another one. EINVAL is a device that never
        has partitions, EACCES a descriptor of somebody who may not."""
        try:
            fcntl.ioctl(self._descriptor, _BLKRRPART, 0)
        except OSError as err:
            if err.errno not in {errno.EINVAL, errno.EACCES, errno.EPERM}:
                raise

    def close(self) -> None:
        """Gives the disk up. Twice does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    @property
    def _direct(self) -> bool:
        return bool(fcntl.fcntl(self._descriptor, fcntl.F_GETFL) & os.O_DIRECT)

    def _cached_from_now_on(self) -> None:
        flags = fcntl.fcntl(self._descriptor, fcntl.F_GETFL)
        fcntl.fcntl(self._descriptor, fcntl.F_SETFL, flags & ~os.O_DIRECT)

    def _buffer(self) -> mmap.mmap:
        buffer: mmap.mmap | None = getattr(self._own, "buffer", None)
        if buffer is None:
            buffer = self._own.buffer = mmap.mmap(-1, BLOCK)  # page-aligned, as open(2) wants it
        return buffer

    def _read(self, offset: int, length: int) -> memoryview:
        view = memoryview(self._buffer())
        try:
            count = os.preadv(self._descriptor, [view[:length]], offset)
        except OSError as err:
            if err.errno != errno.EINVAL or not self._direct:
                raise
            self._cached_from_now_on()
            count = os.preadv(self._descriptor, [view[:length]], offset)
        return view[:count]

    def _write(self, offset: int, data: bytes | memoryview) -> int:
        try:
            return os.pwrite(self._descriptor, data, offset)
        except OSError as err:
            if err.errno != errno.EINVAL or not self._direct:
                raise
        try:  # perhaps only the memory is not aligned
            view = memoryview(self._buffer())[: len(data)]
            view[:] = data[: len(view)]
            return os.pwrite(self._descriptor, view, offset)
        except OSError as err:
            if err.errno != errno.EINVAL:
                raise
        self._cached_from_now_on()
        return os.pwrite(self._descriptor, data, offset)

    def _settle(self) -> None:
        os.fdatasync(self._descriptor)
        os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        self._unsettled = 0

    def _diskseq(self) -> int | None:
        try:
            return self._number(_BLKGETDISKSEQ, "Q")
        except OSError:
            return None

    def _number(self, request: int, form: str) -> int:
        answer = bytearray(struct.calcsize(form))
        fcntl.ioctl(self._descriptor, request, answer)
        (number,) = struct.unpack(form, answer)
        return int(number)


def open_disk(node: Path, *, write: bool) -> OpenDisk:
    """Opens a whole disk for us alone: EBUSY where it, or a partition of it, is in use.

    Somebody who only reads is not let in either, so that nobody mounts it in the meantime.
    """
    flags = (os.O_RDWR if write else os.O_RDONLY) | os.O_EXCL | os.O_CLOEXEC
    try:
        return OpenDisk(os.open(node, flags | os.O_DIRECT))
    except OSError as err:
        if err.errno != errno.EINVAL:
            raise
    return OpenDisk(os.open(node, flags))
