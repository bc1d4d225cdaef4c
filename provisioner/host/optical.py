"""Optical drives, by the ioctls of Linux (Documentation/userspace-api/ioctl/cdrom.rst)."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from provisioner.errors import FailedError, HostError

_EJECT, _CLOSE_TRAY, _LOCK_DOOR = 0x5309, 0x5319, 0x5329
_SELECT_SPEED, _DRIVE_STATUS, _CAPABILITY = 0x5322, 0x5326, 0x5331
_NO_DISC, _TRAY_OPEN, _NOT_READY, _DISC_OK = 1, 2, 3, 4
_MAJORS = frozenset({11})
"""SCSI CD-ROM (Documentation/admin-guide/devices.txt)."""


def is_optical(path: Path) -> bool:
    """Whether a path is an optical drive: by its number, or because it answers as one."""
    try:
        if os.major(path.stat().st_rdev) in _MAJORS:
            return True
        with _drive(path) as descriptor:
            return fcntl.ioctl(descriptor, _CAPABILITY, 0) > 0
    except OSError:
        return False


def require_disc(path: Path) -> None:
    """Waits up to 30 s for a disc that spins up. HostError where there is none."""
    with _drive(path) as descriptor:
        status = _NOT_READY
        for _ in range(60):
            try:
                status = fcntl.ioctl(descriptor, _DRIVE_STATUS, 0)
            except OSError:
                return  # a drive that cannot tell: the first read will
            if status != _NOT_READY:
                break
            time.sleep(0.5)
        if status in {_NO_DISC, _TRAY_OPEN}:
            where = "the tray is open" if status == _TRAY_OPEN else "there is no disc"
            raise HostError(f"{path}: {where}", hint="insert a disc")
        if status == _NOT_READY:
            raise HostError(f"{path} does not become ready", hint="is the disc readable at all?")


def select_speed(path: Path, speed: int) -> None:
    """Asks for a reading speed in the medium's own unit (`8` is 8x), 0 for the fastest."""
    try:
        with _drive(path) as descriptor:
            fcntl.ioctl(descriptor, _SELECT_SPEED, speed)
    except OSError as err:
        raise HostError(
            f"{path} takes no reading speed: {err.strerror}",
            hint="only optical drives have one; leave out --speed",
        ) from err


def reload_disc(path: Path) -> None:
    """Ejects and takes in again, so that nothing is read from a cache. FailedError where the tray
    stays open, as laptops' do."""
    try:
        with _drive(path) as descriptor:
            fcntl.ioctl(descriptor, _LOCK_DOOR, 0)
            fcntl.ioctl(descriptor, _EJECT, 0)
            fcntl.ioctl(descriptor, _CLOSE_TRAY, 0)
    except OSError as err:
        if err.errno in {errno.ENOSYS, errno.EINVAL, errno.ENOTTY}:
            raise FailedError(
                f"{path} does not take its tray in by itself",
                hint="push it in, then: provisioner iso verify IMAGE " + str(path),
            ) from err
        raise FailedError(f"{path} does not eject: {err.strerror}") from err
    require_disc(path)


@contextmanager
def _drive(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
