"""Shows the inside of an image as a read-only folder: by the kernel, or by FUSE without root.

The only door to mfusepy. Knows nothing of file systems: it is told where every file's bytes are.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import subprocess
import sys
import time
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

from provisioner.errors import FailedError, HostError
from provisioner.frozen import frozen
from provisioner.host.process import run

SUBTYPE = "provisioner"
"""Our mounts are of type `fuse.provisioner`."""
READ_AHEAD = 1024 * 1024
_BLOCK = 2048
_NAME_MAX = 255


@frozen
class Node:
    """What a path is. `mode` with file type; `extents` are (byte offset in the image, bytes)."""

    mode: int
    size: int = 0
    modified: int = 0
    link: str | None = None
    extents: tuple[tuple[int, int], ...] = ()


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


def serve(nodes: Mapping[str, Node], image: Path, folder: Path) -> None:
    """Shows `nodes` (paths without a first slash; "" is the root) until it is unmounted.

    Returns then. HostError where FUSE is missing or not allowed.
    """
    try:
        import mfusepy
    except ImportError as err:
        raise HostError(
            "the Python package mfusepy is not installed",
            hint="pip install 'provisioner[mount]'",
        ) from err
    except OSError as err:
        raise HostError("the library libfuse is not installed", hint="apt install fuse3") from err
    descriptor = os.open(image, os.O_RDONLY | os.O_CLOEXEC)
    try:
        mfusepy.FUSE(
            _operations(mfusepy, nodes, descriptor),
            str(folder),
            foreground=True,
            ro=True,
            nosuid=True,
            nodev=True,
            default_permissions=True,
            fsname=str(image).replace(",", "_"),
            subtype=SUBTYPE,
        )
    except RuntimeError as err:
        raise HostError(
            f"FUSE cannot mount at {folder}",
            hint="is /dev/fuse there, and may you use it? In a container: --device /dev/fuse",
        ) from err
    finally:
        os.close(descriptor)


def serve_in_background(argv: list[str], folder: Path, *, seconds: float = 30.0) -> None:
    """Starts a program that mounts at `folder` and outlives us; returns when it has mounted.

    HostError with its first words where it ends before that.
    """
    # setsid(1) forks: the program belongs to nobody, and needs no `wait`.
    with subprocess.Popen(
        ["setsid", "--fork", *argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        deadline = time.monotonic() + seconds
        words = b""
        while mounted_at(folder) is None:
            ready, _, _ = select.select([process.stderr], [], [], 0.02)
            data = os.read(process.stderr.fileno(), 4096) if ready else None
            words += data or b""
            if data == b"":
                raise HostError(f"cannot mount: {_first_line(words)}")
            if time.monotonic() > deadline:
                raise FailedError(f"nothing appeared at {folder} within {seconds:.0f} s")


def _first_line(words: bytes) -> str:
    lines = words.decode("utf-8", "replace").strip().splitlines()
    return lines[0].removeprefix("error: ") if lines else "it ended without a word"


def own_command(*arguments: str) -> list[str]:
    """argv of this very program."""
    return [sys.executable, "-m", "provisioner", *arguments]


def _operations(mfusepy: Any, nodes: Mapping[str, Node], descriptor: int) -> Any:
    names: dict[str, list[str]] = {}
    for path in nodes:
        if path:
            parent, _, name = path.rpartition("/")
            names.setdefault(parent, []).append(name)
    paths = list(nodes)
    numbers = {path: number for number, path in enumerate(paths)}
    blocks = sum(-(-node.size // _BLOCK) for node in nodes.values())

    def find(path: str) -> Node:
        node = nodes.get(path[1:])
        if node is None:
            raise mfusepy.FuseOSError(errno.ENOENT)
        return node

    class Operations(mfusepy.Operations):  # type: ignore[misc] # it has no types
        """Every path is known beforehand, and nothing changes: the kernel may keep all of it."""

        use_ns = True

        def init_with_config(self, connection: Any, config: Any) -> None:
            if connection is not None:
                connection.max_readahead = READ_AHEAD
            if config is not None:
                config.kernel_cache = 1
                config.entry_timeout = config.attr_timeout = config.negative_timeout = 3600.0

        def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
            node = find(path)
            return {
                "st_mode": node.mode,
                "st_size": node.size,
                "st_nlink": 2 if stat.S_ISDIR(node.mode) else 1,
                "st_uid": os.getuid(),
                "st_gid": os.getgid(),
                "st_blocks": -(-node.size // 512),
                "st_atime": node.modified * 10**9,
                "st_mtime": node.modified * 10**9,
                "st_ctime": node.modified * 10**9,
            }

        def readdir(self, path: str, fh: int) -> Iterator[str]:
            find(path)
            yield from (".", "..", *names.get(path[1:], ()))

        def readlink(self, path: str) -> str:
            return find(path).link or ""

        def open(self, path: str, flags: int) -> int:
            find(path)
            if flags & (os.O_WRONLY | os.O_RDWR):
                raise mfusepy.FuseOSError(errno.EROFS)
            return numbers[path[1:]]

        def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
            try:
                return _read(descriptor, nodes[paths[fh]], size, offset)
            except OSError as err:
                raise mfusepy.FuseOSError(err.errno or errno.EIO) from err

        def statfs(self, path: str) -> dict[str, int]:
            return {
                "f_bsize": _BLOCK,
                "f_frsize": _BLOCK,
                "f_blocks": blocks,
                "f_files": len(paths),
                "f_namemax": _NAME_MAX,
            }

    return Operations()


def _read(descriptor: int, node: Node, size: int, offset: int) -> bytes:
    """Bytes of a file, fewer only at its end. OSError where the image has become shorter."""
    size = min(size, node.size - offset)
    if size <= 0:
        return b""
    if len(node.extents) == 1:
        data = os.pread(descriptor, size, node.extents[0][0] + offset)
        if len(data) == size:
            return data
    starts = [0, *accumulate(length for _, length in node.extents)]
    parts: list[bytes] = []
    while size:
        index = bisect_right(starts, offset) - 1
        place, length = node.extents[index]
        inside = offset - starts[index]
        data = os.pread(descriptor, min(size, length - inside), place + inside)
        if not data:
            raise OSError(errno.EIO, "the image has become shorter")
        parts.append(data)
        size -= len(data)
        offset += len(data)
    return b"".join(parts)


def _plain(text: str) -> str:
    """Without the octal escapes of mountinfo."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
