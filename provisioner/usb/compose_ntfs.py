"""A tree of files becomes a stick with NTFS, and beside it the partition that starts it.

NTFS is not laid out by us: mkntfs and ntfs-3g make the volume in a file of this host, which is
gone by name as soon as it is whole. What of it is in use becomes the stream. Afterwards all dates
are set, so that the same tree gives the same bytes.
"""

from __future__ import annotations

import errno
import os
import tempfile
import weakref
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from provisioner.errors import FailedError, ProfileError, ProvisionerError, RefusedError
from provisioner.host.files import private_folder
from provisioner.host.mount import mounted_at, unmount
from provisioner.host.ntfs_making import filling, make_ntfs
from provisioner.image.content import Reveal, resolve
from provisioner.image.names import Rules, find_problems, folders_of
from provisioner.image.output import failure, require_space
from provisioner.tree import Tree
from provisioner.usb import tables
from provisioner.usb.compose import (
    BLOCK,
    SLACK,
    Form,
    Sources,
    dates_of,
    derived_ids,
    require_reach,
)
from provisioner.usb.ntfs_records import Volume
from provisioner.usb.stream import Block, Place
from provisioner.usb.tables import ALIGNMENT, TAIL, Layout, Partition, Span
from provisioner.usb.uefi_ntfs import UefiNtfs

CLUSTER = 4096
"""What Windows takes for volumes of up to 16 TiB, and what holds them all."""
STICK = Rules(
    medium="stick",
    name_units=255,
    path_units=248,  # a drive letter, a slash and this fit Windows' MAX_PATH of 260
    file_bytes=1 << 44,
    total_bytes=1 << 44,
    directories=1 << 24,
)
LOADER_NAME = "UEFI:NTFS"
_OWN = 72 << 20
"""Most of what NTFS keeps for itself whatever it holds: the journal alone has up to 64 MiB."""
_PER_NAME = 4096
"""Most of what a file or folder costs beside its content: 1 KiB in the table of files, and two
half-filled rows in the index of its folder."""
_RESIDENT = 1024
"""Smaller content lies in the table of files."""

Progress = Callable[[str, int, int], None]


