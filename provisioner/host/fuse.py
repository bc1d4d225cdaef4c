"""Shows the inside of an image as a read-only folder by FUSE, without root.

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
from provisioner.host.mount import mounted_at

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
            _operations(mfusepy, nodes, descriptor)(),
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


def _operations(mfusepy: Any, nodes: Mapping[str, Node], image: int) -> type:
    paths = list(nodes)
    numbers = {path: number for number, path in enumerate(paths)}
    names = _names(paths)

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
            return _attributes(find(path))

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
            # Descriptors given to libfuse (`read_buf`, with and without splice) took as long.
            try:
                return _read(image, nodes[paths[fh]], size, offset)
            except OSError as err:
                raise mfusepy.FuseOSError(err.errno or errno.EIO) from err

        def statfs(self, path: str) -> dict[str, int]:
            return {
                "f_bsize": _BLOCK,
                "f_frsize": _BLOCK,
                "f_blocks": sum(-(-node.size // _BLOCK) for node in nodes.values()),
                "f_files": len(paths),
                "f_namemax": _NAME_MAX,
            }

    return Operations


def _names(paths: list[str]) -> dict[str, list[str]]:
    """What is in each folder."""
    names: dict[str, list[str]] = {}
    for path in paths:
        if path:
            parent, _, name = path.rpartition("/")
            names.setdefault(parent, []).append(name)
    return names


def _attributes(node: Node) -> dict[str, Any]:
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
