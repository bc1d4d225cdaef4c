"""Partition tables of a stick: GPT (UEFI 2.10 §5.3) and MBR, as bytes.

Pure: sizes and ids come in, sectors come out. Sectors have 512 bytes.
"""

from __future__ import annotations

import struct
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

from provisioner.frozen import frozen
from provisioner.usb.stream import Block

SECTOR = 512
ALIGNMENT = 1 << 20
"""Where partition 1 begins, and what its end is rounded to (facts iso-usb §1.2)."""
TAIL = 1 << 20
"""The end of a stick is written as well, so that no old backup table or RAID mark stays."""
BASIC_DATA = uuid.UUID("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7")
"""Never an EFI system partition: Setup fails at "Copying files" when it sees a second one
(facts iso-usb §1.2)."""
NO_LETTER = 1 << 63
"""GPT attribute of a basic data partition that Windows shall give no drive letter."""
MBR_FAT32, MBR_NTFS = 0x0C, 0x07
MBR_EFI = 0xEF
"""For what only firmware needs; Windows shows no such partition of an MBR."""
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
class Partition:
    """One row of the table: `id` and `attributes` are a GPT's, `kind` is an MBR's type."""

    span: Span
    name: str
    id: uuid.UUID
    kind: int = MBR_FAT32
    attributes: int = 0


@frozen
class Layout:
    """The table of a stick of `size` bytes; the first partition of an MBR is the active one.

    `id` and the 32-bit `signature` are what would otherwise be random.
    """

    table: Table
    size: int
    id: uuid.UUID
    signature: int
    partitions: tuple[Partition, ...]


def partition_span(size: int) -> Span:
    """The one partition of a stick of `size` bytes; its length may come out as zero or less."""
    return Span(offset=ALIGNMENT, length=(size - TAIL - ALIGNMENT) // ALIGNMENT * ALIGNMENT)


def stick_size(partition: int) -> int:
    """The smallest stick with a partition of so many bytes."""
    return ALIGNMENT + -(-partition // ALIGNMENT) * ALIGNMENT + TAIL


def head(layout: Layout) -> bytes:
    """Everything in front of the first partition, 1 MiB."""
    sectors = _mbr(layout)
    if layout.table is Table.GPT:
        array = _array(layout.partitions)
        sectors += _gpt_header(layout, array, backup=False) + array
    return sectors.ljust(ALIGNMENT, b"\0")


def tail(layout: Layout) -> bytes:
    """The last MiB, with the backup of a GPT."""
    if layout.table is Table.MBR:
        return bytes(TAIL)
    array = _array(layout.partitions)
    return (array + _gpt_header(layout, array, backup=True)).rjust(TAIL, b"\0")


def ends(layout: Layout, size: int) -> tuple[Block, ...]:
    """Both for the same partitions on a stick of `size` bytes."""
    other = replace(layout, size=size // SECTOR * SECTOR)
    return (0, head(other)), (other.size - TAIL, tail(other))


def _mbr(layout: Layout) -> bytes:
    if layout.table is Table.GPT:
        # The protective entry covers the whole disk, or as much of it as 32 bits can say.
        count = min(layout.size // SECTOR - 1, 0xFFFFFFFF)
        entries = struct.pack("<B3sB3sII", 0, b"\0\2\0", MBR_PROTECTIVE, _BEYOND, 1, count)
        signature = 0
    else:
        entries = b"".join(
            struct.pack(
                "<B3sB3sII",
                0 if number else 0x80,
                _BEYOND,
                partition.kind,
                _BEYOND,
                partition.span.offset // SECTOR,
                partition.span.length // SECTOR,
            )
            for number, partition in enumerate(layout.partitions)
        )
        signature = layout.signature
    # The code only hands on to the next boot device (INT 18h): firmware without UEFI is told
    # nothing by us, and does not hang either.
    code = b"\xcd\x18\xf4\xeb\xfd"
    return (
        code.ljust(440, b"\0")
        + struct.pack("<IH", signature, 0)
        + entries.ljust(64, b"\0")
        + b"\x55\xaa"
    )


def _array(partitions: Sequence[Partition]) -> bytes:
    rows = [
        struct.pack(
            "<16s16sQQQ72s",
            BASIC_DATA.bytes_le,
            partition.id.bytes_le,
            partition.span.offset // SECTOR,
            (partition.span.offset + partition.span.length) // SECTOR - 1,
            partition.attributes,
            partition.name[:36].encode("utf-16-le"),
        )
        for partition in partitions
    ]
    return b"".join(rows).ljust(_ENTRIES * _ENTRY_BYTES, b"\0")


def _gpt_header(layout: Layout, array: bytes, *, backup: bool) -> bytes:
    end = layout.size // SECTOR - 1
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
        layout.id.bytes_le,
        table,
        _ENTRIES,
        _ENTRY_BYTES,
        zlib.crc32(array),
    )
    header = fields[:16] + struct.pack("<I", zlib.crc32(fields)) + fields[20:]
    return header.ljust(SECTOR, b"\0")
