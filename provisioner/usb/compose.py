"""A tree of files becomes the bytes of a stick: one partition table, one FAT32 partition.

Everything is laid out in memory first; then the bytes come in one pass, and no file system, root
or scratch space is needed. The same tree gives the same bytes (facts iso-usb §0, §5, §8.2).
"""

from __future__ import annotations

import hashlib
import re
import uuid
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from provisioner.errors import FailedError, MediaError, ProfileError, RefusedError
from provisioner.frozen import frozen
from provisioner.image.content import Payload, Reveal, resolve
from provisioner.image.names import Rules, find_problems, folders_of
from provisioner.tree import File, HostFile, Slice, Tree
from provisioner.usb import fat32, tables
from provisioner.usb.fat32 import Node
from provisioner.usb.stream import Block, Place
from provisioner.usb.tables import Layout, Partition, Span, Table

BLOCK = 4 << 20
_LONG = 256 << 10
"""Shorter pieces are put together."""
SLACK = 32 << 20
"""Room left in an image that is made as small as may be: Setup's tools write a little."""
STICK = Rules(
    medium="stick",
    name_units=255,
    path_units=248,  # a drive letter, a slash and this fit Windows' MAX_PATH of 260
    file_bytes=fat32.LARGEST_FILE,
    total_bytes=1 << 40,
    directories=1 << 20,
)
"""FAT32 as Windows reads it; `provisioner.image.names` refuses what differs in case alone."""


@frozen
class Form:
    """How the stick is to be. `identity` is what ids are derived from, beside the tree.

    `epoch` dates what has no date of its own. `label` has up to 11 characters of a volume label.
    """

    table: Table = Table.GPT
    label: str = "WINDOWS"
    identity: str = ""
    epoch: int = 0


@frozen
class _Region:
    """Bytes of the stick. `file` is None for tables, directories are named."""

    offset: int
    length: int
    file: str | None
    payload: Payload | None = None


