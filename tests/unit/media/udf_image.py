"""Writes small pure UDF images by hand, for forms that no tool on Linux writes.

From ECMA-167 and OSTA UDF 1.02/2.01 alone: it shares nothing with the reader
under test, and 7z reads its images as well.
"""

from __future__ import annotations

import binascii
import struct
from dataclasses import dataclass, field
from pathlib import Path

GIB_EXTENT = (1 << 30) - 2048  # the most one allocation descriptor of 2048-byte blocks can say


def tag(identifier: int, location: int, body: bytes) -> bytes:
    """A descriptor: 16 bytes of tag with checksum and CRC, then `body`."""
    head = struct.pack(
        "<HHBBHHHI", identifier, 2, 0, 0, 1, binascii.crc_hqx(body, 0), len(body), location
    )
    return head[:4] + bytes([sum(head) & 0xFF]) + head[5:] + body


def regid(name: bytes, suffix: bytes = b"") -> bytes:
    return bytes([0]) + name.ljust(23, b"\0") + suffix.ljust(8, b"\0")


def dstring(text: str, size: int) -> bytes:
    data = b"\x08" + text.encode("latin-1") if text else b""
    return data.ljust(size - 1, b"\0") + bytes([len(data)])


def cs0(text: str) -> bytes:
    try:
        return b"\x08" + text.encode("latin-1")
    except UnicodeEncodeError:
        return b"\x10" + text.encode("utf-16-be")


