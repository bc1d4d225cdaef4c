"""Follows the file into which libvirt writes the guest's serial line.

Who makes that file, with which mode, and when it is rotated differs by mode: `standin.md` §2.
"""

from __future__ import annotations

import os
from pathlib import Path

from provisioner.errors import HostError
from provisioner.host.files import os_error
from provisioner.ports import SerialPosition

STEP = 1 << 20
"""At most this many bytes per call, so that a chatty guest cannot fill our memory."""


ROTATED = 9
"""Rotated logs that are looked for: virtlogd keeps three (docs/facts/libvirt.md §3.2)."""


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

    def position(self) -> SerialPosition:
        file = os.fstat(self._descriptor).st_ino if self._descriptor is not None else 0
        return SerialPosition(file=file, offset=self._offset)

    def resume(self, position: SerialPosition) -> str | None:
        self.close()
        self._offset = 0
        for path in self._files():
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                continue  # there is none, or it is root's: then the next call says so
            status = os.fstat(descriptor)
            if status.st_ino == position.file:
                self._descriptor = descriptor
                if status.st_size < position.offset:
                    return "the serial log was emptied"
                self._offset = position.offset
                return None
            os.close(descriptor)
        return "the serial log was rotated away" if position.offset else None

    def read_new(self) -> bytes:
        try:
            if self._descriptor is None and not self._open():
                return b""
            data = self._read()
            if not data and (newer := self._newer()) is not None:
                self.close()
                self._offset = 0
                if self._open(newer):
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

    def _open(self, path: Path | None = None) -> bool:
        try:
            self._descriptor = os.open(path or self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        return True

    def _files(self) -> tuple[Path, ...]:
        """The log and the rotated ones, the newest first."""
        rotated = (self._path.with_name(f"{self._path.name}.{n}") for n in range(ROTATED))
        return (self._path, *rotated)

    def _read(self) -> bytes:
        assert self._descriptor is not None
        if os.fstat(self._descriptor).st_size < self._offset:
            self._offset = 0
        data = os.pread(self._descriptor, STEP, self._offset)
        self._offset += len(data)
        return data

    def _newer(self) -> Path | None:
        """The file that came after the one that is read, once that has been rotated."""
        assert self._descriptor is not None
        mine = os.fstat(self._descriptor)
        newer: Path | None = None
        for path in self._files():
            try:
                there = path.stat()
            except FileNotFoundError:
                if path == self._path:
                    return None  # just being rotated
                break
            if (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino):
                return newer
            newer = path
        return self._path
