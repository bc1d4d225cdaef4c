"""The descriptors of a UDF 1.02 volume as bytes. Decides nothing about where they lie.

ECMA-167 3rd edition (part/clause named below) as narrowed by OSTA UDF 1.02, the revision of
Microsoft's own discs. Blocks are 2048 bytes; dates are UTC.
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from provisioner.frozen import frozen

BLOCK = 2048
REVISION = 0x0102
LONGEST_EXTENT = 0x3FFFF800
"""Bytes in one allocation descriptor: 30 bits (4/14.14.1.1), whole blocks; as mkisofs does it."""
_MOST_EXTENTS = (BLOCK - 176) // 8
LARGEST_FILE = _MOST_EXTENTS * LONGEST_EXTENT
"""Bytes of a file whose allocation descriptors fit its file entry: 234 GiB."""

DIRECTORY, BYTES = 4, 5
"""File types of an ICB (4/14.6.6)."""

_CHARACTERS = b"\0OSTA Compressed Unicode".ljust(64, b"\0")  # charspec, 1/7.2.1 and UDF 2.1.2
_IMPLEMENTATION = b"\0*provisioner".ljust(32, b"\0")
_DOMAIN = b"\0*OSTA UDF Compliant".ljust(24, b"\0") + struct.pack("<HB5x", REVISION, 3)
"""Domain identifier (UDF 2.1.5.3); both flags: the disc is write protected."""


def cs0(text: str) -> bytes:
    """OSTA compressed unicode (UDF 2.1.1): 8 bits a character where that is enough."""
    try:
        return b"\x08" + text.encode("latin-1")
    except UnicodeEncodeError:
        # A name with undecodable bytes has its length here; `shapes` refuses or renames it.
        return b"\x10" + text.encode("utf-16-be", "surrogatepass")


def dstring(text: str, size: int) -> bytes:
    """A fixed field that ends in the length used (1/7.2.12); what does not fit is cut off."""
    data = cs0(text)[: size - 1] if text else b""
    if data[:1] == b"\x10" and len(data) % 2 == 0:
        data = data[:-1]
    return data.ljust(size - 1, b"\0") + bytes([len(data)])


def timestamp(seconds: int) -> bytes:
    """Seconds since 1970 as a UTC timestamp (1/7.3)."""
    t = datetime.fromtimestamp(seconds, UTC)
    return struct.pack("<HhBBBBB3x", 0x1000, t.year, t.month, t.day, t.hour, t.minute, t.second)


def tagged(identifier: int, location: int, body: bytes) -> bytes:
    """A descriptor with its tag (3/7.2): CRC over the body, checksum over the tag."""
    crc = binascii.crc_hqx(body, 0)
    tag = bytearray(struct.pack("<HHBBHHHI", identifier, 2, 0, 0, 0, crc, len(body), location))
    tag[4] = sum(tag) & 0xFF
    return bytes(tag) + body


def recognition_sequence() -> bytes:
    """Three blocks that say "UDF here" (2/8.3), after the ISO 9660 volume descriptors."""
    return b"".join(
        (b"\0" + identifier + b"\1").ljust(BLOCK, b"\0")
        for identifier in (b"BEA01", b"NSR02", b"TEA01")
    )


def anchor(location: int, main: int, reserve: int) -> bytes:
    """Points at both volume descriptor sequences of 16 blocks (3/10.2)."""
    extents = struct.pack("<IIII", 16 * BLOCK, main, 16 * BLOCK, reserve)
    return tagged(2, location, extents.ljust(496, b"\0"))


@frozen
class Volume:
    """What the volume descriptors say. Blocks count from the start of the disc, `file_set` from
    that of the partition."""

    label: str
    identifier: str
    """Unique for this volume: 16 hexadecimal digits (UDF 2.2.2.5)."""
    recorded: int
    partition_start: int
    partition_blocks: int
    file_set: int
    integrity: int
    files: int
    directories: int
    next_unique: int


def volume_sequence(volume: Volume, location: int) -> bytes:
    """One volume descriptor sequence (3/8.4.2) of 6 blocks, starting at block `location`."""
    label = dstring(volume.label, 128)
    primary = b"".join(
        (
            struct.pack("<II", 0, 0),
            dstring(volume.label, 32),
            struct.pack("<HHHHII", 1, 1, 2, 2, 1, 1),
            dstring(volume.identifier, 128),
            _CHARACTERS * 2,
            bytes(16 + 32),  # abstract, copyright, application
            timestamp(volume.recorded),
            _IMPLEMENTATION,
        )
    )
    info = b"\0*UDF LV Info".ljust(24, b"\0") + struct.pack("<H6x", REVISION)
    implementation_use = (
        struct.pack("<I", 1) + info + _CHARACTERS + label + bytes(3 * 36) + _IMPLEMENTATION
    )
    partition = (
        struct.pack("<IHH", 2, 1, 0)  # number 0, allocated
        + b"\x02+NSR02".ljust(32, b"\0")
        + bytes(128)
        + struct.pack("<III", 1, volume.partition_start, volume.partition_blocks)  # 1: read only
        + _IMPLEMENTATION
    )
    logical = b"".join(
        (
            struct.pack("<I", 3),
            _CHARACTERS,
            label,
            struct.pack("<I", BLOCK),
            _DOMAIN,
            struct.pack("<IIH6x", 2 * BLOCK, volume.file_set, 0),
            struct.pack("<II", 6, 1),
            _IMPLEMENTATION,
            bytes(128),
            struct.pack("<II", 2 * BLOCK, volume.integrity),
            struct.pack("<BBHH", 1, 6, 1, 0),  # partition map of type 1 (3/10.7.2)
        )
    )
    bodies = (
        (1, primary),
        (4, implementation_use),
        (5, partition),
        (6, logical),
        (7, struct.pack("<II", 4, 0)),
        (8, b""),
    )
    return b"".join(
        tagged(identifier, location + number, body.ljust(496, b"\0")).ljust(BLOCK, b"\0")
        for number, (identifier, body) in enumerate(bodies)
    )


def integrity(volume: Volume, location: int) -> bytes:
    """The logical volume integrity descriptor (3/10.10), closed, and its terminator: 2 blocks."""
    body = b"".join(
        (
            timestamp(volume.recorded),
            struct.pack("<III", 1, 0, 0),
            struct.pack("<Q24x", volume.next_unique),
            struct.pack("<IIII", 1, 46, 0, volume.partition_blocks),
            _IMPLEMENTATION,
            struct.pack("<II", volume.files, volume.directories),
            struct.pack("<HHH", REVISION, REVISION, REVISION),
        )
    )
    return tagged(9, location, body.ljust(496, b"\0")).ljust(BLOCK, b"\0") + terminator(
        location + 1
    )


def terminator(location: int) -> bytes:
    """A terminating descriptor (3/10.9, 4/14.2), one block."""
    return tagged(8, location, bytes(496)).ljust(BLOCK, b"\0")


def file_set(*, label: str, recorded: int, location: int, root: int) -> bytes:
    """The file set descriptor (4/14.1), which names the root's block; one block."""
    body = b"".join(
        (
            timestamp(recorded),
            struct.pack("<HHIIII", 3, 3, 1, 1, 0, 0),
            _CHARACTERS,
            dstring(label, 128),
            _CHARACTERS,
            dstring(label, 32),
            bytes(64),
            _long_descriptor(root, 0),
            _DOMAIN,
        )
    )
    return tagged(256, location, body.ljust(496, b"\0")).ljust(BLOCK, b"\0")


