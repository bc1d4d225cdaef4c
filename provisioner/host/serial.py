"""Follows the file into which libvirt writes the guest's serial line.

Who makes that file, with which mode, and when it is rotated differs by mode: `standin.md` §2.
"""

from __future__ import annotations

import os
from pathlib import Path

from provisioner.errors import HostError
from provisioner.host.files import os_error

STEP = 1 << 20
"""At most this many bytes per call, so that a chatty guest cannot fill our memory."""


class FileSerialLog:
    """Implements `ports.SerialLog`. `offset` skips what was there before the machine started.

    A file that is not there yet is an empty one. The file stays open, so the rest of a log that
    virtlogd has renamed to `.0` is still read before the new one is begun; a file that became
    shorter is read again from its beginning.
    """

    def __init__(self, path: Path, *, offset: int = 0) -> None:
        self._path = path
        self._offset = offset
        self._descriptor: int | None = None

    @property
    def offset(self) -> int:
        """Where the next call reads on; worth remembering over a restart of ours."""
        return self._offset

    def read_new(self) -> bytes:
        try:
            if self._descriptor is None and not self._open():
                return b""
            data = self._read()
            if not data and self._rotated():
                self.close()
                self._offset = 0
                if self._open():
                    data = self._read()
        except PermissionError as err:
            raise HostError(
                f"cannot read the serial log {self._path}: permission denied",
                hint="virtlogd makes it readable by root only when it rotates it: set"
                ' max_size = 0 in /etc/libvirt/virtlogd.conf, or stdio_handler = "file" in'
                " /etc/libvirt/qemu.conf",
            ) from err
        except OSError as err:
            raise os_error(err, f"read the serial log {self._path}") from err
        return data

    def close(self) -> None:
        """Lets go of the file; the next call opens it again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __del__(self) -> None:
        self.close()

    def _open(self) -> bool:
        try:
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        return True

    def _read(self) -> bytes:
        assert self._descriptor is not None
        if os.fstat(self._descriptor).st_size < self._offset:
            self._offset = 0
        data = os.pread(self._descriptor, STEP, self._offset)
        self._offset += len(data)
        return data

    def _rotated(self) -> bool:
        assert self._descriptor is not None
        mine = os.fstat(self._descriptor)
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        return (mine.st_dev, mine.st_ino) != (there.st_dev, there.st_ino)
