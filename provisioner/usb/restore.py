"""`usb restore`: an empty data stick, made as files by other people's programs, as a Stream.

sfdisk and mkfs never see the stick: they work on sparse files, as whoever asks, and what they wrote
goes the same way as every image. Nothing of it needs root.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from provisioner.errors import UsageError
from provisioner.frozen import frozen
from provisioner.host.disk import BLOCK
from provisioner.host.process import run
from provisioner.usb.spans import MIB, SECTOR, Span, clipped, merged
from provisioner.usb.stream import Block, Place

LARGEST_FAT32 = 32 * 2**30
"""Larger ones are exFAT by the SD Association's rule, and Windows formats no larger FAT32."""
SMALLEST = 64 * MIB
_PACKAGES = {"sfdisk": "fdisk", "mkfs.vfat": "dosfstools", "mkfs.exfat": "exfatprogs"}


class Table(StrEnum):
    """The partition table."""

    MBR = "mbr"
    GPT = "gpt"


class Filesystem(StrEnum):
    """The one file system."""

    FAT32 = "fat32"
    EXFAT = "exfat"


@frozen
class EmptyStick:
    """A Stream of an empty data stick. `pieces`: what of which file goes where: `(offset on the
    stick, file, offset in it, length)`, ascending."""

    size: int
    pieces: tuple[tuple[int, Path, int, int], ...]
    partition: Span
    filesystem: Filesystem

    @property
    def used(self) -> int:
        """Tables and the file system's own data."""
        return sum(length for _, _, _, length in self.pieces)

    def blocks(self) -> Iterator[tuple[int, bytes]]:
        """Holes are zeros here: a table of free clusters has many."""
        for target, path, start, length in self.pieces:
            with path.open("rb") as file:
                file.seek(start)
                for at in range(0, length, BLOCK):
                    yield target + at, file.read(min(BLOCK, length - at))

    def place(self, offset: int) -> Place:
        """There are no files."""
        first, length = self.partition
        inside = first <= offset < first + length
        name = f"partition 1 ({self.filesystem.value})" if inside else "partition table"
        return Place(partition=name, file=None)

    def ends(self, size: int) -> tuple[Block, ...]:
        """None: it is made for one stick."""
        return ()


def default_filesystem(size: int) -> Filesystem:
    """What cameras and other people's computers expect of a stick of this size."""
    return Filesystem.FAT32 if size <= LARGEST_FAT32 else Filesystem.EXFAT


def empty_stick(
    size: int, folder: Path, *, table: Table, filesystem: Filesystem, label: str
) -> EmptyStick:
    """Makes table and file system in `folder`, in sparse files. UsageError for a label that the
    file system cannot have, HostError without the programs."""
    if size < SMALLEST:
        raise UsageError(f"{size} bytes are too few for a data stick")
    _check_label(label, filesystem)
    disk, part = folder / "disk.img", folder / "partition.img"
    end = size - (MIB if table is Table.GPT else 0)
    span = (MIB, (end - MIB) // MIB * MIB)
    _sparse(disk, size // SECTOR * SECTOR)
    _partition(disk, table, filesystem, span)
    _sparse(part, span[1])
    _format(part, filesystem, label, hidden=span[0] // SECTOR)
    pieces = [(0, disk, 0, MIB)]
    for start, length in _data(part, filesystem):
        pieces.append((span[0] + start, part, start, length))
    if table is Table.GPT:
        last = size // SECTOR * SECTOR - MIB
        pieces.append((last, disk, last, MIB))
    return EmptyStick(
        size=size // SECTOR * SECTOR,
        pieces=tuple(pieces),
        partition=span,
        filesystem=filesystem,
    )


def _check_label(label: str, filesystem: Filesystem) -> None:
    most = 11 if filesystem is Filesystem.FAT32 else 15
    length = len(label.encode("utf-16-le")) // 2
    odd = set(label) & set('"*+,./:;<=>?[\\]|') or any(not c.isprintable() for c in label)
    if length > most or odd or (filesystem is Filesystem.FAT32 and not label.isascii()):
        raise UsageError(
            f"{label!r} cannot be the label of {filesystem.value}",
            hint=f"at most {most} characters, no punctuation that paths use",
        )


def _sparse(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


def _partition(disk: Path, table: Table, filesystem: Filesystem, span: Span) -> None:
    if table is Table.GPT:
        head, kind = "label: gpt", "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"
    else:
        head, kind = "label: dos", "c" if filesystem is Filesystem.FAT32 else "7"
    start, count = span[0] // SECTOR, span[1] // SECTOR
    script = f"{head}\nstart={start}, size={count}, type={kind}\n"
    _tool(["sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", str(disk)], script)


def _format(part: Path, filesystem: Filesystem, label: str, *, hidden: int) -> None:
    if filesystem is Filesystem.FAT32:
        named = ["-n", label.upper()] if label else []
        _tool(["mkfs.vfat", "-F", "32", "-h", str(hidden), *named, str(part)])
    else:
        _tool(["mkfs.exfat", *(["-L", label] if label else []), str(part)])


def _tool(argv: list[str], script: str | None = None) -> None:
    package = _PACKAGES[argv[0]]
    search = f"{os.defpath}:/usr/sbin:/sbin"
    run(
        argv,
        timeout=300,
        hint=f"apt install {package}",
        environment={"PATH": search, "LC_ALL": "C"},
        stdin=None if script is None else script.encode(),
    )


def _data(part: Path, filesystem: Filesystem) -> tuple[Span, ...]:
    """What mkfs wrote, and what it may have left as holes that have to be zeros."""
    size = part.stat().st_size
    spans: list[Span] = []
    descriptor = os.open(part, os.O_RDONLY | os.O_CLOEXEC)
    try:
        at = 0
        while at < size:
            try:
                start = os.lseek(descriptor, at, os.SEEK_DATA)
            except OSError:
                break  # ENXIO: nothing but a hole is left
            at = os.lseek(descriptor, start, os.SEEK_HOLE)
            spans.append((start, at - start))
        head = os.pread(descriptor, SECTOR, 0)
    finally:
        os.close(descriptor)
    return clipped(merged([*spans, (0, _system_area(head, filesystem))]), size)


def _system_area(head: bytes, filesystem: Filesystem) -> int:
    """Bytes from the volume's start to the end of its tables; with the first cluster of FAT32,
    which is its root (Microsoft FAT specification, BPB; exFAT specification §3.1)."""
    if filesystem is Filesystem.FAT32:
        (sector,) = struct.unpack_from("<H", head, 11)
        cluster, reserved, fats = struct.unpack_from("<BHB", head, 13)
        (per_fat,) = struct.unpack_from("<I", head, 36)
        return int((reserved + fats * per_fat + cluster) * sector)
    (heap,) = struct.unpack_from("<I", head, 88)
    return int(heap << head[108])
