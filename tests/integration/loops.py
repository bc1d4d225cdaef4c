"""Loop devices of our own, and a machine that lets just these be targets."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from provisioner.usb.devices import Disk
from provisioner.usb.devices_sysfs import System
from provisioner.usb.local import LocalMachine
from tests.fakes.stick import Image


@dataclass(frozen=True, kw_only=True)
class Loop:
    """A loop device over a file."""

    path: Path
    file: Path
    before: int = 0

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def written(self) -> int:
        """Bytes that the kernel wrote to it since it was attached."""
        return _written(self.name) - self.before


def _written(name: str) -> int:
    """Documentation/block/stat.rst; counted on when a loop device is used again."""
    return int(Path(f"/sys/block/{name}/stat").read_text().split()[6]) * 512


@contextmanager
def loop(file: Path, size: int, *, place: str = "", parts: bool = False) -> Iterator[Loop]:
    """Attached, with O_DIRECT below as well, so that nothing is cached twice; at a node of its own
    or at `place`; with `parts` the kernel looks for partitions on it."""
    if not file.exists():
        with file.open("wb") as made:
            made.truncate(size)
    node = [place] if place else ["--find", "--show"]
    scan = ["--partscan"] if parts else []
    argv = ["losetup", "--direct-io=on", *scan, *node, str(file)]
    path = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip() or place
    try:
        yield Loop(path=Path(path), file=file, before=_written(Path(path).name))
    finally:
        subprocess.run(["losetup", "-d", path], check=True)


def machine(*loops: Loop) -> LocalMachine:
    """This machine, on which these loop devices have serials and are taken for sticks."""
    serials = {one.name: f"TEST{number:04}" for number, one in enumerate(loops)}
    return LocalMachine(system=System(allowed_loops=serials), bus=None, elevate=())


def disk_of(here: LocalMachine, one: Loop) -> Disk:
    """A loop device as a disk."""
    return next(disk for disk in here.disks() if disk.name == one.name)


def holds(file: Path, image: Image) -> bool:
    """Whether every block of the image is in a loop device's file."""
    os.sync()
    with file.open("rb") as opened:
        for offset, data in image.expected():
            opened.seek(offset)
            if opened.read(len(data)) != data:
                return False
    return True
