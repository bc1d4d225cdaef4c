"""Writes a file so that its final name only ever holds a finished one.

The temporary file lies in the same folder and is removed on every exception, Ctrl-C included. Its
writer holds a lock on it, so that what a killed one left is known, and is removed by the next.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from provisioner.errors import FailedError, HostError, ProvisionerError, RefusedError

_LONGEST = 225
_ENDING = ".part"


@contextmanager
def replacing(
    destination: Path, *, needed: int, mode: int = 0o600, lasting: bool = True
) -> Iterator[BinaryIO]:
    """A new file, readable and writable, that takes `destination`'s place when the block ends well.

    `needed` is how many bytes will be written, compared with the free space first. The file
    has permissions `mode` (less the umask) from its first moment, is flushed with fsync, then
    renamed over `destination`, whose folder is flushed as well. Without `lasting` it is not: after
    a power cut the earlier file may be there again, whole.
    Raises HostError where the folder is not usable, FailedError where writing fails.
    """
    temporary = temporary_name(destination)
    try:
        _earlier(destination)
        require_space(destination.parent, needed)
        with os.fdopen(created(temporary, mode), "w+b") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(destination)
        if lasting:
            _flush_folder(destination.parent)
    except BaseException as err:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(err, OSError):
            raise failure(err, destination) from err
        raise


def _flush_folder(folder: Path) -> None:
    """Makes the new name last: fsync of a file does not cover its name (fsync(2))."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as err:
        if err.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems have no such thing
            raise
    finally:
        os.close(descriptor)


def temporary_name(destination: Path) -> Path:
    """A hidden name beside `destination` that no other live process of this host uses for it."""
    return destination.with_name(f"{_stem(destination)}{os.getpid()}.part")


def _stem(destination: Path) -> str:
    """What a temporary name has before the number: hashed where a name of at most 255 bytes would
    not have room for the rest."""
    name = os.fsencode(destination.name)
    return f".{destination.name}." if len(name) <= _LONGEST else f".{zlib.crc32(name):08x}."


def require_space(folder: Path, needed: int) -> None:
    """Raises HostError where the file system of `folder` has fewer than `needed` bytes free.

    File systems that do not count their blocks pass.
    """
    status = os.statvfs(folder)
    free = status.f_bavail * status.f_frsize
    if status.f_blocks and free < needed:
        raise HostError(
            f"{folder} has {free} bytes free, {needed} are needed",
            hint="free some space there, or choose a folder on another file system",
        )


def refuse_source(destination: Path, source: Path) -> None:
    """Raises RefusedError where writing `destination` would replace what is read from `source`."""
    if destination.exists() and source.exists() and destination.samefile(source):
        raise RefusedError(
            f"{destination} is read for this very file and would be replaced by it",
            hint="write to another name",
        )


def failure(err: OSError, destination: Path) -> ProvisionerError:
    """The project's error for a failed write."""
    folder = destination.parent
    match err.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return FailedError(
                f"no space left in {folder} while writing {destination.name}",
                hint="free some space there, or choose a folder on another file system",
            )
        case errno.EFBIG:
            return FailedError(
                f"{destination} is bigger than the file system or `ulimit -f` allows",
                hint="raise the limit, or choose a folder on another file system",
            )
        case errno.ENOENT | errno.ENOTDIR:
            return HostError(
                f"there is no folder {folder} for {destination.name}",
                hint=f"make it first: mkdir -p {folder}",
            )
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return HostError(
                f"cannot write {destination.name} in {folder}: {err.strerror}",
                hint="choose a folder that you may write to",
            )
        case _:
            return FailedError(f"cannot write {destination}: {err.strerror or err}")


def created(temporary: Path, mode: int) -> int:
    """A descriptor of a new file, to read and write, locked as long as it is open."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    while True:
        try:
            descriptor = os.open(temporary, flags, mode)
        except FileExistsError:
            # Left by a killed process whose number we now have.
            temporary.unlink()
            continue
        if _locked(descriptor) and os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)  # another process took it for abandoned, before we had the lock


@contextmanager
def working_folder(destination: Path) -> Iterator[Path]:
    """A hidden folder beside `destination`, which goes with all in it when the block ends.

    Whoever wants to keep it renames it. OSError where it cannot be made.
    """
    temporary = temporary_name(destination)
    _earlier(destination)
    if temporary.exists():  # left by a killed process whose number we now have
        shutil.rmtree(temporary)
    temporary.mkdir()
    descriptor = os.open(temporary, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _locked(descriptor)
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        os.close(descriptor)


def remove_abandoned(folder: Path, stem: str) -> None:
    """Removes what killed processes left in `folder` under temporary names.

    `stem` is what such a name has before the number, as a regular expression. Nobody holds the
    lock on what is abandoned; where the file system has no locks, nothing is removed.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name.endswith(_ENDING)]
        for name in names:
            if re.fullmatch(stem + r"\d+\.part", name, re.DOTALL):
                _remove_if_abandoned(folder / name)


def _earlier(destination: Path) -> None:
    remove_abandoned(destination.parent, re.escape(_stem(destination)))


def _remove_if_abandoned(path: Path) -> None:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with suppress(OSError):
        descriptor = os.open(path, flags)
        try:
            status = os.fstat(descriptor)
            if status.st_uid != os.geteuid():
                return
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if stat.S_ISDIR(status.st_mode):
                shutil.rmtree(path, ignore_errors=True)
            elif stat.S_ISREG(status.st_mode):
                path.unlink()
        finally:
            os.close(descriptor)


def _locked(descriptor: int) -> bool:
    """Whether nobody else has the lock; True where the file system has none."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True
