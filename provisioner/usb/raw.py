"""Raw images, compressed or not, as streams. Nothing of them is interpreted, except for messages.

Without a block map every byte is written, zeros too: only the map says what is unused.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import cast

from provisioner.errors import FailedError, MediaError, ProvisionerError
from provisioner.frozen import frozen
from provisioner.host.disk import BLOCK
from provisioner.media.disk_image import read_disk_image
from provisioner.media.partitions import read_partitions
from provisioner.media.window import Window, opened
from provisioner.usb.raw_bmap import BlockMap, MappedRange
from provisioner.usb.raw_packed import Readable, packing, unpacked
from provisioner.usb.spans import MIB, SECTOR
from provisioner.usb.stream import Block, Place

Progress = Callable[[str, int, int | None], None]


_VOLUME = 16 * 2048
"""Where the first volume descriptor of a disc lies (ECMA-119 6.2.1)."""


@frozen
class _Run:
    """Bytes on the image that something has a name for."""

    offset: int
    end: int
    partition: str
    file: str | None


@frozen
class RawImage:
    """A Stream of an image file. `length` is what it unpacks to; a last sector that it does not
    fill is filled with zeros. `disc`: it is one for a drive, without a partition table."""

    path: Path
    length: int
    bmap: BlockMap | None
    runs: tuple[_Run, ...]
    disc: bool = False

    @property
    def size(self) -> int:
        """Whole sectors."""
        return _sectors(self.length)

    @property
    def used(self) -> int:
        """What is written."""
        return sum(_sectors(one.length) for one in self._ranges())

    @property
    def partitions(self) -> tuple[str, ...]:
        """`partition 1 (EFI)`, as far as the image has a table that is at hand."""
        return tuple(dict.fromkeys(run.partition for run in self.runs))

    def blocks(self) -> Iterator[tuple[int, bytes | memoryview]]:
        """FailedError where the image is damaged, shorter than before, or not what its map says."""
        with unpacked(self.path) as file:
            reader = _Reader(file, self.path, plain=packing(self.path) is None)
            for mapped in self._ranges():
                reader.skip_to(mapped.offset)
                digest = hashlib.new(
                    self.bmap.algorithm if self.bmap else "sha256", usedforsecurity=False
                )
                left = mapped.length
                while left:
                    data = reader.take(min(BLOCK, left))
                    if mapped.digest:
                        digest.update(data)
                    left -= len(data)
                    start = reader.offset - len(data)
                    yield start, data if len(data) % SECTOR == 0 else _whole_sectors(data)
                if mapped.digest and digest.hexdigest() != mapped.digest:
                    raise FailedError(
                        f"{self.path} is not the image of its block map: bytes {mapped.offset} to "
                        f"{mapped.offset + mapped.length - 1} differ",
                        hint="fetch both again",
                    )

    def place(self, offset: int) -> Place:
        """By the image's own partition table and FAT volume, where it has them."""
        inside = [run for run in self.runs if run.offset <= offset < run.end]
        if not inside:
            return Place(partition="outside of all partitions" if self.runs else "image", file=None)
        best = max(inside, key=lambda run: (run.file is not None, -run.end + run.offset))
        return Place(partition=best.partition, file=best.file)

    def ends(self, size: int) -> tuple[Block, ...]:
        """None: an image stands as it is on every stick."""
        return ()

    def _ranges(self) -> tuple[MappedRange, ...]:
        if self.bmap is not None:
            return self.bmap.ranges
        return (MappedRange(offset=0, length=self.length, digest=""),)


