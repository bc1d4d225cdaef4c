"""A FAT32 volume laid out in memory, every file in one piece: where things lie, and the metadata.

After Microsoft's "FAT32 File System Specification" (2000). Nothing is read or written here; the
content of files is somebody else's. Offsets are in bytes from the start of the volume.
"""

from __future__ import annotations

import struct
import sys
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence

from provisioner.errors import MediaError
from provisioner.frozen import frozen
from provisioner.usb.fat32_names import (
    DIRECTORY_BYTES,
    ENTRY,
    Record,
    dots,
    entries,
    entry_bytes,
    label_entry,
    short_names,
)

SECTOR = 512
LEAST_CLUSTERS = 65_525
"""With fewer a volume is FAT16, whatever it says of itself."""
MOST_CLUSTERS = 0x0FFFFFF5
LARGEST_FILE = 0xFFFFFFFF
CLUSTERS = (32_768, 16_384, 8192, 4096, 2048, 1024, 512)
ROOT = 2
"""The first cluster there is; the root directory's."""
_RESERVED = 32
_ALIGNED = (1 << 20) // SECTOR
_END = 0x0FFFFFFF
_AT_ONCE = 1 << 18
"""FAT entries made at a time: 1 MiB."""


@frozen
class Geometry:
    """The sizes that a boot sector tells. `cluster` in bytes, the others in sectors or clusters."""

    sectors: int
    cluster: int
    reserved: int
    fat_sectors: int
    clusters: int

    @property
    def data(self) -> int:
        """Where cluster 2 begins."""
        return (self.reserved + 2 * self.fat_sectors) * SECTOR

    def offset(self, cluster: int) -> int:
        """Where a cluster begins."""
        return self.data + (cluster - ROOT) * self.cluster


@frozen
class Node:
    """A file or folder of the volume. `path` with slashes; `modified` in seconds since 1970."""

    path: str
    directory: bool
    size: int
    modified: int


@frozen
class Placed:
    """Where the bytes of a file or folder lie: clusters in one run. `count` 0 for none."""

    node: Node
    cluster: int
    count: int