class StickStream:
    """The whole stick. Implements `provisioner.usb.stream.Stream`.

    Sources are opened when their turn comes; that none has changed since this was made is looked
    at before the first and after the last block.
    """

    def __init__(
        self, tree: Tree, form: Form, *, capacity: int | None = None, reveal: Reveal
    ) -> None:
        """Lays everything out; `capacity` is the size of the stick, None for the smallest image.

        Raises ProfileError for names that FAT or Windows refuses, MediaError for a file that is
        too large, RefusedError where the stick is too small; both sizes are told.
        """
        _check(tree)
        self._form = form
        self._payloads = [resolve(path, file, reveal) for path, file in tree.files()]
        nodes = _nodes(tree, self._payloads, form.epoch)
        self.size, shape = _fit(nodes, capacity, form.table)
        self._span = tables.partition_span(self.size)
        ids = derived_ids(tree, self._payloads, form, self._span.length)
        self._layout = Layout(
            table=form.table,
            size=self.size,
            id=ids.disk,
            signature=ids.signature,
            partitions=(Partition(span=self._span, name=form.label, id=ids.partition),),
        )
        self._volume = fat32.Volume(
            nodes,
            shape,
            label=form.label,
            serial=ids.volume & 0xFFFFFFFF,
            hidden=self._span.offset,
        )
        self.shape = shape
        self._regions = tuple(self._lay_out())
        self._offsets = [region.offset for region in self._regions]
        self.used = sum(region.length for region in self._regions)
        self._sources = Sources(tree)

    @property
    def cluster(self) -> int:
        """The cluster size of the volume, in bytes."""
        return self.shape.cluster

    @property
    def partition(self) -> Span:
        """Where the one partition lies."""
        return self._span

    def blocks(self) -> Iterator[tuple[int, bytes | memoryview]]:
        """See `Stream.blocks`. Long pieces of files go through as they were read."""
        self._sources.require_unchanged()
        gathered = bytearray()
        start = 0
        for offset, data in self._pieces():
            end = start + len(gathered)
            if gathered and (offset != end or len(gathered) + len(data) > BLOCK):
                # Whole sectors only; the rest waits for what follows it, which never is a gap.
                whole = len(gathered) // tables.SECTOR * tables.SECTOR
                yield start, bytes(memoryview(gathered)[:whole])
                del gathered[:whole]
                start += whole
            if not gathered:
                start = offset
                if len(data) >= _LONG and len(data) % tables.SECTOR == 0:
                    yield offset, data
                    continue
            gathered += data
        if gathered:
            yield start, bytes(gathered)
        self._sources.require_unchanged()

    def place(self, offset: int) -> Place:
        """What lies at an offset."""
        index = bisect_right(self._offsets, offset) - 1
        region = self._regions[index] if index >= 0 else None
        inside = region is not None and offset < region.offset + region.length
        span = self._span
        if span.offset <= offset < span.offset + span.length:
            partition = f"partition 1 ({self._form.label}, FAT32)"
        else:
            partition = f"no partition ({self._form.table.upper()} tables)"
        return Place(
            partition=partition, file=region.file if inside and region is not None else None
        )

    def ends(self, size: int) -> tuple[Block, ...]:
        """Partition tables that count a stick of `size` bytes, with the same partition."""
        return tables.ends(self._layout, size)

    def _lay_out(self) -> Iterator[_Region]:
        volume, base = self._volume, self._span.offset
        yield _Region(offset=0, length=base, file=None)
        yield _Region(offset=base, length=self.shape.data, file=None)
        for placed in volume.directories:
            yield _Region(
                offset=base + self.shape.offset(placed.cluster),
                length=placed.count * self.shape.cluster,
                file=f"{placed.node.path}/" if placed.node.path else "/",
            )
        payloads = {str(payload.path): payload for payload in self._payloads}
        for placed in volume.files:
            if placed.count:
                yield _Region(
                    offset=base + self.shape.offset(placed.cluster),
                    length=placed.count * self.shape.cluster,
                    file=placed.node.path,
                    payload=payloads[placed.node.path],
                )
        yield _Region(offset=self.size - tables.TAIL, length=tables.TAIL, file=None)

    def _pieces(self) -> Iterator[tuple[int, bytes]]:
        """Pieces of any length, ascending; together exactly the regions."""
        base = self._span.offset
        yield 0, tables.head(self._layout)
        boot = self._volume.boot_region()
        yield base, boot
        at = base + len(boot)
        for _ in range(2):
            for piece in self._volume.allocation_table():
                yield at, piece
                at += len(piece)
        for piece in self._volume.directory_regions():
            yield at, piece
            at += len(piece)
        for region in self._regions:
            if region.payload is None:
                continue
            yield from self._content(region, region.payload)
        yield self.size - tables.TAIL, tables.tail(self._layout)

    def _content(self, region: _Region, payload: Payload) -> Iterator[tuple[int, bytes]]:
        at = region.offset
        for block in payload.blocks():
            yield at, block
            at += len(block)
        end = region.offset + region.length
        if at < end:
            yield at, bytes(end - at)


def label_from(text: str) -> str:
    """The first 11 characters of a text that a volume label may have; `WINDOWS` without any."""
    return re.sub(r"[^A-Z0-9_-]", "", text.upper())[:11] or "WINDOWS"


def _check(tree: Tree) -> None:
    for path, file in tree.files():
        length = sum(part.length for part in file.content if isinstance(part, Slice))
        if length > fat32.LARGEST_FILE:
            raise MediaError(
                f"{path} has {length:,} bytes; a file on a FAT32 stick is smaller than 4 GiB",
                hint="only WIM files that are not solid can be split; leave it out, or split it",
            )
    problems = tuple(find_problems(tree, STICK))
    if problems:
        raise ProfileError(problems)


def _nodes(tree: Tree, payloads: Sequence[Payload], epoch: int) -> list[Node]:
    lengths = {str(payload.path): payload.length for payload in payloads}
    modified = dates_of(tree, epoch)
    folders = folders_of(tree)
    return [
        Node(
            path=path,
            directory=path not in lengths,
            size=lengths.get(path, 0),
            modified=modified(path),
        )
        for path in [*folders, *lengths]
    ]


