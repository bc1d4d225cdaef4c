"""Which bytes of a medium hold what: the regions that `inspect --map` draws."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import replace
from enum import StrEnum

from provisioner.frozen import frozen
from provisioner.media.boot import read_catalog
from provisioner.media.disk_image import read_disk_image
from provisioner.media.facts import Extent, Partition
from provisioner.media.fat import Fat, read_fat
from provisioner.media.iso import Disc, read_disc
from provisioner.media.iso9660 import SECTOR, read_descriptors
from provisioner.media.partitions import read_partitions
from provisioner.media.walk import collect
from provisioner.media.wim import HEADER_BYTES, Resource, is_wim, read_header
from provisioner.media.wim_tree import blobs
from provisioner.media.window import Damaged, Window

_ANCHOR = 2
_RECORD = 17 * SECTOR
_MOST_REGIONS = 1_000_000
_WIM_SUFFIXES = (".wim", ".esd", ".swm")


class RegionKind(StrEnum):
    """What a run of bytes is for."""

    SYSTEM = "system area"
    TABLE = "partition table"
    DESCRIPTORS = "descriptors"
    CATALOG = "boot catalog"
    DIRECTORIES = "directories"
    ALLOCATION = "allocation table"
    BOOT = "boot images"
    IMAGES = "Windows images"
    FILES = "other files"
    VOLUME = "other volumes"
    FREE = "nothing"


@frozen
class Region:
    """A run of bytes. `name` is a path, or what the bytes are."""

    offset: int
    length: int
    kind: RegionKind
    name: str

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.offset + self.length


@frozen
class Layout:
    """Regions in order, without overlap and without holes: they add up to `size`."""

    size: int
    regions: tuple[Region, ...]
    largest: tuple[Region, ...]
    """The largest files, each as one region that begins where the file does."""

    @property
    def totals(self) -> dict[RegionKind, int]:
        """Bytes by kind, in the order of `RegionKind`."""
        found = dict.fromkeys(RegionKind, 0)
        for region in self.regions:
            found[region.kind] += region.length
        return {kind: total for kind, total in found.items() if total}


def read_layout(window: Window, *, largest: int = 10) -> Layout:
    """The layout of a medium that `inspect_window` accepts; raises what that raises."""
    files: list[tuple[str, tuple[Extent, ...]]] = []
    if is_wim(window.read_up_to(0, 8)):
        found = list(_wim(window))
    elif (disc := read_disc(window)) is not None:
        files = list(disc.files.items())
        found = [*_disc(window, disc)]
    else:
        image = read_disk_image(window)
        files = list(image.files.items()) if image else []
        found = [*_disk(window, image.partitions if image else ())]
    kinds = {region.name: region.kind for region in found if region.kind is RegionKind.BOOT}
    if not files:
        biggest = [r for r in found if r.kind in {RegionKind.FILES, RegionKind.IMAGES}]
    else:
        biggest = [
            Region(
                offset=extents[0].offset,
                length=sum(e.length for e in extents),
                kind=kinds.get(path, _kind_of_file(path)),
                name=path,
            )
            for path, extents in files
            if extents
        ]
    biggest.sort(key=lambda region: (-region.length, region.offset))
    return Layout(
        size=window.size,
        regions=tuple(_filled(found, window.size)),
        largest=tuple(biggest[:largest]),
    )


def _filled(found: Iterable[Region], size: int) -> Iterator[Region]:
    """In order, overlaps cut, holes filled; what comes first keeps the bytes that two claim."""
    at = 0
    for region in sorted(found, key=lambda r: (r.offset, -r.length)):
        end = min(region.end, size)
        if end <= at or not region.length:
            continue
        if region.offset > at:
            yield Region(offset=at, length=region.offset - at, kind=RegionKind.FREE, name="nothing")
            at = region.offset
        yield replace(region, offset=at, length=end - at)
        at = end
    if at < size:
        yield Region(offset=at, length=size - at, kind=RegionKind.FREE, name="nothing")


def _kind_of_file(path: str) -> RegionKind:
    return RegionKind.IMAGES if path.casefold().endswith(_WIM_SUFFIXES) else RegionKind.FILES


def _regions(extents: Iterable[Extent], kind: RegionKind, name: str) -> Iterator[Region]:
    for extent in extents:
        yield Region(offset=extent.offset, length=extent.length, kind=kind, name=name)


def _disc(window: Window, disc: Disc) -> Iterator[Region]:
    table = read_partitions(window)
    head = 512 if table else 0
    if table is not None:
        yield Region(offset=0, length=head, kind=RegionKind.TABLE, name=table.scheme)
    yield Region(offset=head, length=16 * SECTOR - head, kind=RegionKind.SYSTEM, name="system area")
    descriptors = read_descriptors(window)
    end = (16 + len(descriptors)) * SECTOR
    while window.read_up_to(end + 1, 5) in {b"BEA01", b"NSR02", b"NSR03", b"TEA01", b"BOOT2"}:
        end += SECTOR
    yield Region(
        offset=16 * SECTOR,
        length=end - 16 * SECTOR,
        kind=RegionKind.DESCRIPTORS,
        name="volume descriptors",
    )
    yield from _path_tables(descriptors)
    yield from _udf_descriptors(window)
    catalog = read_catalog(window, disc.boot_files)
    if catalog.raw[SECTOR:]:
        start = int.from_bytes(catalog.raw[71:75], "little") * SECTOR
        yield Region(offset=start, length=SECTOR, kind=RegionKind.CATALOG, name="boot catalog")
    boots = {entry.path for entry in catalog.entries if entry.path}
    for entry in catalog.entries:
        if entry.path is None and entry.load_sectors > 1:
            yield Region(
                offset=entry.lba * SECTOR,
                length=entry.load_sectors * 512,
                kind=RegionKind.BOOT,
                name=f"{entry.platform.value.upper()} boot image (no file)",
            )
    yield from _regions(disc.directories, RegionKind.DIRECTORIES, "directories")
    for path, extents in disc.files.items():
        yield from _regions(
            extents, RegionKind.BOOT if path in boots else _kind_of_file(path), path
        )


def _path_tables(descriptors: Iterable[bytes]) -> Iterator[Region]:
    for data in descriptors:
        if data[0] not in {1, 2}:
            continue
        (size,) = struct.unpack_from("<I", data, 132)
        for form, place in (("<I", 140), ("<I", 144), (">I", 148), (">I", 152)):
            (block,) = struct.unpack_from(form, data, place)
            if block:
                yield Region(
                    offset=block * SECTOR,
                    length=size,
                    kind=RegionKind.DIRECTORIES,
                    name="path table",
                )


def _udf_descriptors(window: Window) -> Iterator[Region]:
    last = window.size // SECTOR - 1
    for number in (256, last - 256, last):
        data = window.read_up_to(number * SECTOR, SECTOR) if number > 0 else b""
        (identifier, location) = struct.unpack_from("<H10xI", data) if len(data) >= 32 else (0, 0)
        if identifier != _ANCHOR or location != number:
            continue
        kind = RegionKind.DESCRIPTORS
        yield Region(offset=number * SECTOR, length=SECTOR, kind=kind, name="UDF anchor")
        for length, start in struct.iter_unpack("<II", data[16:32]):
            yield Region(
                offset=start * SECTOR, length=length, kind=kind, name="UDF volume descriptors"
            )


def _disk(window: Window, partitions: Iterable[Partition]) -> Iterator[Region]:
    table = read_partitions(window)
    if table is not None:
        head = (2 + 32 * 512 // table.sector) * table.sector if table.scheme == "GPT" else 512
        yield Region(offset=0, length=head, kind=RegionKind.TABLE, name=table.scheme)
        if table.scheme == "GPT":
            tail = (1 + 32 * 512 // table.sector) * table.sector
            yield Region(
                offset=max(window.size - tail, 0),
                length=tail,
                kind=RegionKind.TABLE,
                name="GPT, the copy",
            )
    for partition in partitions:
        name = f"{partition.filesystem or partition.kind} {partition.label}".strip()
        try:
            if not partition.filesystem.startswith("FAT"):
                raise Damaged("another file system")
            yield from list(_fat(window, read_fat(window, partition.offset), name))
        except Damaged:
            yield Region(
                offset=partition.offset,
                length=partition.length,
                kind=RegionKind.VOLUME,
                name=name,
            )


def _fat(window: Window, fat: Fat, name: str) -> Iterator[Region]:
    listing = collect(fat, window)
    yield Region(
        offset=fat.start,
        length=fat.table - fat.start,
        kind=RegionKind.DESCRIPTORS,
        name=f"boot sectors of {name}",
    )
    tables_end = fat.root_extent.offset if fat.root_extent else fat.data
    yield Region(
        offset=fat.table,
        length=tables_end - fat.table,
        kind=RegionKind.ALLOCATION,
        name=f"tables of {name}",
    )
    yield from _regions(listing.directories, RegionKind.DIRECTORIES, "directories")
    for path, extents in listing.files.items():
        yield from _regions(extents, _kind_of_file(path), path)


def _wim(window: Window) -> Iterator[Region]:
    header = read_header(window)

    def region(place: Resource, kind: RegionKind, name: str) -> Region:
        return Region(offset=place.offset, length=place.size, kind=kind, name=name)

    yield Region(offset=0, length=HEADER_BYTES, kind=RegionKind.DESCRIPTORS, name="header")
    yield region(header.table, RegionKind.DESCRIPTORS, "table of contents")
    yield region(header.xml, RegionKind.DESCRIPTORS, "XML")
    yield region(header.integrity, RegionKind.DESCRIPTORS, "integrity table")
    image = 0
    for number, blob in enumerate(blobs(window, header)):
        if number > _MOST_REGIONS:
            raise Damaged("a WIM holds more files than any real one")
        if blob.part != header.part:
            continue
        if blob.resource.flags & 0x02:
            image += 1
            yield region(blob.resource, RegionKind.DIRECTORIES, f"directories of image {image}")
        else:
            yield region(blob.resource, RegionKind.FILES, f"content {blob.sha1.hex()[:12]}")