def geometry(partition: int, cluster: int) -> Geometry | None:
    """The geometry of a volume of so many bytes; None where it would not be FAT32.

    Data begin at a multiple of 1 MiB, so that clusters and erase blocks of flash agree.
    """
    sectors, per = partition // SECTOR, cluster // SECTOR
    clusters = (sectors - _RESERVED) // per
    fat = -(-(clusters + ROOT) * 4 // SECTOR)
    reserved = _RESERVED + -(_RESERVED + 2 * fat) % _ALIGNED
    clusters = min((sectors - reserved - 2 * fat) // per, MOST_CLUSTERS - 1)
    if clusters < LEAST_CLUSTERS:
        return None
    return Geometry(
        sectors=sectors, cluster=cluster, reserved=reserved, fat_sectors=fat, clusters=clusters
    )


def smallest(clusters: int, cluster: int) -> int:
    """Bytes of the smallest volume with so many clusters and their tables, in whole MiB."""
    wanted = max(clusters, LEAST_CLUSTERS)
    mib = 1 << 20
    low, high = 1, -(-(wanted * (cluster + 8) + (4 << 20)) // mib)
    while low < high:
        middle = (low + high) // 2
        found = geometry(middle * mib, cluster)
        if found is not None and found.clusters >= wanted:
            high = middle
        else:
            low = middle + 1
    return low * mib


def preferred(partition: int) -> int:
    """The cluster size that Windows takes for a volume of this size, and never below 4 KiB."""
    for limit, cluster in ((8 << 30, 4096), (16 << 30, 8192), (32 << 30, 16_384)):
        if partition <= limit:
            return cluster
    return 32_768


def fitting(partition: int, needed: Callable[[int], int]) -> Geometry | None:
    """A geometry for which `needed(cluster)` clusters are there: the preferred one, or a finer."""
    for cluster in CLUSTERS:
        if cluster > preferred(partition):
            continue
        found = geometry(partition, cluster)
        if found is not None and found.clusters >= needed(cluster):
            return found
    return None


def clusters_needed(nodes: Sequence[Node], cluster: int) -> int:
    """How many clusters files and directories take together."""
    lengths = directory_lengths(nodes)
    folders = sum(max(1, -(-length // cluster)) for length in lengths.values())
    return folders + sum(-(-node.size // cluster) for node in nodes if not node.directory)


def directory_lengths(nodes: Sequence[Node]) -> dict[str, int]:
    """Bytes of every directory's entries, the root's ("") with its label.

    Raises MediaError for a directory that FAT32 cannot hold.
    """
    lengths = {"": ENTRY} | {node.path: 2 * ENTRY for node in nodes if node.directory}
    for node in nodes:
        parent, _, name = node.path.rpartition("/")
        lengths[parent] += entry_bytes(name)
    for path, length in lengths.items():
        if length > DIRECTORY_BYTES:
            raise MediaError(
                f"the folder /{path} holds more names than a folder of a FAT32 stick can",
                hint="spread its files over several folders",
            )
    return lengths


class Volume:
    """The volume. `nodes` are in path order, every folder before what lies in it."""

    def __init__(
        self, nodes: Sequence[Node], shape: Geometry, *, label: str, serial: int, hidden: int
    ) -> None:
        self.shape = shape
        self._label, self._serial, self._hidden = label, serial, hidden
        self._lengths = directory_lengths(nodes)
        self._made = max((node.modified for node in nodes), default=0)
        root = Node(path="", directory=True, size=0, modified=self._made)
        self._next = ROOT
        self.directories = tuple(
            self._place(node, self._lengths[node.path])
            for node in (root, *(node for node in nodes if node.directory))
        )
        self.files = tuple(self._place(node, node.size) for node in nodes if not node.directory)
        self._cluster = {placed.node.path: placed.cluster for placed in self.directories}
        if self._next - ROOT > shape.clusters:
            raise ValueError("the volume is smaller than what is put into it")

    @property
    def end(self) -> int:
        """Where the last cluster in use ends."""
        return self.shape.offset(self._next)

    def boot_region(self) -> bytes:
        """The reserved sectors: boot sector, file system information, and the copies of both."""
        boot, info = self._boot_sector(), self._information()
        region = bytearray(self.shape.reserved * SECTOR)
        for at in (0, 6):
            region[at * SECTOR : (at + 1) * SECTOR] = boot
            region[(at + 1) * SECTOR : (at + 2) * SECTOR] = info
            region[(at + 2) * SECTOR + 508 : (at + 3) * SECTOR] = b"\0\0\x55\xaa"
        return bytes(region)

    def allocation_table(self) -> Iterator[bytes]:
        """One FAT, in pieces of up to 1 MiB; there are two, alike."""
        runs = [placed for placed in (*self.directories, *self.files) if placed.count]
        ends = [placed.cluster + placed.count - 1 for placed in runs]
        total = self.shape.fat_sectors * SECTOR // 4
        for first in range(0, total, _AT_ONCE):
            last = min(first + _AT_ONCE, total)
            used = min(max(self._next - first, 0), last - first)
            piece = array("I", range(first + 1, first + used + 1))
            for at in range(bisect_left(ends, first), bisect_left(ends, first + used)):
                piece[ends[at] - first] = _END
            if first == 0:
                piece[0], piece[1] = 0x0FFFFFF8, _END
            if sys.byteorder == "big":
                piece.byteswap()
            yield piece.tobytes() + bytes((last - first - used) * 4)

    def directory_regions(self) -> Iterator[bytes]:
        """The content of every directory, in the order of `directories`, filled up with zeros."""
        children: dict[str, list[Placed]] = {placed.node.path: [] for placed in self.directories}
        for placed in (*self.directories[1:], *self.files):
            children[placed.node.path.rpartition("/")[0]].append(placed)
        for placed in self.directories:
            data = self._directory(placed, children[placed.node.path])
            yield data.ljust(placed.count * self.shape.cluster, b"\0")

    def _place(self, node: Node, length: int) -> Placed:
        count = -(-length // self.shape.cluster)
        if node.directory:
            count = max(count, 1)
        placed = Placed(node=node, cluster=self._next if count else 0, count=count)
        self._next += count
        return placed

    def _directory(self, placed: Placed, children: Sequence[Placed]) -> bytes:
        path = placed.node.path
        parts = []
        if path:
            parent = self._cluster[path.rpartition("/")[0]]
            parts.append(
                dots(placed.cluster, 0 if parent == ROOT else parent, placed.node.modified)
            )
        else:
            parts.append(label_entry(self._label, self._made))
        names = {child.node.path.rpartition("/")[2]: child for child in children}
        short: Mapping[str, bytes] = short_names(sorted(names))
        for name, child in sorted(names.items()):
            record = Record(
                name=name,
                directory=child.node.directory,
                cluster=child.cluster,
                size=0 if child.node.directory else child.node.size,
                modified=child.node.modified,
            )
            parts.append(entries(record, short[name]))
        return b"".join(parts)

    def _boot_sector(self) -> bytes:
        shape = self.shape
        head = struct.pack(
            "<3s8sHBHBHHBHHHIIIHHIHH12sBBBI11s8s",
            b"\xeb\x58\x90",
            b"MSWIN4.1",
            SECTOR,
            shape.cluster // SECTOR,
            shape.reserved,
            2,
            0,
            0,
            0xF8,
            0,
            63,
            255,
            min(self._hidden // SECTOR, 0xFFFFFFFF),
            shape.sectors,
            shape.fat_sectors,
            0,
            0,
            ROOT,
            1,
            6,
            bytes(12),
            0x80,
            0,
            0x29,
            self._serial,
            self._label.encode("ascii").ljust(11),
            b"FAT32   ",
        )
        # INT 18h: the next boot device. Starting by BIOS is not what this stick is made for.
        return (head + b"\xcd\x18\xf4\xeb\xfd").ljust(510, b"\0") + b"\x55\xaa"

    def _information(self) -> bytes:
        free = self.shape.clusters - (self._next - ROOT)
        return b"".join(
            (
                struct.pack("<I", 0x41615252),
                bytes(480),
                struct.pack("<III", 0x61417272, free, self._next if free else ROOT),
                bytes(12),
                struct.pack("<I", 0xAA550000),
            )
        )
