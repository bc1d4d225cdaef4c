"""The open disk as the use cases see it: the kernel's, the elevated helper's, or a test's."""

from __future__ import annotations

import errno
import os
from typing import Protocol

from provisioner.host.disk import Identity
from provisioner.usb.spans import SECTOR


class Device(Protocol):
    """One disk, open for one job. All methods raise OSError; offsets and lengths are multiples of
    the sector size, in bytes. All but `close` may be called by several threads at once."""

    def identity(self) -> Identity:
        """Asked anew, through the descriptor."""
        ...

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes, fewer only at the end; never from a cache."""
        ...

    def digest(self, offset: int, length: int) -> bytes:
        """SHA-256 of what `read` would give."""
        ...

    def write(self, offset: int, data: bytes | memoryview) -> int:
        """How many bytes were taken."""
        ...

    def flush(self) -> None:
        """Returns when the device has everything."""
        ...

    def forget(self) -> None:
        """Drops what is cached."""
        ...

    def reread_table(self) -> None:
        """Makes the kernel look at the partition table again."""
        ...

    def close(self) -> None:
        """Gives it up."""
        ...


def write_out(device: Device, offset: int, data: bytes | memoryview) -> None:
    """All of it, however short the device writes. OSError as it comes; ENOSPC for a device that
    takes nothing more."""
    view = memoryview(data)
    while view:
        taken = device.write(offset, view)
        if taken <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        # A device in sectors cannot go on in the middle of one.
        taken = taken // SECTOR * SECTOR
        if not taken:
            raise OSError(errno.EIO, "less than a sector was taken")
        offset += taken
        view = view[taken:]
