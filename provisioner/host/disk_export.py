"""Shows a disk image, or ranges of it, as plain read-only files: no root, no kernel driver.

qemu-storage-daemon exports them over FUSE (docs/facts/standin.md §3: tried on a chain of three,
as root and as nobody, and on the disk of a running machine with `force-share`).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from provisioner.errors import FailedError, HostError
from provisioner.host.disk_chain import Layer
from provisioner.host.process import run

LIMIT = 20.0
"""Seconds that the daemon may take; it took 0.02 (docs/facts/standin.md §3)."""

PAUSE = 0.01

HINT = (
    "needs qemu-storage-daemon (Debian: qemu-system-common or qemu-utils, Fedora: "
    "qemu-img, Arch: qemu-base) and fusermount3 (fuse3), and leave to open /dev/fuse"
)

Range = tuple[int, int]
"""Offset and length in bytes."""


@contextmanager
def exported(layers: Sequence[Layer], ranges: Sequence[Range | None]) -> Iterator[tuple[Path, ...]]:
    """A file for each range of the disk (None: all of it), for the duration of the block.

    The disk may be in use: what is seen is what its user has flushed so far, so that a reader has
    to expect anything. HostError where this host cannot do it.
    """
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        raise HostError(
            "/dev/fuse cannot be opened, so no disk image can be looked into", hint=HINT
        )
    folder = Path(tempfile.mkdtemp(prefix="provisioner-disk-"))
    files = [folder / f"{number}.raw" for number in range(len(ranges))]
    for file in files:
        file.touch(mode=0o600)
    daemon = None
    try:
        daemon = _start(layers, ranges, files)
        _wait(daemon, files)
        yield tuple(files)
    finally:
        if daemon is not None:
            _stop(daemon, files)
        shutil.rmtree(folder, ignore_errors=True)


def block_nodes(layers: Sequence[Layer]) -> list[dict[str, Any]]:
    """`--blockdev` arguments, lowest layer first; the disk as the guest sees it is `layer-0`."""
    nodes: list[dict[str, Any]] = []
    for number, layer in reversed(list(enumerate(layers))):
        shared = {"read-only": True, "force-share": True}
        nodes.append(
            {
                "driver": "host_device" if layer.device else "file",
                "node-name": f"file-{number}",
                "filename": str(layer.path),
                **shared,
            }
        )
        node = {
            "driver": layer.driver,
            "node-name": f"layer-{number}",
            "file": f"file-{number}",
            **shared,
        }
        if layer.driver in ("qcow2", "vmdk"):  # never a file that the image itself names
            node["backing"] = f"layer-{number + 1}" if number + 1 < len(layers) else None
        nodes.append(node)
    return nodes


def _start(
    layers: Sequence[Layer], ranges: Sequence[Range | None], files: Sequence[Path]
) -> subprocess.Popen[bytes]:
    argv = ["qemu-storage-daemon"]
    if shutil.which("setpriv"):
        # It must not outlive us, not even a `kill -9`: it would keep the mount and the images.
        argv = ["setpriv", "--pdeathsig", "TERM", *argv]
    nodes = block_nodes(layers)
    exports = []
    for number, (piece, file) in enumerate(zip(ranges, files, strict=True)):
        node = "layer-0"
        if piece is not None:
            node = f"range-{number}"
            offset, size = piece
            nodes.append(
                {"driver": "raw", "node-name": node, "file": "layer-0", "offset": offset}
                | {"size": size, "read-only": True, "force-share": True}
            )
        export = {"type": "fuse", "id": f"export-{number}", "node-name": node}
        exports.append(export | {"mountpoint": str(file), "writable": False})
    for option, values in (("--blockdev", nodes), ("--export", exports)):
        for value in values:
            argv += [option, json.dumps(value)]
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C ends us first, and we end it in order
        )
    except OSError as err:
        raise HostError("qemu-storage-daemon cannot be run", hint=HINT) from err


def _wait(daemon: subprocess.Popen[bytes], files: Sequence[Path]) -> None:
    """Returns when every file is a mount of its own."""
    deadline = time.monotonic() + LIMIT
    home = files[0].parent.stat().st_dev
    while True:
        if daemon.poll() is not None:
            assert daemon.stderr is not None
            lines = daemon.stderr.read(8192).decode("utf-8", "replace").strip().splitlines()
            reason = lines[-1].strip() if lines else f"exit code {daemon.returncode}"
            if "setpriv" in reason or "fuse" in reason.lower():  # it is not the disk's fault
                raise HostError(f"qemu-storage-daemon cannot be used: {reason}", hint=HINT)
            raise FailedError(f"the disk cannot be opened: {reason}", hint=HINT)
        if all(file.stat().st_dev != home for file in files):
            return
        if time.monotonic() > deadline:
            raise FailedError(f"the disk was not opened within {LIMIT:.0f} s", hint=HINT)
        time.sleep(PAUSE)


def _stop(daemon: subprocess.Popen[bytes], files: Sequence[Path]) -> None:
    """Ends it, which unmounts its files; cures mounts that a killed one has left."""
    daemon.terminate()
    try:
        daemon.wait(LIMIT)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()
    if daemon.stderr is not None:
        daemon.stderr.close()
    for file in files:
        with suppress(OSError):
            if file.stat().st_dev == file.parent.stat().st_dev:
                continue
        with suppress(FailedError, HostError):
            run(("fusermount3", "-u", "-z", str(file)), timeout=LIMIT)