@dataclass
class UdfImage:
    """An image in the making. Blocks given as numbers count from the start of the partition."""

    block: int = 2048
    revision: int = 0x0102
    extended: bool = False
    """Extended file entries instead of file entries."""
    form: str = "short"
    """How files are allocated: short, long or embedded."""
    extent: int = GIB_EXTENT
    """Longest extent of a file, in bytes; a multiple of the block."""
    gap: int = 0
    """Unused blocks between two extents of one file."""
    label: str = "BY_HAND"
    parts: dict[int, bytes] = field(default_factory=dict)
    """Bytes to write by their offset in the image."""
    used: int = 0
    start: int = 260

    def take(self, blocks: int) -> int:
        self.used += blocks
        return self.used - blocks

    def put(self, number: int, data: bytes) -> None:
        self.parts[(self.start + number) * self.block] = data

    def descriptors(self, data: bytes, size: int) -> tuple[int, bytes]:
        """Places `size` bytes (the first of which are `data`): form code and the descriptors."""
        if self.form == "embedded":
            return 3, data
        found = b""
        for at in range(0, size, self.extent):
            length = min(self.extent, size - at)
            number = self.take(-(-length // self.block) + self.gap)
            if piece := data[at : at + length]:
                self.put(number, piece)
            found += struct.pack("<II", length, number)
            if self.form == "long":
                found += bytes(8)
        width = 8 if self.form == "short" else 16
        room = self.block - (216 if self.extended else 176)
        if len(found) <= room:
            return int(self.form == "long"), found
        return int(self.form == "long"), self.continued(found, room // width * width, width)

    def continued(self, found: bytes, room: int, width: int) -> bytes:
        """As many descriptors as fit, the last of which leads to an allocation extent."""
        head, rest = found[: room - width], found[room - width :]
        number = self.take(1)
        space = (self.block - 24) // width * width
        if len(rest) > space:
            rest = self.continued(rest, space, width)
        self.put(number, tag(258, number, struct.pack("<II", 0, len(rest))) + rest)
        return head + struct.pack("<II", 3 << 30 | self.block, number).ljust(width, b"\0")

    def entry(self, number: int, kind: int, size: int, form: int, body: bytes) -> None:
        """A file entry at a block; `body` holds allocation descriptors or the file itself."""
        icb = struct.pack("<IHHHBBIHH", 0, 4, 0, 1, 0, kind, 0, 0, form)
        stamp = bytes.fromhex("0010e8070101000000000000")
        data = icb + struct.pack("<IIIHBBIQ", 0, 0, 0x14A5, 1, 0, 0, 0, size)
        if self.extended:
            data += struct.pack("<QQ", size, 0) + stamp * 4 + struct.pack("<II", 1, 0)
            data += bytes(16) + bytes(16) + regid(b"*tests") + struct.pack("<QII", 16, 0, len(body))
        else:
            data += struct.pack("<Q", 0) + stamp * 3 + struct.pack("<I", 1)
            data += bytes(16) + regid(b"*tests") + struct.pack("<QII", 16, 0, len(body))
        self.put(number, tag(266 if self.extended else 261, number, data + body))

    def file(self, data: bytes, size: int | None = None) -> int:
        """A file of `size` bytes that begins with `data`; returns the block of its entry."""
        number = self.take(1)
        size = len(data) if size is None else size
        self.entry(number, 5, size, *self.descriptors(data, size))
        return number

    def identifier(self, name: str, number: int, flags: int, location: int) -> bytes:
        text = cs0(name) if name else b""
        body = struct.pack("<HBB", 1, flags, len(text))
        body += struct.pack("<IIH6x", self.block, number, 0) + struct.pack("<H", 0) + text
        return tag(257, location, body.ljust(-(-(16 + len(body)) // 4) * 4 - 16, b"\0"))

    def directory(self, children: dict[str, tuple[int, bool]], number: int | None = None) -> int:
        """A directory of (block of the entry, is a directory) by name."""
        number = self.take(1) if number is None else number
        data = self.identifier("", number, 0x0A, number)
        for name, (child, is_directory) in children.items():
            data += self.identifier(name, child, 2 if is_directory else 0, number)
        if self.form == "embedded":
            self.entry(number, 4, len(data), 3, data)
        else:
            place = self.take(-(-len(data) // self.block))
            self.put(place, data)
            ads = struct.pack("<II", len(data), place)
            self.entry(
                number,
                4,
                len(data),
                int(self.form == "long"),
                ads + bytes(8) * (self.form == "long"),
            )
        return number

    def volume(self, root: int, file_set: int) -> list[bytes]:
        """The five descriptors of a volume descriptor sequence, without their locations."""
        charset = b"\0" + b"OSTA Compressed Unicode".ljust(63, b"\0")
        stamp = bytes.fromhex("0010e8070101000000000000")
        suffix = struct.pack("<HB", self.revision, 0)
        primary = (
            struct.pack("<II", 1, 0)
            + dstring(self.label, 32)
            + struct.pack("<HHHHII", 1, 1, 2, 2, 1, 1)
        )
        primary += dstring("0123456789abcdef", 128) + charset * 2 + bytes(16) + bytes(32)
        primary += stamp + regid(b"*tests") + bytes(64 + 4 + 2 + 22)
        partition = struct.pack("<IHH", 2, 1, 0) + regid(b"+NSR02") + bytes(128)
        partition += (
            struct.pack("<III", 1, self.start, self.used) + regid(b"*tests") + bytes(128 + 156)
        )
        logical = (
            struct.pack("<I", 3)
            + charset
            + dstring(self.label, 128)
            + struct.pack("<I", self.block)
        )
        logical += regid(b"*OSTA UDF Compliant", suffix)
        logical += struct.pack("<IIH6x", self.block, file_set, 0)
        logical += struct.pack("<II", 6, 1) + regid(b"*tests") + bytes(128)
        logical += struct.pack("<II", self.block, 40) + b"\x01\x06\x01\0\0\0"
        unallocated = struct.pack("<II", 4, 0)
        self.put(
            file_set,
            tag(
                256,
                file_set,
                stamp
                + struct.pack("<HHIIII", 3, 3, 1, 1, 0, 0)
                + charset
                + dstring(self.label, 128)
                + charset
                + dstring("", 32) * 3
                + struct.pack("<IIH6x", self.block, root, 0)
                + regid(b"*OSTA UDF Compliant", suffix)
                + bytes(16 + 48),
            ),
        )
        return [primary, logical, partition, unallocated]

    def write(self, path: Path, root: int) -> None:
        """The image: recognition sequence, both descriptor sequences, three anchors, partition."""
        file_set = self.take(1)
        descriptors = self.volume(root, file_set)
        last = self.start + self.used + 300
        size = self.block
        for number, name in enumerate((b"BEA01", b"NSR02", b"TEA01")):
            self.parts[32768 + 2048 * number] = b"\0" + name + b"\1"
        main, reserve = (96, 128) if self.block == 512 else (32, 64)
        for base in (main, reserve):
            for at, (identifier, body) in enumerate(zip((1, 6, 5, 7), descriptors, strict=True)):
                self.parts[(base + at) * size] = tag(identifier, base + at, body)
            self.parts[(base + 4) * size] = tag(8, base + 4, bytes(496))
        anchor = struct.pack("<IIII", 16 * size, main, 16 * size, reserve) + bytes(480)
        for number in (256, last - 256, last):
            self.parts[number * size] = tag(2, number, anchor)
        integrity = (
            bytes.fromhex("0010e8070101000000000000") + struct.pack("<III", 1, 0, 0) + bytes(32)
        )
        integrity += struct.pack("<II", 1, 46) + struct.pack("<II", 0, self.used) + regid(b"*tests")
        integrity += struct.pack("<IIHHH", 1, 1, self.revision, self.revision, self.revision)
        self.parts[40 * size] = tag(9, 40, integrity)
        with path.open("wb") as file:
            for offset, data in sorted(self.parts.items()):
                file.seek(offset)
                file.write(data)
            file.truncate((last + 1) * size)
