"""Which file system a partition holds, and its label: recognised, not read, except FAT.

Signatures and label fields after each format's documentation: NTFS ($Volume, record 3 of the
master file table), exFAT (volume label entry), ext, XFS, Btrfs, LUKS, swap, ISO 9660.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from provisioner.frozen import frozen
from provisioner.media.fat import is_fat, read_fat
from provisioner.media.window import Damaged, Window

_NAME_ATTRIBUTE = 0x60
_MAX_RECORD = 64 << 10


@frozen
class Volume:
    """A file system by name, as `NTFS`, with its label where it has one."""

    filesystem: str
    label: str


def recognise(window: Window, start: int) -> Volume | None:
    """The file system at a byte of the image, None for one that is not known."""
    for look in _LOOKS:
        found = look(window, start)
        if found is not None:
            return found
    return None


def _fat(window: Window, start: int) -> Volume | None:
    if not is_fat(window.read_up_to(start, 512)):
        return None
    try:
        fat = read_fat(window, start)
    except Damaged:
        return None
    try:
        label = fat.label
    except Damaged:
        label = fat.boot_label
    return Volume(filesystem=fat.name, label=label)


def _ntfs(window: Window, start: int) -> Volume | None:
    sector = window.read_up_to(start, 512)
    if len(sector) < 512 or sector[3:11] != b"NTFS    ":
        return None
    return Volume(filesystem="NTFS", label=_ntfs_label(window, start, sector))


def _ntfs_label(window: Window, start: int, sector: bytes) -> str:
    """The name in $Volume; empty where it cannot be found."""
    (size,) = struct.unpack_from("<H", sector, 11)
    (table,) = struct.unpack_from("<Q", sector, 48)
    (record_clusters,) = struct.unpack_from("<b", sector, 64)
    # Above 128 the byte is a negative power of two: very large clusters.
    per = sector[13] if sector[13] <= 128 else 1 << min(256 - sector[13], 12)
    cluster = size * per
    record_bytes = (
        record_clusters * cluster if record_clusters > 0 else 1 << min(-record_clusters, 16)
    )
    if size < 256 or not 256 <= record_bytes <= _MAX_RECORD or table > 1 << 50:
        return ""
    place = start + table * cluster + 3 * record_bytes
    record = bytearray(window.read_up_to(place, record_bytes))
    if len(record) < record_bytes or record[:4] != b"FILE":
        return ""
    fixups, count = struct.unpack_from("<HH", record, 4)
    for number in range(1, min(count, record_bytes // 512 + 1)):
        if fixups + number * 2 + 2 <= record_bytes and number * 512 <= record_bytes:
            record[number * 512 - 2 : number * 512] = record[
                fixups + number * 2 : fixups + number * 2 + 2
            ]
    (at,) = struct.unpack_from("<H", record, 20)
    for _ in range(64):
        if at + 24 > record_bytes:
            return ""
        kind, length = struct.unpack_from("<II", record, at)
        if kind == _NAME_ATTRIBUTE and not record[at + 8]:
            count, offset = struct.unpack_from("<IH", record, at + 16)
            name = bytes(record[at + offset : at + offset + min(count, 256)])
            return name.decode("utf-16-le", "replace").rstrip("\0")
        if kind == 0xFFFFFFFF or length < 24:
            return ""
        at += length
    return ""


def _exfat(window: Window, start: int) -> Volume | None:
    sector = window.read_up_to(start, 512)
    if len(sector) < 512 or sector[3:11] != b"EXFAT   ":
        return None
    heap, _, root = struct.unpack_from("<III", sector, 88)
    size, per = sector[108], sector[109]
    label = ""
    if 9 <= size <= 12 and per <= 25 - size and root >= 2:
        at = start + (heap << size) + (root - 2 << size + per)
        for entry in _entries(window.read_up_to(at, 4096)):
            if entry[0] == 0x83:
                label = entry[2 : 2 + 2 * min(entry[1], 11)].decode("utf-16-le", "replace")
    return Volume(filesystem="exFAT", label=label)


def _entries(data: bytes) -> list[bytes]:
    return [data[at : at + 32] for at in range(0, len(data) - 31, 32)]


def _ext(window: Window, start: int) -> Volume | None:
    block = window.read_up_to(start + 1024, 264)
    if len(block) < 264 or block[56:58] != b"\x53\xef":
        return None
    compatible, incompatible = struct.unpack_from("<II", block, 92)
    name = "ext4" if incompatible & 0x2C0 else "ext3" if compatible & 0x4 else "ext2"
    return Volume(filesystem=name, label=_text(block[120:136]))


def _others(window: Window, start: int) -> Volume | None:
    for at, magic, name, label, length in (
        (3, b"-FVE-FS-", "BitLocker", 0, 0),
        (0, b"XFSB", "XFS", 108, 12),
        (0, b"LUKS\xba\xbe", "LUKS", 0, 0),
        (4086, b"SWAPSPACE2", "Linux swap", 0, 0),
        (0x10040, b"_BHRfS_M", "Btrfs", 0x1012B, 256),
        (32769, b"CD001", "ISO 9660", 32808, 32),
        (32769, b"BEA01", "UDF", 0, 0),
    ):
        if window.read_up_to(start + at, len(magic)) == magic:
            text = _text(window.read_up_to(start + label, length)) if length else ""
            return Volume(filesystem=name, label=text)
    return None


def _text(data: bytes) -> str:
    return data.partition(b"\0")[0].decode("utf-8", "replace").strip()


_LOOKS: tuple[Callable[[Window, int], Volume | None], ...] = (_ntfs, _exfat, _fat, _ext, _others)
