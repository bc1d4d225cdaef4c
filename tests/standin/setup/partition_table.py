"""Reads back what is really on a disk: GPT or MBR, file systems and labels, from their bytes.

The report says what was made, not what was meant, so this shares nothing with `partitioning`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

SECTOR = 512
GPT_NAMES = {
    "C12A7328-F81F-11D2-BA4B-00A0C93EC93B": "EFI",
    "E3C9E316-0B5C-4DB8-817D-F92DF00215AE": "MSR",
    "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7": "Primary",
    "DE94BBA4-06D1-4D40-A16A-BFD50179D6AC": "Recovery",
}
MBR_NAMES = {0x07: "Primary", 0x0C: "Primary", 0x27: "Recovery", 0xEE: "Protective"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionFound:
    """One partition; `kind` in the answer file's words where it has one."""

    number: int
    kind: str
    type_id: str
    start_mib: int
    size_mib: int
    active: bool
    file_system: str | None
    label: str | None


def read_table(disk: BinaryIO) -> tuple[str, tuple[PartitionFound, ...]]:
    """The kind of table (`gpt`, `mbr` or `none`) and its partitions by number."""
    disk.seek(0)
    first = disk.read(2 * SECTOR)
    if first[SECTOR : SECTOR + 8] == b"EFI PART":
        return "gpt", tuple(_gpt(disk, first[SECTOR:]))
    if first[510:512] == b"\x55\xaa":
        return "mbr", tuple(_mbr(disk, first))
    return "none", ()


def _gpt(disk: BinaryIO, header: bytes) -> list[PartitionFound]:
    (entries_at,) = struct.unpack_from("<Q", header, 72)
    count, size = struct.unpack_from("<II", header, 80)
    disk.seek(entries_at * SECTOR)
    table = disk.read(count * size)
    found = []
    for number in range(1, count + 1):
        entry = table[(number - 1) * size : number * size]
        if entry[:16] == bytes(16):
            continue
        type_id = _guid(entry[:16])
        start, end = struct.unpack_from("<QQ", entry, 32)
        kind = GPT_NAMES.get(type_id, "Other")
        found.append(
            _partition(
                disk, number, kind=kind, type_id=type_id, start=start, sectors=end + 1 - start
            )
        )
    return found


def _guid(data: bytes) -> str:
    """A GUID as GPT stores it: the first three groups little-endian."""
    first, second, third = struct.unpack("<IHH", data[:8])
    return f"{first:08X}-{second:04X}-{third:04X}-{data[8:10].hex()}-{data[10:].hex()}".upper()


def _mbr(disk: BinaryIO, sector: bytes) -> list[PartitionFound]:
    found = []
    for number in range(1, 5):
        status, _, kind, _, start, sectors = struct.unpack_from(
            "<B3sB3sII", sector, 446 + 16 * (number - 1)
        )
        if kind != 0:
            found.append(
                _partition(
                    disk,
                    number,
                    kind=MBR_NAMES.get(kind, "Other"),
                    type_id=f"0x{kind:02X}",
                    start=start,
                    sectors=sectors,
                    active=status == 0x80,
                )
            )
    return found


def _partition(
    disk: BinaryIO,
    number: int,
    *,
    kind: str,
    type_id: str,
    start: int,
    sectors: int,
    active: bool = False,
) -> PartitionFound:
    file_system, label = _file_system(disk, start * SECTOR)
    return PartitionFound(
        number=number,
        kind=kind,
        type_id=type_id,
        start_mib=start // 2048,
        size_mib=sectors // 2048,
        active=active,
        file_system=file_system,
        label=label,
    )


def _file_system(disk: BinaryIO, offset: int) -> tuple[str | None, str | None]:
    disk.seek(offset)
    boot = disk.read(SECTOR)
    if boot[3:11] == b"NTFS    ":
        return "NTFS", _ntfs_label(disk, offset, boot)
    if boot[82:90] == b"FAT32   ":
        label = boot[71:82].decode("ascii", "replace").rstrip()
        return "FAT32", None if label in {"", "NO NAME"} else label
    return None, None


def _ntfs_label(disk: BinaryIO, offset: int, boot: bytes) -> str | None:
    """Attribute $VOLUME_NAME (0x60) of MFT record 3, $Volume."""
    bytes_per_sector, sectors_per_cluster = struct.unpack_from("<HB", boot, 11)
    (mft_cluster,) = struct.unpack_from("<Q", boot, 48)
    (record_clusters,) = struct.unpack_from("<b", boot, 64)
    cluster = bytes_per_sector * sectors_per_cluster
    record_size = 2**-record_clusters if record_clusters < 0 else record_clusters * cluster
    disk.seek(offset + mft_cluster * cluster + 3 * record_size)
    record = disk.read(record_size)
    (place,) = struct.unpack_from("<H", record, 20)
    while place + 24 <= len(record):
        kind, length = struct.unpack_from("<II", record, place)
        if kind == 0xFFFFFFFF or length == 0:
            break
        if kind == 0x60:
            value_length, value_at = struct.unpack_from("<IH", record, place + 16)
            start = place + value_at
            return record[start : start + value_length].decode("utf-16-le") or None
        place += length
    return None
