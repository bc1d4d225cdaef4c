"""Makes an NTFS volume in a file with mkntfs, and fills it through ntfs-3g, over FUSE.

Needs no root: ntfs-3g lets everybody mount files of their own. The mount is ours alone, by the
private folder that it lies in.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from provisioner.errors import FailedError, HostError
from provisioner.host.mount import mounted_at, unmount
from provisioner.host.process import run

HINT = "apt install ntfs-3g"
_SEARCH = f"{os.defpath}:/usr/sbin:/sbin:/usr/local/sbin:/usr/local/bin"
_ENVIRONMENT = {"PATH": _SEARCH, "LC_ALL": "C.UTF-8"}
_SERIAL = 0x48
"""Where the boot sector has its serial number, of 8 bytes (ntfs-3g, layout.h)."""
_SECTOR = 512
_APPEARS, _ENDS = 30.0, 600.0
"""Seconds: until it is mounted, and until everything is on the disk."""


def require_ntfs_tools() -> None:
    """HostError where mkntfs, ntfs-3g or FUSE is missing."""
    for program in ("mkntfs", "ntfs-3g"):
        if shutil.which(program, path=_SEARCH) is None:
            raise HostError(f"the program {program} is not installed", hint=HINT)
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        raise HostError(
            "/dev/fuse is not there, or not yours to use, and ntfs-3g writes through it",
            hint="modprobe fuse; in a container: --device /dev/fuse --cap-add SYS_ADMIN",
        )


def make_ntfs(image: Path, *, label: str, serial: int, start: int, cluster: int) -> None:
    """Formats the whole of a file as NTFS; the same arguments give the same bytes.

    `start` is where the volume will begin on its disk, and `cluster` the cluster size, in bytes.
    """
    geometry = ("-s", str(_SECTOR), "-p", str(start // _SECTOR), "-H", "255", "-S", "63")
    argv = ["mkntfs", "-F", "-Q", "-T", "-q", "-L", label, "-c", str(cluster), *geometry]
    run([*argv, str(image)], timeout=_ENDS, hint=HINT, environment=_ENVIRONMENT)
    number = serial.to_bytes(8, "little")
    with image.open("r+b") as volume:  # mkntfs draws one; the last sector holds the copy
        for sector in (0, image.stat().st_size - _SECTOR):
            volume.seek(sector + _SERIAL)
            volume.write(number)


@contextmanager
def filling(image: Path, folder: Path) -> Iterator[None]:
    """Shows the volume at `folder`, to be written to; at the end everything is in the file.

    HostError where FUSE does not work here, FailedError where ntfs-3g ends too early.
    """
    # In the foreground, so that we see it end: umount(8) returns before all is written.
    options = "no_detach,no_def_opts,silent,windows_names,noatime,big_writes"
    with subprocess.Popen(
        ["ntfs-3g", "-o", options, str(image), str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=_ENVIRONMENT,
        start_new_session=True,
    ) as process:
        try:
            _wait_for_mount(process, folder)
            yield
            unmount(folder)
            _, words = process.communicate(timeout=_ENDS)
            if process.returncode:
                raise FailedError(f"ntfs-3g failed: {_last_line(words)}")
        except BaseException:
            _give_up(process, folder)
            raise


def _wait_for_mount(process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + _APPEARS
    while mounted_at(folder) is None:
        if process.poll() is not None:
            assert process.stderr is not None
            raise HostError(f"ntfs-3g cannot mount: {_last_line(process.stderr.read())}", hint=HINT)
        if time.monotonic() > deadline:
            raise FailedError(f"ntfs-3g did not mount within {_APPEARS:.0f} s")
        time.sleep(0.01)


def _give_up(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Whatever happened, nothing stays mounted or running."""
    if process.poll() is None:
        with suppress(OSError):  # it is gone, or as a setuid program not ours to signal
            os.killpg(process.pid, signal.SIGTERM)  # it unmounts by itself
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=10)
    if mounted_at(folder) is not None:
        with suppress(FailedError, HostError):
            unmount(folder)
    with suppress(OSError):
        process.kill()


def _last_line(words: bytes) -> str:
    lines = words.decode("utf-8", "replace").strip().splitlines()
    return lines[-1].strip() if lines else "it ended without a word"
