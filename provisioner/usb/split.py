"""Splits a WIM into `.swm` parts without a copy: new headers and tables around slices of the old.

A split set is a re-grouping of resources that stay compressed as they are (facts iso-usb §0.3).
What headers and tables of the parts say is what wimlib-imagex 1.13 writes: the metadata of all
images in part 1, a blob table of its own and the whole XML in every part, no integrity table.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence

from provisioner.errors import MediaError
from provisioner.frozen import frozen
from provisioner.media.wim import HEADER_BYTES, Readable, WimHeader, read_header
from provisioner.media.wim_resource import ResourceReader
from provisioner.media.wim_tree import BLOB_BYTES, MAX_TABLE
from provisioner.media.window import Damaged
from provisioner.tree import Bytes, Content, File, Slice

PART_BYTES = 3800 << 20
"""Microsoft's own recommendation for `dism /Split-Image` onto FAT32 (facts iso-usb §1.1)."""
_METADATA, _FREE, _SOLID = 0x02, 0x01, 0x10
_SPANNED = 0x08
_MOST_PARTS = 0xFFFF


@frozen
class Part:
    """One `.swm` file, and what `plan` tells of it. `resources` counts rows of its blob table."""

    file: File
    size: int
    resources: int


def part_name(path: str, number: int) -> str:
    """`sources/install.wim` -> `sources/install.swm`, `sources/install2.swm` ... from 1 on."""
    stem = path.rpartition(".")[0]
    return f"{stem}{number if number > 1 else ''}.swm"


def split(
    file: Readable, content: Sequence[Slice], *, name: str, limit: int = PART_BYTES
) -> tuple[Part, ...]:
    """The parts of the WIM that `content` holds, each of at most `limit` bytes.

    `file` reads the same bytes; only header, blob table and XML are read. The same WIM gives the
    same parts. Raises MediaError for a WIM that cannot be split, with the reason.
    """
    header = read_header(file)
    _require_splittable(header, name)
    reader = ResourceReader(file, header, header.table)
    if reader.size > MAX_TABLE:
        raise Damaged(f"the blob table of {name} has {reader.size} bytes")
    table = reader.read(0, reader.size // BLOB_BYTES * BLOB_BYTES)
    xml = file.read(header.xml.offset, header.xml.size)
    groups = _groups(table, file.size, limit=limit - HEADER_BYTES - len(xml), name=name)
    guid = hashlib.sha256(header.guid + table).digest()[:16]
    raw = file.read(0, HEADER_BYTES)
    return tuple(
        _part(
            content,
            rows,
            xml=xml,
            header=_Header(raw=raw, flags=header.flags, guid=guid, part=number, parts=len(groups)),
        )
        for number, rows in enumerate(groups, start=1)
    )


@frozen
class _Header:
    """What a part's header takes from the old one, and where the part stands."""

    raw: bytes
    flags: int
    guid: bytes
    part: int
    parts: int

    def packed(self, *, table: tuple[int, int], xml: tuple[int, int]) -> bytes:
        """The 208 bytes; places are (offset, size). No part boots, none has an integrity table."""
        head = bytearray(HEADER_BYTES)
        head[:16] = self.raw[:16]  # magic, size, version
        struct.pack_into("<I", head, 16, self.flags | _SPANNED)
        head[20:24] = self.raw[20:24]  # chunk size
        head[24:40] = self.guid
        struct.pack_into("<HH", head, 40, self.part, self.parts)
        head[44:48] = self.raw[44:48]  # image count
        for at, (offset, size) in ((48, table), (72, xml)):
            struct.pack_into("<QQQ", head, at, size | _METADATA << 56, offset, size)
        return bytes(head)


def _require_splittable(header: WimHeader, name: str) -> None:
    if header.parts != 1:
        raise MediaError(f"{name} is part {header.part} of {header.parts} of a split set already")
    if header.solid:
        raise MediaError(
            f"{name} is solid: its files are compressed together, so it cannot be split",
            hint="--export-edition N makes a WIM of one edition that can",
        )
    if header.pipable:
        raise MediaError(
            f"{name} is a pipable WIM, which Windows does not read",
            hint="--export-edition N makes an ordinary one",
        )


Rows = list[tuple[int, int, bytes]]
"""(offset, size, row of the blob table) of every resource of a part, in the order of the part."""


def _groups(table: bytes, size: int, *, limit: int, name: str) -> list[Rows]:
    """The resources by part: metadata first, the rest in the order in which they lie."""
    metadata: Rows = []
    others: Rows = []
    for at in range(0, len(table), BLOB_BYTES):
        row = table[at : at + BLOB_BYTES]
        packed, offset = struct.unpack_from("<QQ", row)
        flags, length = packed >> 56, packed & ((1 << 56) - 1)
        if flags & _FREE:
            continue
        if flags & _SOLID:
            raise MediaError(
                f"{name} has solid resources, so it cannot be split",
                hint="--export-edition N makes a WIM of one edition that can",
            )
        if offset + length > size:
            raise Damaged(f"a resource of {name} goes past its end")
        (metadata if flags & _METADATA else others).append((offset, length, row))
    others.sort()
    groups: list[Rows] = [[]]
    filled = 0
    for entry in (*metadata, *others):
        cost = entry[1] + BLOB_BYTES
        if cost > limit:
            raise MediaError(
                f"{name} holds a file of {entry[1]:,} bytes compressed, more than a part of a "
                f"split WIM may have ({limit:,})",
                hint="such a WIM does not fit a FAT32 stick",
            )
        if filled + cost > limit:
            if not groups[0] or (len(groups) == 1 and len(groups[0]) < len(metadata)):
                raise MediaError(f"the metadata of {name} alone is more than one part may have")
            groups.append([])
            filled = 0
        groups[-1].append(entry)
        filled += cost
    if len(groups) > _MOST_PARTS:
        raise MediaError(f"{name} would become {len(groups)} parts; {_MOST_PARTS} can be counted")
    return groups


def _part(content: Sequence[Slice], rows: Rows, *, xml: bytes, header: _Header) -> Part:
    at = HEADER_BYTES
    table = bytearray()
    runs: list[list[int]] = []
    for offset, length, row in rows:
        new = bytearray(row)
        struct.pack_into("<Q", new, 8, at)
        struct.pack_into("<H", new, 24, header.part)
        table += new
        if runs and runs[-1][1] == offset:
            runs[-1][1] += length
        else:
            runs.append([offset, offset + length])
        at += length
    end = at + len(table)
    packed = header.packed(table=(at, len(table)), xml=(end, len(xml)))
    pieces: list[Content] = [Bytes(data=packed)]
    for start, stop in runs:
        pieces += _cut(content, start, stop)
    pieces.append(Bytes(data=bytes(table) + xml))
    return Part(file=File(content=tuple(pieces)), size=end + len(xml), resources=len(rows))


def _cut(content: Sequence[Slice], start: int, stop: int) -> Iterator[Slice]:
    """Bytes `start` to `stop` of a file that is a sequence of slices."""
    at = 0
    for piece in content:
        first, last = max(start, at), min(stop, at + piece.length)
        if first < last:
            yield Slice(image=piece.image, offset=piece.offset + first - at, length=last - first)
        at += piece.length
