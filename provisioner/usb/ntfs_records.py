"""What lies where in an NTFS volume that mkntfs and ntfs-3g have just made, and its dates.

After layout.h of ntfs-3g. Only for volumes of our own: anything else about them raises FailedError.
Offsets and lengths are in bytes from the start of the volume.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from provisioner.errors import FailedError
from provisioner.frozen import frozen
from provisioner.usb.spans import SECTOR, Span, merged

ROOT = 5
"""The MFT record of the root directory."""
_MFT, _BITMAP, _FIRST_FILE = 0, 6, 24
_STANDARD, _NAME, _DATA, _INDEX_ROOT, _INDEX = 0x10, 0x30, 0x80, 0x90, 0xA0
_END, _LAST_ENTRY = 0xFFFFFFFF, 2
_INDEX_NAME = "$I30"
_DOS = 2
_NUMBER = (1 << 48) - 1
_EPOCH = 11_644_473_600
"""Seconds from 1601 to 1970."""


@frozen
class _Attribute:
    """`value` is what is resident, at `offset` of its record; `runs` are the places of others."""

    kind: int
    name: str
    offset: int
    value: bytes
    runs: tuple[Span, ...]
    length: int


@dataclass(slots=True)
class _File:
    """An MFT record that is in use, with what its extension records hold."""

    parent: int = -1
    name: str = ""
    data: list[Span] = field(default_factory=list)
    index: list[Span] = field(default_factory=list)


class Volume:
    """The volume behind a descriptor."""

    def __init__(self, descriptor: int, length: int) -> None:
        self._descriptor = descriptor
        self._length = length
        boot = self._read(0, SECTOR)
        if boot[3:11] != b"NTFS    ":
            raise FailedError("mkntfs made no NTFS volume")
        self.cluster = int.from_bytes(boot[11:13], "little") * boot[13]
        (first,) = struct.unpack_from("<Q", boot, 0x30)
        self._record = self._size(boot[0x40])
        self._block = self._size(boot[0x44])
        head = self._unpacked(bytearray(self._read(first * self.cluster, self._record)))
        table = next(a for a in self._attributes(head) if a.kind == _DATA and not a.name)
        self._table = table.runs
        self._files: dict[int, _File] = {}
        for number, _, record in self._records():
            self._note(number, record)

    def used(self) -> tuple[Span, ...]:
        """Every cluster in use, and the copy of the boot sector in the last one."""
        bitmap = b"".join(self._read(*run) for run in self._files[_BITMAP].data)
        size = self.cluster
        spans: list[Span] = [(self._length - SECTOR, SECTOR)]
        for match in re.finditer(rb"\xff+|[^\0\xff]", bitmap):
            first = match.start() * 8
            if match[0][0] == 0xFF:
                spans.append((first * size, (match.end() - match.start()) * 8 * size))
            else:
                spans += [((first + b) * size, size) for b in range(8) if match[0][0] >> b & 1]
        return merged((at, min(length, self._length - at)) for at, length in spans)

    def places(self) -> list[tuple[int, int, str]]:
        """`(offset, length, path)` of all content that is not within the table of files."""
        found = [
            (offset, length, self._path(number) + ("/" if runs is file.index else ""))
            for number, file in self._files.items()
            for runs in (file.data, file.index)
            for offset, length in runs
        ]
        return sorted(found)

    def paths(self) -> dict[str, tuple[Span, ...]]:
        """Where the content of each file lies that is not a part of NTFS itself."""
        return {
            self._path(number): tuple(file.data)
            for number, file in self._files.items()
            if number >= _FIRST_FILE
        }

    def date(self, modified: Callable[[str], int]) -> None:
        """Gives every file, and the root (""), the times of `modified`, in seconds since 1970.

        ntfs-3g writes the times of now, wherever NTFS repeats them.
        """
        times = {
            number: struct.pack("<4Q", *[(modified(self._path(number)) + _EPOCH) * 10**7] * 4)
            for number in self._files
            if number >= _FIRST_FILE or number == ROOT
        }
        for number, at, record in self._records():
            base = self._base(record) or number
            if base not in times:
                continue
            for attribute in self._attributes(record):
                where = attribute.offset
                if attribute.kind == _STANDARD:
                    record[where : where + 32] = times[base]
                elif attribute.kind == _NAME:
                    record[where + 8 : where + 40] = times[base]
                elif attribute.kind == _INDEX_ROOT and attribute.name == _INDEX_NAME:
                    _date_entries(record, where + 16, times)
            self._write(at, record)
        for file in self._files.values():
            for offset, length in file.index:
                for at in range(offset, offset + length, self._block):
                    block = bytearray(self._read(at, self._block))
                    if block[:4] == b"INDX":  # others were never used
                        end = 24 + _date_entries(self._unpacked(block), 24, times)
                        block[end:] = bytes(len(block) - end)  # what moved to another block
                        self._write(at, block)

    def _note(self, number: int, record: bytearray) -> None:
        file = self._files.setdefault(self._base(record) or number, _File())
        for attribute in self._attributes(record):
            if attribute.kind == _NAME and attribute.value[65] != _DOS:
                (parent,) = struct.unpack_from("<Q", attribute.value)
                file.parent = parent & _NUMBER
                end = 66 + 2 * attribute.value[64]
                file.name = attribute.value[66:end].decode("utf-16-le")
            elif attribute.kind == _DATA and not attribute.name:
                file.data += attribute.runs
            elif attribute.kind == _INDEX and attribute.name == _INDEX_NAME:
                file.index += attribute.runs

    def _path(self, number: int) -> str:
        parts: list[str] = []
        while number != ROOT:
            file = self._files[number]
            parts.append(file.name)
            number = file.parent
            if number not in self._files or len(parts) > 255:
                raise FailedError("a file of the NTFS volume lies in no folder")
        return "/".join(reversed(parts))

    def _records(self) -> Iterator[tuple[int, int, bytearray]]:
        """Records in use as `(number, offset, record)`, fixups undone."""
        number = 0
        for offset, length in self._table:
            for at in range(offset, offset + length, self._record):
                record = bytearray(self._read(at, self._record))
                if record[:4] == b"FILE" and record[22] & 1:
                    yield number, at, self._unpacked(record)
                number += 1

    @staticmethod
    def _base(record: bytearray) -> int:
        (reference,) = struct.unpack_from("<Q", record, 32)
        return int(reference & _NUMBER)

    def _attributes(self, record: bytearray) -> Iterator[_Attribute]:
        (at,) = struct.unpack_from("<H", record, 20)
        while True:
            kind, length = struct.unpack_from("<II", record, at)
            if kind == _END:
                return
            if not 16 <= length <= len(record) - at:
                raise FailedError("the NTFS volume has a damaged record")
            outside, letters = record[at + 8], record[at + 9]
            (name,) = struct.unpack_from("<H", record, at + 10)
            start, count = at, 0
            if not outside:
                count, place = struct.unpack_from("<IH", record, at + 16)
                start = at + place
            yield _Attribute(
                kind=kind,
                name=bytes(record[at + name : at + name + 2 * letters]).decode("utf-16-le"),
                offset=start,
                value=bytes(record[start : start + count]),
                runs=tuple(self._runs(bytes(record[at : at + length]))) if outside else (),
                length=length,
            )
            at += length

    def _runs(self, attribute: bytes) -> Iterator[Span]:
        """Places of clusters; holes are left out."""
        (at,) = struct.unpack_from("<H", attribute, 32)
        cluster = 0
        while at < len(attribute) and attribute[at]:
            lengths, offsets = attribute[at] & 15, attribute[at] >> 4
            count = int.from_bytes(attribute[at + 1 : at + 1 + lengths], "little")
            at += 1 + lengths
            if offsets:
                change = attribute[at : at + offsets]
                cluster += int.from_bytes(change, "little", signed=True)
                yield cluster * self.cluster, count * self.cluster
            at += offsets

    def _size(self, code: int) -> int:
        """Clusters, or as a negative number the exponent of bytes."""
        return code * self.cluster if code < 128 else 1 << 256 - code

    def _unpacked(self, block: bytearray) -> bytearray:
        """With the real last two bytes of every sector, which wait in the update sequence."""
        place, count = struct.unpack_from("<HH", block, 4)
        mark = block[place : place + 2]
        for number in range(1, count):
            end = number * SECTOR
            if block[end - 2 : end] != mark:
                raise FailedError("the NTFS volume has a sector that was not written")
            block[end - 2 : end] = block[place + 2 * number : place + 2 * number + 2]
        return block

    def _write(self, offset: int, block: bytearray) -> None:
        place, count = struct.unpack_from("<HH", block, 4)
        for number in range(1, count):
            end = number * SECTOR
            block[place + 2 * number : place + 2 * number + 2] = block[end - 2 : end]
            block[end - 2 : end] = block[place : place + 2]
        if os.pwrite(self._descriptor, block, offset) != len(block):
            raise FailedError("the NTFS volume could not be written")

    def _read(self, offset: int, length: int) -> bytes:
        data = os.pread(self._descriptor, length, offset)
        if len(data) != length:
            raise FailedError("the NTFS volume has become shorter")
        return data


def _date_entries(block: bytearray, header: int, times: dict[int, bytes]) -> int:
    """The times that an index repeats of every file; returns how far it reaches behind `header`."""
    first, end = struct.unpack_from("<II", block, header)
    at = header + first
    while True:
        reference, length, _, flags = struct.unpack_from("<QHHH", block, at)
        if flags & _LAST_ENTRY:
            return int(end)
        if not 16 <= length <= len(block) - at:
            raise FailedError("the NTFS volume has a damaged index")
        stamp = times.get(reference & _NUMBER)
        if stamp is not None:
            block[at + 24 : at + 56] = stamp
        at += length
