"""Files on this host: complete or absent, private, one writer at a time.

`OSError` is translated here, in `os_error`, for every module of `host` that touches files.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from provisioner.errors import FailedError, HostError, ProvisionerError


def os_error(err: OSError, doing: str) -> ProvisionerError:
    """What went wrong, in words; `doing` completes "cannot ..."."""
    match err.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return HostError(
                f"cannot {doing}: no space is left there", hint="free some space, then try again"
            )
        case errno.EACCES | errno.EPERM:
            return HostError(
                f"cannot {doing}: permission denied",
                hint="check who owns the file and its folder, or run as that user",
            )
        case errno.EROFS:
            return HostError(f"cannot {doing}: the file system is read-only")
        case errno.ENOENT:
            return FailedError(f"cannot {doing}: no such file or folder")
        case _:
            return FailedError(f"cannot {doing}: {err.strerror or err}")


@contextmanager
def appearing(path: Path, *, mode: int = 0o600) -> Iterator[Path]:
    """Yields a name to write to; the file appears as `path` when the block ends well.

    The temporary name is in the same folder, nobody else can read it while it grows, and it is
    gone after a failure. File and folder are synced, so that a power cut leaves the old or the
    new file, whole.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as err:
        raise os_error(err, f"write {path}") from err
    try:
        yield temporary
        try:
            _finish(temporary, path, mode)
        except OSError as err:
            raise os_error(err, f"write {path}") from err
    finally:
        temporary.unlink(missing_ok=True)


def write_file(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Replaces or makes a file, atomically."""
    with appearing(path, mode=mode) as temporary:
        try:
            temporary.write_bytes(data)
        except OSError as err:
            raise os_error(err, f"write {path}") from err


@contextmanager
def locked(path: Path, *, busy: str) -> Iterator[None]:
    """Holds an exclusive lock during the block; FailedError(`busy`) where another process has it.

    The kernel lets go of a `flock` when its process dies, however it dies. The file stays: removing
    it would let two processes lock two different files of one name.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as err:
        raise os_error(err, f"lock {path}") from err
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            raise FailedError(
                f"{busy} (process {holder})" if holder else busy,
                hint="wait until it is done, or stop it with Ctrl-C in its terminal",
            ) from err
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def private_folder(path: Path) -> None:
    """Makes the folder (0700) with its parents, or takes it when it is there already."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as err:
        raise os_error(err, f"make the folder {path}") from err


def ours_alone(path: Path) -> bool:
    """Makes the folder where it is missing; whether nobody else can have put anything into it."""
    try:
        private_folder(path)
        status = path.stat()
    except (ProvisionerError, OSError):
        return False
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022


def _finish(temporary: Path, path: Path, mode: int) -> None:
    descriptor = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