@frozen
class Entry:
    """A file entry. `extents`: (block in the partition, bytes) of the content, in order."""

    kind: int
    extents: Sequence[tuple[int, int]]
    links: int
    unique: int
    modified: int
    mode: int | None = None
    """POSIX permission bits; None is readable by everybody."""


def file_entry(entry: Entry, location: int) -> bytes:
    """A file entry with short allocation descriptors (4/14.9, 4/14.14.1); one block."""
    descriptors = b"".join(
        struct.pack("<II", length, block) for block, length in _cut(entry.extents)
    )
    size = sum(length for _, length in entry.extents)
    date = timestamp(entry.modified)
    mode = entry.mode if entry.mode is not None else 0o555 if entry.kind == DIRECTORY else 0o444
    body = b"".join(
        (
            struct.pack("<IHHHBB6xH", 0, 4, 0, 1, 0, entry.kind, 0x230),  # 4/14.6; as mkisofs
            struct.pack(
                "<IIIHBBI", 0xFFFFFFFF, 0xFFFFFFFF, _permissions(mode), entry.links, 0, 0, 0
            ),
            struct.pack("<QQ", size, sum(-(-length // BLOCK) for _, length in entry.extents)),
            date * 3,
            struct.pack("<I16x", 1),
            _IMPLEMENTATION,
            struct.pack("<QII", entry.unique, 0, len(descriptors)),
            descriptors,
        )
    )
    return tagged(261, location, body).ljust(BLOCK, b"\0")


def file_identifiers(
    entries: Iterable[tuple[str, int, int, bool]], *, parent: tuple[int, int], start: int
) -> bytes:
    """A directory's content (4/14.4): the parent, then `(name, block, unique, is directory)`.

    `parent` is its block and unique id; `start` the block where this content begins.
    """
    parts = [_identifier("", parent[0], parent[1], 0x0A, start)]
    length = len(parts[0])
    for name, block, unique, directory in entries:
        # The tag's location is the block in which the descriptor begins (4/14.4.1).
        parts.append(
            _identifier(name, block, unique, 0x02 if directory else 0, start + length // BLOCK)
        )
        length += len(parts[-1])
    return b"".join(parts)


def identifiers_length(names: Iterable[str]) -> int:
    """Bytes of a directory with these names, its parent entry included."""
    return 40 + sum(_padded(38 + len(cs0(name))) for name in names)


def _identifier(name: str, block: int, unique: int, characteristics: int, location: int) -> bytes:
    encoded = cs0(name) if name else b""
    body = (
        struct.pack("<HBB", 1, characteristics, len(encoded))
        + _long_descriptor(block, unique)
        + struct.pack("<H", 0)
        + encoded
    )
    return tagged(257, location, body.ljust(_padded(16 + len(body)) - 16, b"\0"))


def _long_descriptor(block: int, unique: int) -> bytes:
    """An ICB address (4/14.14.2); the implementation use holds the unique id (UDF 2.3.4.3)."""
    return struct.pack("<IIHHI", BLOCK, block, 0, 0, unique & 0xFFFFFFFF)


def _cut(extents: Iterable[tuple[int, int]]) -> Iterable[tuple[int, int]]:
    for block, length in extents:
        while length > LONGEST_EXTENT:
            yield block, LONGEST_EXTENT
            block += LONGEST_EXTENT // BLOCK
            length -= LONGEST_EXTENT
        if length:
            yield block, length


def _permissions(mode: int) -> int:
    """POSIX bits as 4/14.9.5 has them: other, group, owner at bits 0, 5 and 10; x 1, w 2, r 4."""
    return (mode & 7) | (mode >> 3 & 7) << 5 | (mode >> 6 & 7) << 10


def _padded(length: int) -> int:
    return -(-length // 4) * 4