class NtfsStick:
    """The stick before its volume is made: all that can be known then.

    `used` is about how many bytes will be written; nearly as many are needed for the volume on
    this host, until the stick is written.
    """

    cluster = CLUSTER

    def __init__(
        self, tree: Tree, form: Form, loader: UefiNtfs, *, capacity: int | None, reveal: Reveal
    ) -> None:
        """Sizes; `capacity` is that of the stick, None for an image as small as may be.

        Raises ProfileError for names that Windows refuses, RefusedError where the stick is too
        small; both sizes are told.
        """
        problems = tuple(find_problems(tree, STICK))
        if problems:
            raise ProfileError(problems)
        self._tree, self._form, self._loader = tree, form, loader
        self._payloads = [resolve(path, file, reveal) for path, file in tree.files()]
        self._sources = Sources(tree)
        content = sum(-(-payload.length // CLUSTER) * CLUSTER for payload in self._payloads)
        names = len(self._payloads) + len(folders_of(tree))
        # A whole number of sectors: an image of Rufus' is one, byte for byte.
        self._held = -(-len(loader.data) // tables.SECTOR) * tables.SECTOR
        around = ALIGNMENT + self._held + TAIL
        least = content + names * _PER_NAME + _OWN + content // 1000
        smallest = around + -(-least // ALIGNMENT) * ALIGNMENT
        self.size = (
            smallest + SLACK if capacity is None else capacity // tables.SECTOR * tables.SECTOR
        )
        if self.size < smallest:
            raise RefusedError(
                f"the stick has {self.size:,} bytes, and {smallest:,} are needed",
                hint="take a larger stick",
            )
        require_reach(form.table, self.size)
        length = (self.size - around) // ALIGNMENT * ALIGNMENT
        self.scratch = content + min(_OWN, length // 100) + names * 2048
        self.used = self.scratch + around
        self._layout = self._laid_out(length)

    def made(self, folder: Path, *, progress: Progress = lambda *_: None) -> NtfsStream:
        """The stream, for which the volume is made in a private folder below `folder`.

        HostError where mkntfs, ntfs-3g or room for it is missing, FailedError where a source
        cannot be read or has changed.
        """
        private_folder(folder)
        _sweep(folder)
        require_space(folder, self.scratch)
        first = self._layout.partitions[0]
        with tempfile.TemporaryDirectory(prefix=f".volume-{os.getpid()}-", dir=folder) as work:
            image, shown = Path(work, "volume.img"), Path(work, "shown")
            shown.mkdir()
            os.close(os.open(image, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            try:
                os.truncate(image, first.span.length)
                make_ntfs(
                    image,
                    label=self._form.label,
                    serial=self._serial,
                    start=first.span.offset,
                    cluster=CLUSTER,
                )
                with filling(image, shown):
                    self._fill(shown, progress)
                self._sources.require_unchanged()
                descriptor = os.open(image, os.O_RDWR | os.O_CLOEXEC)
            except OSError as err:
                raise failure(err, image) from err
        try:
            volume = Volume(descriptor, first.span.length)
            volume.date(dates_of(self._tree, self._form.epoch))
            self._require_whole(volume)
            return NtfsStream(self._layout, self._loader, volume, descriptor)
        except BaseException:
            os.close(descriptor)
            raise

    def _laid_out(self, length: int) -> Layout:
        form = replace(self._form, identity=f"{self._form.identity}\0{self._loader.digest}")
        ids = derived_ids(self._tree, self._payloads, form, length)
        self._serial = ids.volume
        return Layout(
            table=form.table,
            size=self.size,
            id=ids.disk,
            signature=ids.signature,
            partitions=(
                Partition(
                    span=Span(offset=ALIGNMENT, length=length),
                    name=form.label,
                    id=ids.partition,
                    kind=tables.MBR_NTFS,
                ),
                Partition(
                    span=Span(offset=ALIGNMENT + length, length=self._held),
                    name=LOADER_NAME,
                    id=ids.second,
                    kind=tables.MBR_EFI,
                    attributes=tables.NO_LETTER,
                ),
            ),
        )

    def _fill(self, shown: Path, progress: Progress) -> None:
        for path in folders_of(self._tree):
            (shown / path).mkdir()
        total = sum(payload.length for payload in self._payloads)
        done = 0
        for payload in self._payloads:
            target = _new_file(shown / payload.path)
            try:
                for block in payload.blocks():
                    view = memoryview(block)
                    while view:
                        view = view[os.write(target, view) :]
                    done += len(block)
                    progress("composing", done, total)
            finally:
                os.close(target)

    def _require_whole(self, volume: Volume) -> None:
        """Every file is there, and no part of it is a hole."""
        there = volume.paths()
        for payload in self._payloads:
            places = there.get(str(payload.path))
            held = sum(length for _, length in places or ())
            if places is None or _RESIDENT < payload.length > held:
                raise FailedError(f"ntfs-3g left {payload.path} incomplete")


class NtfsStream:
    """The whole stick. Implements `provisioner.usb.stream.Stream`.

    The volume lies in a file without a name, which is gone when nobody has the stream any more.
    """

    def __init__(self, layout: Layout, loader: UefiNtfs, volume: Volume, descriptor: int) -> None:
        weakref.finalize(self, os.close, descriptor)
        self._descriptor = descriptor
        self._layout, self._loader = layout, loader
        self.size = layout.size
        self._spans = volume.used()
        self._places = volume.places()
        self._offsets = [offset for offset, _, _ in self._places]
        self.used = (
            ALIGNMENT
            + sum(length for _, length in self._spans)
            + layout.partitions[1].span.length
            + TAIL
        )

    def blocks(self) -> Iterator[tuple[int, bytes | memoryview]]:
        """See `Stream.blocks`."""
        first, second = (partition.span for partition in self._layout.partitions)
        yield 0, tables.head(self._layout)
        for offset, length in self._spans:
            for at in range(offset, offset + length, BLOCK):
                count = min(BLOCK, offset + length - at)
                data = os.pread(self._descriptor, count, at)
                if len(data) != count:
                    raise FailedError("the NTFS volume has become shorter while it was written")
                yield first.offset + at, data
        data = self._loader.data.ljust(second.length, b"\0")
        for at in range(0, second.length, BLOCK):
            yield second.offset + at, data[at : at + BLOCK]
        yield self.size - TAIL, tables.tail(self._layout)

    def place(self, offset: int) -> Place:
        """What lies at an offset."""
        first, second = self._layout.partitions
        if _inside(second.span, offset):
            return Place(partition=f"partition 2 ({LOADER_NAME})", file=None)
        if not _inside(first.span, offset):
            return Place(partition=f"no partition ({self._layout.table.upper()} tables)", file=None)
        index = bisect_right(self._offsets, offset - first.span.offset) - 1
        start, length, path = self._places[max(index, 0)]
        within = start <= offset - first.span.offset < start + length
        return Place(partition=f"partition 1 ({first.name}, NTFS)", file=path if within else None)

    def ends(self, size: int) -> tuple[Block, ...]:
        """Partition tables that count a stick of `size` bytes, with the same partitions."""
        return tables.ends(self._layout, size)


def _new_file(path: Path) -> int:
    """Open past the page cache: the kernel hands ntfs-3g 128 KiB at once then, and 4 KiB
    otherwise, which takes eight times as long."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
    try:
        return os.open(path, flags | os.O_DIRECT)
    except OSError as err:
        if err.errno != errno.EINVAL:
            raise
        return os.open(path, flags)


def _inside(span: Span, offset: int) -> bool:
    return span.offset <= offset < span.offset + span.length


def _sweep(folder: Path) -> None:
    """Takes away what a run has left that was killed: a mount, and a file of gigabytes."""
    for left in folder.glob(".volume-*-*"):
        number = left.name.split("-")[1]
        if Path("/proc", number).exists():
            continue
        with suppress(ProvisionerError, OSError):
            if mounted_at(left / "shown") is not None:
                unmount(left / "shown")
            (left / "volume.img").unlink(missing_ok=True)
            (left / "shown").rmdir()
            left.rmdir()
