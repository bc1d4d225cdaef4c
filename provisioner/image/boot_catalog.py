"""The El Torito boot record and boot catalog as bytes, and the tables inside boot images.

El Torito 1.0 (Phoenix and IBM, 1995); UEFI 2.10 §13.3.2.1 for platform 0xEF.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from provisioner.frozen import frozen
from provisioner.tree import File

BLOCK = 2048
BIOS, UEFI = 0x00, 0xEF
MOST_IMAGES = 31
"""What one block of catalog holds: a validation entry, then two entries for each image."""

_GRUB2_PLACE = 2548


@frozen
class BootImage:
    """One bootable image of a disc.

    `path` names a file of the tree; `hidden` is content that no path leads to; one of them is
    given. `load_sectors` counts 512 bytes. `table`: write a boot info table (genisoimage(8)),
    `grub2`: GRUB's block number at byte 2548 (`--grub2-boot-info` of xorriso).
    """

    platform: int
    load_sectors: int
    path: str | None = None
    hidden: File | None = None
    segment: int = 0
    media_type: int = 0
    bootable: bool = True
    table: bool = False
    grub2: bool = False


def boot_record(catalog: int) -> bytes:
    """The boot record volume descriptor, for block 17; `catalog` is the catalog's block."""
    head = b"\0CD001\1" + b"EL TORITO SPECIFICATION".ljust(32, b"\0") + bytes(32)
    return (head + struct.pack("<I", catalog)).ljust(BLOCK, b"\0")


def catalog(images: Sequence[tuple[BootImage, int]]) -> bytes:
    """The catalog for these images and their blocks: the first is the default entry."""
    first = images[0][0]
    validation = bytearray(struct.pack("<BBH24sH2s", 1, first.platform, 0, b"", 0, b"\x55\xaa"))
    checksum = -sum(struct.unpack("<16H", validation)) & 0xFFFF
    validation[28:30] = checksum.to_bytes(2, "little")
    parts = [bytes(validation), _entry(*images[0])]
    for number, (image, block) in enumerate(images[1:], 2):
        last = number == len(images)
        parts.append(struct.pack("<BBH28s", 0x91 if last else 0x90, image.platform, 1, b""))
        parts.append(_entry(image, block))
    return b"".join(parts).ljust(BLOCK, b"\0")


def info_table(data: bytes, block: int, length: int) -> bytes:
    """The 56 bytes for byte 8 of a boot image: descriptor, place, length, checksum from byte 64."""
    padded = data[64:].ljust(-(-len(data[64:]) // 4) * 4, b"\0")
    checksum = sum(struct.unpack(f"<{len(padded) // 4}I", padded)) & 0xFFFFFFFF
    return struct.pack("<IIII40x", 16, block, length, checksum)


def grub2_place(block: int) -> tuple[int, bytes]:
    """Where GRUB's loader reads its own place, and what: 512-byte sectors, past its first five."""
    return _GRUB2_PLACE, struct.pack("<Q", block * 4 + 5)


def has_info_table(head: bytes, block: int) -> bool:
    """Whether a boot image that lies at `block` carries a boot info table."""
    return len(head) >= 24 and struct.unpack_from("<II", head, 8) == (16, block)


def has_grub2_place(head: bytes, block: int) -> bool:
    """Whether a boot image that lies at `block` carries GRUB's block number."""
    return head[_GRUB2_PLACE : _GRUB2_PLACE + 8] == struct.pack("<Q", block * 4 + 5)


def _entry(image: BootImage, block: int) -> bytes:
    return struct.pack(
        "<BBHBBHI20x",
        0x88 if image.bootable else 0,
        image.media_type,
        image.segment,
        0,
        0,
        image.load_sectors,
        block,
    )
