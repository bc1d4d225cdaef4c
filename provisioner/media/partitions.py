"""Partition tables of raw disk images: GPT (UEFI 2.10 §5.3), and MBR with its logical drives."""

from __future__ import annotations

import binascii
import struct
import uuid

from provisioner.frozen import frozen
from provisioner.media.facts import Partition
from provisioner.media.window import Window

_SECTOR = 512
_MAX_ENTRIES = 1024
_MAX_LOGICAL = 64
_EXTENDED = {0x05, 0x0F, 0x85}
_PROTECTIVE = 0xEE
_MBR_KINDS = {
    0x01: "FAT12",
    0x04: "FAT16",
    0x06: "FAT16",
    0x07: "NTFS or exFAT",
    0x0B: "FAT32",
    0x0C: "FAT32",
    0x0E: "FAT16",
    0x17: "hidden ISO 9660",
    0x27: "Windows recovery",
    0x82: "Linux swap",
    0x83: "Linux",
    0x8E: "Linux LVM",
    0xCD: "ISO 9660",
    0xEF: "EFI system",
}
_GPT_KINDS = {
    "c12a7328-f81f-11d2-ba4b-00a0c93ec93b": "EFI system",
    "e3c9e316-0b5c-4db8-817d-f92df00215ae": "Microsoft reserved",
    "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7": "Basic data",
    "de94bba4-06d1-4d40-a16a-bfd50179d6ac": "Windows recovery",
    "21686148-6449-6e6f-744e-656564454649": "BIOS boot",
    "0fc63daf-8483-4772-8e79-3d69d8477de4": "Linux",
    "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f": "Linux swap",
    "e6d6d379-f507-44c2-a23c-238f2a3df928": "Linux LVM",
}


@frozen
class PartitionTable:
    """What was found at the start of an image. `scheme` is `GPT` or `MBR`."""

    scheme: str
    sector: int
    partitions: tuple[Partition, ...]
    remarks: tuple[str, ...] = ()


def read_partitions(window: Window) -> PartitionTable | None:
    """The partition table of an image, None where there is none. Never raises for damage."""
    start = window.read_up_to(0, _SECTOR)
    if len(start) < _SECTOR or start[510:512] != b"\x55\xaa":
        return None
    entries = [start[at : at + 16] for at in range(446, 510, 16)]
    if any(entry[0] & 0x7F for entry in entries):
        return None  # code, not a table: the boot flag is 0x00 or 0x80
    if any(entry[4] == _PROTECTIVE for entry in entries) and (gpt := _read_gpt(window)):
        return gpt
    found: list[Partition] = []
    for number, entry in enumerate(entries, 1):
        kind, first, count = entry[4], *struct.unpack_from("<II", entry, 8)
        if kind in _EXTENDED:
            found += _logical(window, first)
        elif kind and count:
            found.append(_mbr(number, entry, first))
    if not found:
        return None
    damaged = any(entry[4] == _PROTECTIVE for entry in entries)
    remarks = ("the disk says it has a GPT, but no whole one was found",) if damaged else ()
    return PartitionTable(scheme="MBR", sector=_SECTOR, partitions=tuple(found), remarks=remarks)


def _mbr(number: int, entry: bytes, first: int) -> Partition:
    count = int.from_bytes(entry[12:16], "little")
    return Partition(
        number=number,
        kind=_MBR_KINDS.get(entry[4], f"type 0x{entry[4]:02x}"),
        name="",
        offset=first * _SECTOR,
        length=count * _SECTOR,
        active=entry[0] == 0x80,
    )


def _logical(window: Window, extended: int) -> list[Partition]:
    """Logical drives: a chain of tables, each with one drive and the way to the next."""
    found: list[Partition] = []
    visited: set[int] = set()
    at = extended
    while at not in visited and len(found) < _MAX_LOGICAL:
        visited.add(at)
        data = window.read_up_to(at * _SECTOR, _SECTOR)
        if len(data) < _SECTOR or data[510:512] != b"\x55\xaa":
            break
        drive, following = data[446:462], data[462:478]
        first = int.from_bytes(drive[8:12], "little")
        if drive[4]:
            found.append(_mbr(5 + len(found), drive, at + first))
        if following[4] not in _EXTENDED:
            break
        at = extended + int.from_bytes(following[8:12], "little")
    return found


def _read_gpt(window: Window) -> PartitionTable | None:
    """The primary GPT, else the backup at the end of the image."""
    for sector in (512, 4096):
        last = window.size // sector - 1
        for number, remark in ((1, ""), (last, "the first GPT is damaged; its copy was read")):
            partitions = _gpt_at(window, number, sector)
            if partitions is not None:
                return PartitionTable(
                    scheme="GPT",
                    sector=sector,
                    partitions=partitions,
                    remarks=(remark,) if remark else (),
                )
    return None


def _gpt_at(window: Window, number: int, sector: int) -> tuple[Partition, ...] | None:
    if number < 1:
        return None
    header = window.read_up_to(number * sector, sector)
    if len(header) < 92 or header[:8] != b"EFI PART":
        return None
    length, crc = struct.unpack_from("<II", header, 12)
    if not 92 <= length <= len(header):
        return None
    if binascii.crc32(header[:16] + bytes(4) + header[20:length]) != crc:
        return None
    first, count, size, entries_crc = struct.unpack_from("<QIII", header, 72)
    if not 128 <= size <= 4096 or count > _MAX_ENTRIES or size % 8:
        return None
    data = window.read_up_to(first * sector, count * size)
    if len(data) < count * size or binascii.crc32(data) != entries_crc:
        return None
    found: list[Partition] = []
    for index in range(count):
        entry = data[index * size : (index + 1) * size]
        kind = str(uuid.UUID(bytes_le=entry[:16]))
        begin, end = struct.unpack_from("<QQ", entry, 32)
        if entry[:16] == bytes(16) or end < begin:
            continue
        found.append(
            Partition(
                number=index + 1,
                kind=_GPT_KINDS.get(kind, f"type {kind}"),
                name=entry[56:128].decode("utf-16-le", "replace").partition("\0")[0],
                offset=begin * sector,
                length=(end - begin + 1) * sector,
                active=False,
            )
        )
    return tuple(found)
