"""What is mounted where; mounts an image by the kernel, and unmounts."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from provisioner.errors import FailedError
from provisioner.frozen import frozen
from provisioner.host.process import run


@frozen
class Mount:
    """A line of /proc/self/mountinfo (proc(5)), as far as it matters here."""

    folder: Path
    kind: str
    source: str


def mounts() -> list[Mount]:
    """Everything that is mounted, in order; later ones may lie over earlier ones."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines():
        before, _, after = line.partition(" - ")
        folder = before.split(" ")[4]
        kind, source, *_ = after.split(" ")
        found.append(Mount(folder=Path(_plain(folder)), kind=kind, source=_plain(source)))
    return found


def mounted_at(folder: Path) -> Mount | None:
    """What is mounted at a folder: the uppermost."""
    return next((mount for mount in reversed(mounts()) if mount.folder == folder), None)


def kernel_has(filesystem: str) -> bool:
    """Whether the kernel can mount this, after asking it to load a module."""
    for attempt in range(2):
        known = {line.split()[-1] for line in Path("/proc/filesystems").read_text().splitlines()}
        if filesystem in known:
            return True
        if attempt == 0:
            try:
                subprocess.run(
                    ["modprobe", "--quiet", filesystem],
                    capture_output=True,
                    check=False,
                    timeout=30,
                )
            except (OSError, subprocess.TimeoutExpired):
                return False
    return False


def kernel_mount(image: Path, folder: Path, filesystem: str) -> None:
    """Mounts an image read-only, as one file system and no other; needs root."""
    options = "ro,loop,nosuid,nodev,iocharset=utf8"  # else names beyond ASCII are `?` in isofs
    run(
        ["mount", "-t", filesystem, "-o", options, "--", str(image), str(folder)],
        timeout=60,
        hint="--how fuse needs neither root nor a kernel module",
    )


def unmount(folder: Path) -> None:
    """Unmounts what is mounted at a folder. FailedError while somebody uses it."""
    mount = mounted_at(folder)
    if mount is None:
        raise FailedError(f"nothing is mounted at {folder}")
    by_user = mount.kind.startswith("fuse") and os.geteuid() != 0
    argv = ["fusermount3", "-u"] if by_user else ["umount"]
    try:
        run([*argv, "--", str(folder)], timeout=60, hint="apt install fuse3")
    except FailedError as err:
        if "busy" in err.message:
            raise in_use(folder) from err
        raise


def in_use(folder: Path) -> FailedError:
    """Somebody has a file of it open, or stands in it."""
    return FailedError(
        f"{folder} is in use", hint=f"`fuser -vm {folder}` tells by whom; leave it first"
    )


def _plain(text: str) -> str:
    """Without the octal escapes of mountinfo."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
