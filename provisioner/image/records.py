"""The directory records of a finished ISO 9660 disc, both views, as offsets into its bytes.

A second, small opinion on what pycdlib wrote: used to pin dates and to verify. It reads discs
of ours, bounded all the same; foreign discs are read by `media.iso`. Layouts: ECMA-119 (4th
edition) 8.4, 8.5 and 9.1, for Joliet the Joliet specification of 1995.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from provisioner.errors import FailedError

SECTOR = 2048
"""Bytes of a logical sector, and of a logical block on every disc we write."""

_MOST_DESCRIPTORS = 16
_MOST_DIRECTORIES = 0x10000
_LARGEST_DIRECTORY = 64 * 1024 * 1024

ReadAt = Callable[[int, int], bytes]
"""`(offset, length)` to that many bytes of the image, fewer only beyond its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A volume descriptor. `offset` is its own place in bytes, `blocks` the volume's size."""

    offset: int
    joliet: bool
    label: str
    blocks: int
    root_block: int
    root_length: int


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
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


def _listing(read: ReadAt, volume: Volume, path: str, block: int, length: int) -> Listing:
    if not 0 < length <= _LARGEST_DIRECTORY or length % SECTOR:
        raise FailedError(f"the folder {path!r} has an impossible length of {length} bytes")
    data = read(block * SECTOR, length)
    if len(data) != length:
        raise FailedError(f"the folder {path!r} lies beyond the end of the disc")
    prefix = f"{path}/" if path else ""
    encoding = "utf-16-be" if volume.joliet else "ascii"
    records: list[Record] = []
    position = 0
    while position < length:
        size = data[position]
        if size == 0:  # records do not cross sectors; zeros fill the rest (ECMA-119 6.8.1.1)
            position = (position // SECTOR + 1) * SECTOR
            continue
        name_size = data[position + 32] if size > 33 and position % SECTOR + size <= SECTOR else 0
        if not 0 < name_size <= size - 33:
            raise FailedError(f"the folder {path!r} has a damaged record at byte {position}")
        identifier = data[position + 33 : position + 33 + name_size]
        special = identifier in (b"\x00", b"\x01")
        try:
            name = "" if special else identifier.decode(encoding)
        except UnicodeDecodeError as err:
            raise FailedError(f"the folder {path!r} has a name that is not {encoding}") from err
        records.append(
            Record(
                position=position,
                path=path if special else prefix + name,
                special=special,
                directory=bool(data[position + 25] & 2),
                block=_number(data, position + 2),
                length=_number(data, position + 10),
            )
        )
        position += size
    return Listing(offset=block * SECTOR, data=data, records=tuple(records))


def _number(data: bytes, offset: int) -> int:
    """A 32-bit number, of which the little-endian copy comes first (ECMA-119 7.3.3)."""
    return int.from_bytes(data[offset : offset + 4], "little")
