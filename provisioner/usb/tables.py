"""Partition tables of a stick with one partition: GPT (UEFI 2.10 §5.3) and MBR, as bytes.

Pure: sizes and ids come in, sectors come out. Sectors have 512 bytes.
"""

from __future__ import annotations

import struct
import uuid
import zlib
from enum import StrEnum

from provisioner.frozen import frozen

SECTOR = 512
ALIGNMENT = 1 << 20
"""Where partition 1 begins, and what its end is rounded to (facts iso-usb §1.2)."""
TAIL = 1 << 20
"""The end of a stick is written as well, so that no old backup table or RAID mark stays."""
BASIC_DATA = uuid.UUID("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7")
"""Never an EFI system partition: Setup fails at "Copying files" when it sees a second one
(facts iso-usb §1.2)."""
MBR_FAT32 = 0x0C
MBR_PROTECTIVE = 0xEE
MBR_LIMIT = (1 << 32) * SECTOR
_ENTRIES, _ENTRY_BYTES = 128, 128
_ARRAY_SECTORS = _ENTRIES * _ENTRY_BYTES // SECTOR
_FIRST_USABLE = 2 + _ARRAY_SECTORS
_BEYOND = b"\xfe\xff\xff"
"""A cylinder, head and sector that say: count in blocks."""


class Table(StrEnum):
    """Which partition table a stick gets."""

    GPT = "gpt"
    MBR = "mbr"


@frozen
class Span:
    """Where the partition lies, in bytes from the start of the stick."""

    offset: int
    length: int


@frozen
class Ids:
    """What would otherwise be random."""

    disk: uuid.UUID
    partition: uuid.UUID
    signature: int
    """The 32-bit disk signature of an MBR."""


def partition_span(size: int) -> Span:
    """The one partition of a stick of `size` bytes; its length may come out as zero or less."""
    return Span(offset=ALIGNMENT, length=(size - TAIL - ALIGNMENT) // ALIGNMENT * ALIGNMENT)


def stick_size(partition: int) -> int:
    """The smallest stick with a partition of so many bytes."""
    return ALIGNMENT + -(-partition // ALIGNMENT) * ALIGNMENT + TAIL


def head(table: Table, size: int, ids: Ids, *, name: str, span: Span | None = None) -> bytes:
    """Everything in front of the partition, 1 MiB. `name` is the partition's, in GPT; `span` where
    it lies if it is smaller than it could be."""
    span = span or partition_span(size)
    sectors = _mbr(table, size, span, ids)
    if table is Table.GPT:
        array = _array(span, ids, name)
        sectors += _gpt_header(size, array, ids, backup=False) + array
    return sectors.ljust(ALIGNMENT, b"\0")


def tail(table: Table, size: int, ids: Ids, *, name: str, span: Span | None = None) -> bytes:
    """The last MiB, with the backup of a GPT; the rest as for `head`."""
    if table is Table.MBR:
        return bytes(TAIL)
    array = _array(span or partition_span(size), ids, name)
    return (array + _gpt_header(size, array, ids, backup=True)).rjust(TAIL, b"\0")


def _mbr(table: Table, size: int, span: Span, ids: Ids) -> bytes:
    if table is Table.GPT:
        # The protective entry covers the whole disk, or as much of it as 32 bits can say.
        count = min(size // SECTOR - 1, 0xFFFFFFFF)
        entry = struct.pack("<B3sB3sII", 0, b"\0\2\0", MBR_PROTECTIVE, _BEYOND, 1, count)
        signature = 0
    else:
        first, count = span.offset // SECTOR, span.length // SECTOR
        entry = struct.pack("<B3sB3sII", 0x80, _BEYOND, MBR_FAT32, _BEYOND, first, count)
        signature = ids.signature
    # The code only hands on to the next boot device (INT 18h): firmware without UEFI is told
    # nothing by us, and does not hang either.
    code = b"\xcd\x18\xf4\xeb\xfd"
    return (
        code.ljust(440, b"\0")
        + struct.pack("<IH", signature, 0)
        + entry.ljust(64, b"\0")
        + b"\x55\xaa"
    )


def _array(span: Span, ids: Ids, name: str) -> bytes:
    first = span.offset // SECTOR
    last = (span.offset + span.length) // SECTOR - 1
    entry = struct.pack(
        "<16s16sQQQ72s",
        BASIC_DATA.bytes_le,
        ids.partition.bytes_le,
        first,
        last,
        0,
        name[:36].encode("utf-16-le"),
    )
    return entry.ljust(_ENTRIES * _ENTRY_BYTES, b"\0")


def _gpt_header(size: int, array: bytes, ids: Ids, *, backup: bool) -> bytes:
    end = size // SECTOR - 1
    here, other = (end, 1) if backup else (1, end)
    table = end - _ARRAY_SECTORS if backup else 2
    fields = struct.pack(
        "<8sIIIIQQQQ16sQIII",
        b"EFI PART",
        0x00010000,
        92,
        0,
        0,
        here,
        other,
        _FIRST_USABLE,
        end - _ARRAY_SECTORS - 1,
        ids.disk.bytes_le,
        table,
        _ENTRIES,
        _ENTRY_BYTES,
        zlib.crc32(array),
    )
    header = fields[:16] + struct.pack("<I", zlib.crc32(fields)) + fields[20:]
    return header.ljust(SECTOR, b"\0")