def open_raw(
    path: Path,
    bmap: BlockMap | None,
    *,
    limit: int | None,
    progress: Progress = lambda label, done, total: None,
) -> RawImage:
    """Looks at an image, once from end to end where it is compressed or has a map: damage is found
    before a stick is erased. `limit`: where unpacking may stop, because nothing takes more."""
    kind = packing(path)
    if kind is None:
        with opened(path) as window:
            length, head = window.size, window.read_up_to(0, MIB)
            runs = tuple(_runs(window))
            table = read_partitions(window)
            listed = table is not None and bool(table.partitions)
    else:
        length, head = _measured(path, limit, progress)
        runs = tuple(_runs_of_head(path, head, length))
        listed = bool(runs)
    if not length:
        raise MediaError(f"{path} is empty", hint="the download did not work; fetch it again")
    if bmap is not None and bmap.size != length:
        raise MediaError(
            f"{path} has {length} bytes, and its block map is for one of {bmap.size}",
            hint="fetch both again, or leave the map out with --no-bmap",
        )
    disc = head[_VOLUME + 1 : _VOLUME + 6] == b"CD001" and not listed
    image = RawImage(path=path, length=length, bmap=bmap, runs=runs, disc=disc)
    if bmap is not None:
        done = 0
        for _, data in image.blocks():
            done += len(data)
            progress("checking the image", done, image.used)
    return image


class _Reader:
    """Reads on from where it is; counts."""

    def __init__(self, file: Readable, path: Path, *, plain: bool) -> None:
        self._file = file
        self._path = path
        self._plain = plain
        self._buffer = memoryview(bytearray(BLOCK))
        self.offset = 0

    def skip_to(self, offset: int) -> None:
        """Forward only. A plain file is sought in, what is unpacked is read over."""
        if self._plain:
            cast(FileIO, self._file).seek(offset)
            self.offset = offset
        while self.offset < offset:
            self.take(min(BLOCK, offset - self.offset))

    def take(self, length: int) -> memoryview:
        """Exactly so much, valid until the next call: one buffer serves for all."""
        done = 0
        while done < length:
            if self._plain:
                count = cast(FileIO, self._file).readinto(self._buffer[done:length])
            else:
                part = self._file.read(length - done)
                count = len(part)
                self._buffer[done : done + count] = part
            if not count:
                raise FailedError(
                    f"{self._path} became shorter while it was read: it ends at byte {self.offset}"
                )
            done += count
            self.offset += count
        return self._buffer[:length]


def _whole_sectors(data: memoryview) -> bytes:
    return bytes(data).ljust(_sectors(len(data)), b"\0")


def _sectors(length: int) -> int:
    return -(-length // SECTOR) * SECTOR


def _measured(path: Path, limit: int | None, progress: Progress) -> tuple[int, bytes]:
    """The unpacked length, and the first MiB."""
    head = bytearray()
    length = 0
    with unpacked(path) as file:
        while data := file.read(BLOCK):
            head += data[: max(0, MIB - len(head))]
            length += len(data)
            progress("unpacking the image once", length, None)
            if limit is not None and length > limit:
                raise MediaError(
                    f"{path} unpacks to more than {limit} bytes, which is all that the stick has",
                    hint="take a larger stick",
                )
    progress("unpacking the image once", length, length)
    return length, bytes(head)


def _runs(window: Window) -> Iterator[_Run]:
    """Partitions, and files of the FAT volume; for messages, so damage is nobody's concern."""
    try:
        found = read_disk_image(window)
    except ProvisionerError:
        return
    if found is None:
        return
    for part in found.partitions:
        yield _Run(
            offset=part.offset,
            end=part.offset + part.length,
            partition=_words(part.number, part.name or part.label),
            file=None,
        )
    for file, extents in found.files.items():
        for extent in extents:
            holder = next(
                (p for p in found.partitions if p.offset <= extent.offset < p.offset + p.length),
                None,
            )
            yield _Run(
                offset=extent.offset,
                end=extent.offset + extent.length,
                partition=_words(holder.number, holder.name or holder.label) if holder else "image",
                file=file,
            )


def _runs_of_head(path: Path, head: bytes, length: int) -> Iterator[_Run]:
    """Of a compressed image only the table is at hand, in a sparse file in memory."""
    descriptor = os.memfd_create("head")
    try:
        os.write(descriptor, head)
        os.ftruncate(descriptor, max(length, len(head)))
        table = read_partitions(Window(path=path, descriptor=descriptor, size=length))
    finally:
        os.close(descriptor)
    for part in table.partitions if table else ():
        yield _Run(
            offset=part.offset,
            end=part.offset + part.length,
            partition=_words(part.number, part.name),
            file=None,
        )


def _words(number: int, name: str) -> str:
    if not number:
        return f"volume {name}".rstrip()
    return f"partition {number}" + (f" ({name})" if name else "")
