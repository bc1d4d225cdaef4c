"""The directory records of a finished ISO 9660 disc, both views, as offsets into its bytes.

A second, small opinion on what `iso` wrote, used to verify. It reads discs
of ours, bounded all the same; foreign discs are read by `media.iso`. Layouts: ECMA-119 (4th
edition) 8.4, 8.5 and 9.1, for Joliet the Joliet specification of 1995.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from provisioner.errors import FailedError
from provisioner.frozen import frozen

SECTOR = 2048
"""Bytes of a logical sector, and of a logical block on every disc we write."""

_MOST_DESCRIPTORS = 16
_MOST_DIRECTORIES = 0x10000
_LARGEST_DIRECTORY = 64 * 1024 * 1024

ReadAt = Callable[[int, int], bytes]
"""`(offset, length)` to that many bytes of the image, fewer only beyond its end."""


@frozen
class Volume:
    """A volume descriptor. `offset` is its own place in bytes, `blocks` the volume's size."""

    offset: int
    joliet: bool
    label: str
    blocks: int
    root_block: int
    root_length: int
    path_table_length: int
    little_path_table: int
    big_path_table: int
    """Blocks where the path tables of either byte order start. Windows' driver uses them."""

    @property
    def encoding(self) -> str:
        """Of names and labels; the ISO 9660 side of our discs is ASCII."""
        return "utf-16-be" if self.joliet else "ascii"


@frozen
class Record:
    """One directory record. `position` counts from the start of its directory, in bytes.

    `path` has no leading slash; `.` and `..` have their own directory's path and `special` set.
    """

    position: int
    path: str
    special: bool
    directory: bool
    block: int
    length: int


@frozen
class Listing:
    """One directory: its place in the image in bytes, its bytes, and what they say."""

    offset: int
    data: bytes
    records: tuple[Record, ...]


def read_volumes(read: ReadAt) -> tuple[Volume, ...]:
    """The volume descriptors in order of the disc: the primary one, then supplementary ones."""
    volumes: list[Volume] = []
    for offset in range(16 * SECTOR, (16 + _MOST_DESCRIPTORS) * SECTOR, SECTOR):
        data = read(offset, SECTOR)
        if len(data) != SECTOR or data[1:6] != b"CD001":
            break
        if data[0] == 255:
            return tuple(volumes)
        if data[0] != (2 if volumes else 1):
            raise FailedError(f"there is a volume descriptor of type {data[0]} at byte {offset}")
        if int.from_bytes(data[128:130], "little") != SECTOR:
            raise FailedError("the logical blocks of the disc are not 2048 bytes long")
        joliet = data[88:91] == b"%/E"
        label = data[40:72].decode("utf-16-be" if joliet else "ascii", "replace")
        volumes.append(
            Volume(
                offset=offset,
                joliet=joliet,
                label=label.rstrip(" \x00"),
                blocks=_number(data, 80),
                root_block=_number(data, 156 + 2),
                root_length=_number(data, 156 + 10),
                path_table_length=_number(data, 132),
                little_path_table=int.from_bytes(data[140:144], "little"),
                big_path_table=int.from_bytes(data[148:152], "big"),
            )
        )
    raise FailedError("the volume descriptors end without a terminator")


def read_directories(read: ReadAt, volume: Volume) -> Iterator[Listing]:
    """Every directory of a volume, the root first. Raises FailedError on impossible records."""
    waiting = [("", volume.root_block, volume.root_length)]
    seen = {volume.root_block}
    for path, block, length in waiting:
        listing = _listing(read, volume, path, block, length)
        yield listing
        for record in listing.records:
            if record.directory and not record.special:
                if record.block in seen or len(seen) >= _MOST_DIRECTORIES:
                    raise FailedError(f"the folder {record.path!r} is its own ancestor or twin")
                seen.add(record.block)
                waiting.append((record.path, record.block, record.length))


def read_path_table(read: ReadAt, volume: Volume, *, big: bool) -> dict[str, int]:
    """Path of every directory to its block, by one path table; the root is "" (ECMA-119 9.4)."""
    length = volume.path_table_length
    if length > _LARGEST_DIRECTORY:
        raise FailedError(f"the path table has an impossible length of {length} bytes")
    data = read((volume.big_path_table if big else volume.little_path_table) * SECTOR, length)
    if len(data) != length:
        raise FailedError("the path table lies beyond the end of the disc")
    order: Literal["big", "little"] = "big" if big else "little"
    paths: list[str] = []
    blocks: dict[str, int] = {}
    position = 0
    while position + 8 < length:
        size = data[position]
        name = data[position + 8 : position + 8 + size].decode(volume.encoding, "replace")
        parent = int.from_bytes(data[position + 6 : position + 8], order) - 1
        if paths and not 0 <= parent < len(paths):
            raise FailedError(f"the path table has {name!r} before its parent")
        path = (f"{paths[parent]}/{name}" if paths[parent] else name) if paths else ""
        paths.append(path)
        blocks[path] = int.from_bytes(data[position + 2 : position + 6], order)
        position += 8 + size + size % 2
    return blocks


def _listing(read: ReadAt, volume: Volume, path: str, block: int, length: int) -> Listing:
    if not 0 < length <= _LARGEST_DIRECTORY or length % SECTOR:
        raise FailedError(f"the folder {path!r} has an impossible length of {length} bytes")
    data = read(block * SECTOR, length)
    if len(data) != length:
        raise FailedError(f"the folder {path!r} lies beyond the end of the disc")
    prefix = f"{path}/" if path else ""
    records: list[Record] = []
    position = 0
    while position < length:
        size = data[position]
        if size == 0:  # records do not cross sectors; zeros fill the rest (ECMA-119 6.8.1.1)
            position = (position // SECTOR + 1) * SECTOR
            continue
        record = data[position : position + size]
        # No extended attributes, no interleaving, one extent: nothing that moves the data.
        if (
            size < 34
            or position % SECTOR + size > SECTOR
            or not 0 < record[32] <= size - 33
            or record[1]
            or record[25] & ~2
            or record[26]
            or record[27]
        ):
            raise FailedError(f"the folder {path!r} has a damaged record at byte {position}")
        identifier = record[33 : 33 + record[32]]
        special = identifier in (b"\x00", b"\x01")
        try:
            name = "" if special else identifier.decode(volume.encoding)
        except UnicodeDecodeError as err:
            raise FailedError(f"the folder {path!r} has a name that is no text") from err
        records.append(
            Record(
                position=position,
                path=path if special else prefix + name,
                special=special,
                directory=bool(record[25]),
                block=_number(record, 2),
                length=_number(record, 10),
            )
        )
        position += size
    if not records or not records[0].special or records[0].block != block:
        raise FailedError(f"the folder {path!r} does not begin with itself")
    return Listing(offset=block * SECTOR, data=data, records=tuple(records))


def _number(data: bytes, offset: int) -> int:
    """A 32-bit number recorded in both byte orders, little-endian first (ECMA-119 7.3.3)."""
    number = int.from_bytes(data[offset : offset + 4], "little")
    if data[offset + 4 : offset + 8] != number.to_bytes(4, "big"):
        raise FailedError("a number differs between its two byte orders")
    return number
