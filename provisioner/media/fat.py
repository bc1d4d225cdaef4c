"""FAT12, FAT16 and FAT32: the files of a stick's partition or of an El Torito boot image.

Microsoft's "FAT: General Overview of On-Disk Format" (1.03), long names included. Cluster chains
become extents; only the pages of the table that chains use are read.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

from provisioner.media.facts import Extent
from provisioner.media.walk import MAX_DIRECTORY_BYTES, Node
from provisioner.media.window import Damaged, Window, joined, overlapping

MAX_CLUSTERS = 4_000_000
"""Clusters followed in one volume: 128 GiB of files with clusters of 32 KiB."""
_PAGE = 64 << 10
_ENTRY = 32
_LONG_NAME, _LABEL, _DIRECTORY = 0x0F, 0x08, 0x10
_FREE, _END = 0xE5, 0x00
_LAST_LONG = 0x40


@dataclass(slots=True, kw_only=True)
class Fat:
    """An opened volume. Implements `walk.FileSystem`."""

    window: Window
    start: int
    bits: int
    cluster_bytes: int
    clusters: int
    table: int
    table_bytes: int
    data: int
    root_extent: Extent | None
    root_cluster: int
    size: int
    boot_label: str
    _pages: dict[int, array[int]] = field(default_factory=dict)
    _followed: int = 0

    @property
    def name(self) -> str:
        """`FAT12`, `FAT16` or `FAT32`."""
        return f"FAT{self.bits}"

    @property
    def label(self) -> str:
        """The label in the root directory, which Windows shows, else the boot sector's."""
        for raw in self._raw_entries(self.root):
            if raw[11] & 0x3F != _LONG_NAME and raw[11] & _LABEL and raw[0] != _FREE:
                return raw[:11].decode("cp437").rstrip(" \0")
        return self.boot_label

    @property
    def root(self) -> Node:
        """The root directory: a place of its own, or a chain of clusters with FAT32."""
        if self.root_extent is not None:
            return Node(name="", directory=True, extents=(self.root_extent,))
        return Node(name="", directory=True, extents=self._chain(self.root_cluster))

    def children(self, directory: Node) -> Iterator[Node]:
        """Entries of one directory, long names put together."""
        long = _LongName()
        for raw in self._raw_entries(directory):
            attributes = raw[11]
            if raw[0] == _FREE:
                long = _LongName()
            elif attributes & 0x3F == _LONG_NAME:
                long.add(raw)
            elif attributes & _LABEL:
                long = _LongName()
            else:
                name = long.taken(raw) or _short_name(raw)
                long = _LongName()
                if name not in {".", ".."}:
                    yield self._node(name, raw)

    def _node(self, name: str, raw: bytes) -> Node:
        high, low, size = (
            int.from_bytes(raw[20:22], "little"),
            int.from_bytes(raw[26:28], "little"),
            int.from_bytes(raw[28:32], "little"),
        )
        first = low | (high << 16 if self.bits == 32 else 0)
        if raw[11] & _DIRECTORY:
            return Node(name=name, directory=True, extents=self._chain(first))
        if not size:
            return Node(name=name, directory=False, extents=())
        return Node(name=name, directory=False, extents=self._chain(first, size))

    def _raw_entries(self, directory: Node) -> Iterator[bytes]:
        extents = directory.extents or ()
        if sum(extent.length for extent in extents) > MAX_DIRECTORY_BYTES:
            raise Damaged("a FAT directory is larger than any real one")
        for extent in extents:
            data = self.window.read(extent.offset, extent.length)
            for at in range(0, len(data) - _ENTRY + 1, _ENTRY):
                if data[at] == _END:
                    return
                yield data[at : at + _ENTRY]

    def _chain(self, first: int, size: int | None = None) -> tuple[Extent, ...]:
        """The runs of a cluster chain, cut to `size` bytes; `Damaged` for a chain that is broken.

        A chain cannot be longer than the volume, so one in a circle ends.
        """
        runs: list[tuple[int, int]] = []
        cluster = first
        wanted = self.clusters if size is None else -(-size // self.cluster_bytes)
        count = 0
        while count < wanted:
            if not 2 <= cluster < self.clusters + 2:
                raise Damaged(f"a cluster chain of the FAT volume is broken at cluster {cluster}")
            length, following = self._run(cluster, wanted - count)
            runs.append((cluster, length))
            count += length
            self._followed += length
            if self._followed > MAX_CLUSTERS:
                raise Damaged("the files of the FAT volume have more clusters than there can be")
            cluster = following
            if self._is_end(cluster):
                break
        if size is not None and count < wanted:
            raise Damaged("a file of the FAT volume is longer than its cluster chain")
        found: list[Extent] = []
        rest = count * self.cluster_bytes if size is None else size
        for start, number in runs:
            length = min(number * self.cluster_bytes, rest)
            offset = self.data + (start - 2) * self.cluster_bytes
            found.append(Extent(offset=offset, length=length))
            rest -= length
        if overlapping(found):
            raise Damaged(f"a cluster chain of the FAT volume runs in a circle from {first}")
        return joined(found)

    def _is_end(self, cluster: int) -> bool:
        return cluster >= (1 << (28 if self.bits == 32 else self.bits)) - 8

    def _run(self, first: int, most: int) -> tuple[int, int]:
        """How many clusters follow each other from `first`, and what the table says of the last."""
        if self.bits == 12:
            return 1, self._next12(first)
        mask = 0x0FFFFFFF if self.bits == 32 else 0xFFFF
        cluster, per = first, _PAGE // (self.bits // 8)
        while True:
            values = self._page(cluster // per)
            for at in range(cluster % per, len(values)):
                following = values[at] & mask
                if following != cluster + 1 or cluster - first + 1 >= most:
                    return cluster - first + 1, following
                cluster = following
            if cluster % per or not values:
                raise Damaged("the table of the FAT volume is too short")

    def _next12(self, cluster: int) -> int:
        """Entries of one and a half bytes; such a table has 6 KiB at most."""
        at = cluster * 12 // 8
        data = self.window.read(self.table + at, 2) if at + 2 <= self.table_bytes else b""
        word = int.from_bytes(data, "little")
        return word >> 4 if cluster & 1 else word & 0xFFF

    def _page(self, number: int) -> array[int]:
        """A piece of the table of FAT16 or FAT32 as numbers."""
        page = self._pages.get(number)
        if page is None:
            begin = number * _PAGE
            count = max(min(_PAGE, self.table_bytes - begin), 0)
            page = array("I" if self.bits == 32 else "H")
            page.frombytes(self.window.read(self.table + begin, count))
            if sys.byteorder == "big":
                page.byteswap()
            self._pages[number] = page
        return page


class _LongName:
    """Collects the entries of a long name, which stand before the short one, last part first."""

    __slots__ = ("checksum", "following", "parts")

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.following = 0
        self.checksum = -1

    def add(self, raw: bytes) -> None:
        order = raw[0] & 0x3F
        if raw[0] & _LAST_LONG:
            self.parts, self.checksum = [], raw[13]
        elif order != self.following or raw[13] != self.checksum:
            self.parts, self.checksum = [], -1
        self.following = order - 1
        if self.checksum >= 0:
            self.parts.append(raw[1:11] + raw[14:26] + raw[28:32])

    def taken(self, raw: bytes) -> str:
        """The long name of a short entry; empty where there is none that belongs to it."""
        if not self.parts or self.following:
            return ""
        checksum = 0
        for byte in raw[:11]:
            checksum = ((checksum & 1) << 7 | checksum >> 1) + byte & 0xFF
        if checksum != self.checksum:
            return ""
        text = b"".join(reversed(self.parts)).decode("utf-16-le", "replace")
        return text.partition("\0")[0]


def _short_name(raw: bytes) -> str:
    base = (b"\xe5" + raw[1:8] if raw[0] == 0x05 else raw[:8]).decode("cp437").rstrip(" ")
    extension = raw[8:11].decode("cp437").rstrip(" ")
    # Windows NT keeps two bits for names that are all in lower case.
    base = base.lower() if raw[12] & 0x08 else base
    extension = extension.lower() if raw[12] & 0x10 else extension
    return f"{base}.{extension}" if extension else base


def is_fat(sector: bytes) -> bool:
    """Whether a boot sector is that of a FAT volume and not of a partition table."""
    if len(sector) < 512 or sector[510:512] != b"\x55\xaa":
        return False
    (size,) = struct.unpack_from("<H", sector, 11)
    per, reserved, tables = sector[13], int.from_bytes(sector[14:16], "little"), sector[16]
    return (
        size in {512, 1024, 2048, 4096}
        and per in {1, 2, 4, 8, 16, 32, 64, 128}
        and reserved > 0
        and tables in {1, 2}
        and (sector[21] == 0xF0 or sector[21] >= 0xF8)
    )


def read_fat(window: Window, start: int) -> Fat:
    """The FAT volume that starts at a byte of the image; `Damaged` when there is none."""
    sector = window.read_up_to(start, 512)
    if not is_fat(sector):
        raise Damaged(f"no FAT volume starts at byte {start}")
    (size,) = struct.unpack_from("<H", sector, 11)
    per, (reserved,), tables = sector[13], struct.unpack_from("<H", sector, 14), sector[16]
    roots, small, _, table16 = struct.unpack_from("<HHBH", sector, 17)
    (large,) = struct.unpack_from("<I", sector, 32)
    (table32,) = struct.unpack_from("<I", sector, 36)
    total, table = small or large, table16 or table32
    root_sectors = -(-roots * _ENTRY // size)
    data = reserved + tables * table + root_sectors
    if not table or total <= data:
        raise Damaged(f"the FAT volume at byte {start} has no room for files")
    clusters = (total - data) // per
    bits = 12 if clusters < 4085 else 16 if clusters < 65525 else 32
    if bits == 32 and not table32:
        bits = 16
    fat32 = table16 == 0
    if fat32:
        bits = 32
    root = Extent(offset=start + (data - root_sectors) * size, length=roots * _ENTRY)
    label = sector[71:82] if fat32 else sector[43:54]
    return Fat(
        window=window,
        start=start,
        bits=bits,
        cluster_bytes=per * size,
        clusters=clusters,
        table=start + reserved * size,
        table_bytes=table * size,
        data=start + data * size,
        root_extent=None if fat32 else root,
        root_cluster=struct.unpack_from("<I", sector, 44)[0] if fat32 else 0,
        size=total * size,
        boot_label=label.decode("cp437").rstrip(" \0").removesuffix("NO NAME"),
    )