def _fit(nodes: Sequence[Node], capacity: int | None, table: Table) -> tuple[int, fat32.Geometry]:
    """Size of the stick and geometry of its volume."""

    def needed(cluster: int) -> int:
        return fat32.clusters_needed(nodes, cluster)

    if capacity is None:
        cluster = fat32.preferred(0)
        while True:
            partition = fat32.smallest(needed(cluster) + -(-SLACK // cluster), cluster)
            if fat32.preferred(partition) == cluster:
                break
            cluster = fat32.preferred(partition)
        capacity = tables.stick_size(partition)
    else:
        capacity = capacity // tables.SECTOR * tables.SECTOR
    partition = tables.partition_span(capacity).length
    require_reach(table, capacity)
    shape = fat32.fitting(min(partition, tables.MBR_LIMIT - tables.ALIGNMENT), needed)
    if shape is None:
        least = min(
            tables.stick_size(fat32.smallest(needed(cluster), cluster))
            for cluster in fat32.CLUSTERS
        )
        raise RefusedError(
            f"the stick has {capacity:,} bytes, and {least:,} are needed",
            hint="take a larger stick",
        )
    return capacity, shape


@frozen
class Ids:
    """What would otherwise be random. `signature` is an MBR's, of 32 bits; `volume` a file
    system's, of 64, of which FAT takes the lower ones."""

    disk: uuid.UUID
    partition: uuid.UUID
    second: uuid.UUID
    signature: int
    volume: int


def derived_ids(tree: Tree, payloads: Sequence[Payload], form: Form, length: int) -> Ids:
    """Ids from what is on the stick, never from chance (facts iso-usb §5).

    Taken over names, lengths and dates, and not over content, which may hold secrets; and over the
    length of the partition, not of the stick: one image goes to sticks of several sizes.
    """
    sha = hashlib.sha256(f"{form.identity}\0{form.table}\0{form.label}\0{length}\0".encode())
    lengths: Mapping[str, int] = {str(payload.path): payload.length for payload in payloads}
    for path, entry in tree.items():
        date = entry.modified if isinstance(entry, File) else None
        sha.update(f"{path}\0{lengths.get(str(path))}\0{date}\0".encode())
    digest = sha.digest()
    return Ids(
        disk=uuid.UUID(bytes=digest[:16], version=4),
        partition=uuid.UUID(bytes=digest[16:], version=4),
        second=uuid.UUID(bytes=hashlib.sha256(digest).digest()[:16], version=4),
        signature=int.from_bytes(digest[4:8], "little") | 1,
        volume=int.from_bytes(digest[8:16], "little"),
    )


def require_reach(table: Table, size: int) -> None:
    """RefusedError for an MBR on a stick that is too large for it."""
    if table is Table.MBR and size > tables.MBR_LIMIT:
        raise RefusedError(
            f"an MBR reaches 2 TiB far, and the stick has {size:,} bytes",
            hint="take --table gpt",
        )


def dates_of(tree: Tree, epoch: int) -> Callable[[str], int]:
    """The date of every path, in seconds since 1970: `epoch` for what has none of its own."""
    dates = {str(path): getattr(entry, "modified", None) for path, entry in tree.items()}

    def modified(path: str) -> int:
        return epoch if (date := dates.get(path)) is None else date

    return modified


class Sources:
    """The files of this host that a tree takes its content from, as they were when it was made."""

    def __init__(self, tree: Tree) -> None:
        paths = {
            part.image if isinstance(part, Slice) else part.path
            for _, file in tree.files()
            for part in file.content
            if isinstance(part, Slice | HostFile)
        }
        self._planned = {path: _status(path) for path in paths}

    def require_unchanged(self) -> None:
        """FailedError where one is another now."""
        for path, planned in self._planned.items():
            if _status(path) != planned:
                raise FailedError(
                    f"{path} changed since the stick was planned",
                    hint="do not change it meanwhile; try again",
                )


def _status(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as err:
        raise FailedError(f"cannot read {path}: {err.strerror}") from err
    return status.st_size, status.st_mtime_ns
