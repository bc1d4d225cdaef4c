"""The files of a UDF volume: file entries, allocation descriptors, directories; one at a time.

ECMA-167 part 4 (clauses named below) and OSTA UDF 2.3. Deleted entries are passed over; streams,
symbolic links and device files are not files here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from provisioner.frozen import frozen
from provisioner.media.dates import udf_seconds
from provisioner.media.facts import Extent
from provisioner.media.udf_volume import UdfVolume, check_tag, cs0, tagged
from provisioner.media.walk import MAX_DIRECTORY_BYTES, Node
from provisioner.media.window import Damaged, Extents, Window, joined, overlapping

_FILE_SET, _FILE_ENTRY, _EXTENDED_FILE_ENTRY, _INDIRECT, _ALLOCATION = 256, 261, 266, 248, 258
_DIRECTORY = 4
_FILES = frozenset({0, 5, 249})  # unspecified, bytes, real-time file
_RECORDED, _NEXT = 0, 3  # what the two upper bits of an extent's length mean, 4/14.14.1.1
MAX_DESCRIPTORS = 500_000
"""Allocation descriptors of all files together; files can share a chain of them on the disc."""


@frozen
class _Entry:
    """A file entry: its type (4/14.6.6) and its bytes, None when not all of them are recorded."""

    kind: int
    extents: tuple[Extent, ...] | None
    modified: int | None
    mode: int


@dataclass(slots=True, kw_only=True)
class Udf:
    """A volume's tree. Entries that were read are kept: hard links name them again."""

    volume: UdfVolume
    window: Window
    _descriptors: int = 0
    _entries: dict[tuple[int, int], _Entry] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """`UDF 1.02`."""
        return self.volume.name

    @property
    def label(self) -> str:
        """The volume's label."""
        return self.volume.label

    @property
    def declared(self) -> int:
        """The volume's end in bytes, as its descriptors have it."""
        return self.volume.declared

    @property
    def root(self) -> Node:
        """The root directory, which the file set descriptor names (4/14.1)."""
        reference, number = self.volume.file_set
        offset = self.volume.position(reference, number)
        data = tagged(self.window, offset, number=number, identifiers={_FILE_SET})
        number, reference = struct.unpack_from("<IH", data, 400 + 4)
        entry = self._entry((reference, number))
        if entry.kind != _DIRECTORY:
            raise Damaged(f"{self.name}: the root is not a directory")
        return Node(name="", directory=True, extents=entry.extents)

    @property
    def entries(self) -> tuple[Extent, ...]:
        """Where the file entries lie that were read so far, one block each."""
        return tuple(
            Extent(offset=self.volume.position(reference, number), length=self.volume.block)
            for reference, number in self._entries
        )

    def children(self, directory: Node) -> Iterator[Node]:
        """Entries of one directory: its file identifier descriptors (4/14.4), in disc order."""
        if directory.extents is None:
            raise Damaged(f"{self.name}: directory {directory.name!r} has holes")
        if sum(e.length for e in directory.extents) > MAX_DIRECTORY_BYTES:
            raise Damaged(f"{self.name}: directory {directory.name!r} is larger than any real one")
        content = Extents(self.window, directory.extents)
        data = content.read(0, content.size)
        start = directory.extents[0].offset if directory.extents else 0
        at = 0
        while at + 38 <= len(data):
            tag, characteristics, name_length = struct.unpack_from("<H16xBB", data, at)
            (use_length,) = struct.unpack_from("<H", data, at + 36)
            end = at + 38 + use_length + name_length
            following = end + -(end - at) % 4
            if tag != 257 or end > len(data):
                raise Damaged(f"{self.name}: a directory entry is damaged near byte {start + at}")
            check_tag(data[at:following], start + at)
            name = cs0(data[end - name_length : end])
            # Deleted (bit 2) and parent (bit 3) entries lead nowhere that is wanted.
            if not characteristics & 0x0C:
                number, reference = struct.unpack_from("<IH", data, at + 24)
                entry = self._entry((reference, number))
                is_directory = bool(characteristics & 0x02)
                if is_directory != (entry.kind == _DIRECTORY):
                    raise Damaged(f"{self.name}: {name!r} is and is not a directory")
                if is_directory or entry.kind in _FILES:
                    yield Node(
                        name=name,
                        directory=is_directory,
                        extents=entry.extents,
                        modified=entry.modified,
                        mode=entry.mode,
                    )
            at = following

    def _entry(self, icb: tuple[int, int]) -> _Entry:
        known = self._entries.get(icb)
        if known is None:
            known = self._entries[icb] = self._read_entry(icb)
        return known

    def _read_entry(self, icb: tuple[int, int]) -> _Entry:
        """File entry (4/14.9) or extended file entry (4/14.17), through at most 4 indirect ones."""
        offset = 0
        for _ in range(5):
            reference, number = icb
            offset = self.volume.position(reference, number)
            data = tagged(
                self.window,
                offset,
                number=number,
                identifiers={_FILE_ENTRY, _EXTENDED_FILE_ENTRY, _INDIRECT},
                length=max(self.volume.block, 2048),
            )[: self.volume.block]
            kind = int.from_bytes(data[:2], "little")
            if kind != _INDIRECT:
                return self._parse_entry(data, offset, reference, extended=kind != _FILE_ENTRY)
            following, reference = struct.unpack_from("<IH", data, 36 + 4)
            icb = (reference, following)
        raise Damaged(f"{self.name}: indirect entries never end at byte {offset}")

    def _parse_entry(self, data: bytes, offset: int, reference: int, *, extended: bool) -> _Entry:
        kind = data[27]
        flags, size = int.from_bytes(data[34:36], "little"), int.from_bytes(data[56:64], "little")
        head = 216 if extended else 176
        attributes, descriptors = struct.unpack_from("<II", data, head - 8)
        first, last = head + attributes, head + attributes + descriptors
        if last > len(data):
            raise Damaged(f"{self.name}: the file entry at byte {offset} is damaged")
        form = flags & 0x07
        extents: tuple[Extent, ...] | None = None
        modified = udf_seconds(data[92:104] if extended else data[84:96])
        mode = _mode(int.from_bytes(data[44:48], "little"))
        if form == 3:  # the file's bytes stand where its descriptors would
            if size > descriptors:
                raise Damaged(f"{self.name}: the file entry at byte {offset} lacks its content")
            extents = (Extent(offset=offset + first, length=size),) if size else ()
        elif form <= 1:
            extents = self._allocated(data[first:last], size, reference, long=form == 1)
        return _Entry(kind=kind, extents=extents, modified=modified, mode=mode)

    def _allocated(
        self, data: bytes, size: int, reference: int, *, long: bool
    ) -> tuple[Extent, ...] | None:
        """Extents of `size` bytes from short or long descriptors (4/14.14.1, 4/14.14.2)."""
        width = 16 if long else 8
        found: list[Extent] = []
        visited: set[tuple[int, int]] = set()
        at, left = 0, size
        while left and at + width <= len(data):
            word, number = struct.unpack_from("<II", data, at)
            if long:
                (reference,) = struct.unpack_from("<H", data, at + 8)
            at += width
            kind, length = word >> 30, word & 0x3FFFFFFF
            self._descriptors += 1
            if self._descriptors > MAX_DESCRIPTORS:
                raise Damaged(f"{self.name}: more extents than any real disc has")
            if not length:
                break
            if kind == _NEXT:
                if (reference, number) in visited:
                    raise Damaged(f"{self.name}: allocation descriptors run in a circle")
                visited.add((reference, number))
                data, at = self._continuation(reference, number), 0
                continue
            if kind != _RECORDED:
                return None  # a hole reads as zeros, which no extent can say
            length = min(length, left)
            found.append(
                Extent(offset=self.volume.position(reference, number, length), length=length)
            )
            left -= length
        if left:
            raise Damaged(
                f"{self.name}: {left} of {size} bytes of a file have no place on the disc"
            )
        if overlapping(found):
            raise Damaged(f"{self.name}: a file of {size} bytes claims the same blocks twice")
        return joined(found)

    def _continuation(self, reference: int, number: int) -> bytes:
        """Allocation descriptors that did not fit (allocation extent descriptor, 4/14.5)."""
        offset = self.volume.position(reference, number)
        data = tagged(
            self.window,
            offset,
            number=number,
            identifiers={_ALLOCATION},
            length=max(self.volume.block, 2048),
        )
        (length,) = struct.unpack_from("<I", data, 20)
        return data[24 : min(24 + length, self.volume.block)]


def _mode(permissions: int) -> int:
    """POSIX bits of 4/14.9.5: execute, write and read of others, group, owner at bits 0, 5, 10."""
    return (permissions & 7) | (permissions >> 5 & 7) << 3 | (permissions >> 10 & 7) << 6
