"""ISO 9660 descriptors, directories and path tables as bytes, with Joliet and Rock Ridge.

ECMA-119 4th edition (clauses named below), the Joliet specification of 1995, SUSP 1.09 and
RRIP 1.09 (the "RRIP_1991A" that every system reads). Blocks are 2048 bytes; dates are UTC.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from datetime import UTC, datetime
from functools import lru_cache

from provisioner.frozen import frozen

BLOCK = 2048
LARGEST_RECORD = 0xFFFFF800
"""Bytes one directory record can describe in whole blocks; larger files take several (6.5.1)."""

DIRECTORY, MORE = 0x02, 0x80
SYMLINK_MODE, DIRECTORY_MODE, FILE_MODE = 0o120000, 0o040000, 0o100000
LONGEST_TARGET = 1000
"""Bytes of a symbolic link's target: with a name of 255 it fits one continuation block."""

_LONGEST = 255  # a directory record's length is one byte
_CONTINUATION = 28  # length of a CE entry, SUSP 5.1


@frozen
class Posix:
    """What Rock Ridge adds to a record: the name's bytes, mode with file type, links, target."""

    name: bytes
    mode: int
    links: int
    target: bytes | None = None


@frozen
class Record:
    """A directory entry before it has a place. `key` leads to its block later, and for a
    directory to its length as well."""

    identifier: bytes
    key: object
    length: int
    directory: bool
    modified: int
    posix: Posix | None = None
    lengths: tuple[int, ...] = field(default=())
    """Of the several records of one large file; empty for the usual one."""


def both(value: int) -> bytes:
    """A 32-bit number in both byte orders (7.3.3)."""
    return struct.pack("<I", value) + struct.pack(">I", value)


def both_short(value: int) -> bytes:
    """A 16-bit number in both byte orders (7.2.3)."""
    return struct.pack("<H", value) + struct.pack(">H", value)


@lru_cache(maxsize=1024)  # on most discs all dates are one
def record_date(seconds: int) -> bytes:
    """Seven bytes, UTC (9.1.5)."""
    t = datetime.fromtimestamp(seconds, UTC)
    return bytes((t.year - 1900, t.month, t.day, t.hour, t.minute, t.second, 0))


def directory_record(
    identifier: bytes, block: int, length: int, *, flags: int, modified: int, use: bytes = b""
) -> bytes:
    """One record (9.1), `use` being its system use area."""
    padding = b"\0" if len(identifier) % 2 == 0 else b""
    tail = use + (b"\0" if len(use) % 2 else b"")
    size = 33 + len(identifier) + len(padding) + len(tail)
    return b"".join(
        (
            bytes((size, 0)),
            both(block),
            both(length),
            record_date(modified),
            bytes((flags, 0, 0)),
            both_short(1),
            bytes((len(identifier),)),
            identifier,
            padding,
            tail,
        )
    )


def volume_descriptor(
    *,
    label: str,
    blocks: int,
    root: bytes,
    path_table: tuple[int, int, int],
    recorded: int,
    joliet: bool,
) -> bytes:
    """The primary (8.4) or, for Joliet, a supplementary (8.5) volume descriptor.

    `root` is the root's directory record, `path_table` its length and both blocks (L, M).
    """

    def padded(value: str, size: int) -> bytes:
        if joliet:  # spaces of two bytes; an odd field ends in a zero
            data = (value.encode("utf-16-be") + b"\0 " * size)[: size // 2 * 2]
            return data.ljust(size, b"\0")
        return value.encode("ascii").ljust(size)[:size]

    date = datetime.fromtimestamp(recorded, UTC).strftime("%Y%m%d%H%M%S00").encode() + b"\0"
    unset = b"0" * 16 + b"\0"
    length, little, big = path_table
    descriptor = b"".join(
        (
            bytes((2 if joliet else 1,)),
            b"CD001\1\0",
            padded("", 32),
            padded(label, 32),
            bytes(8),
            both(blocks),
            (b"%/E" if joliet else b"").ljust(32, b"\0"),
            both_short(1),
            both_short(1),
            both_short(BLOCK),
            both(length),
            struct.pack("<II", little, 0),
            struct.pack(">II", big, 0),
            root,
            padded("", 128),
            padded("", 128),
            padded("", 128),
            padded("PROVISIONER", 128),
            padded("", 37) * 3,
            date,
            date,
            unset,
            unset,
            b"\1\0" + b" " * 512,  # application use: free, as implantisomd5 wants to find it
        )
    )
    return descriptor.ljust(BLOCK, b"\0")


def terminator() -> bytes:
    """The volume descriptor set terminator (8.3)."""
    return b"\xffCD001\1".ljust(BLOCK, b"\0")


def path_table(folders: Sequence[tuple[bytes, int, int]], *, big: bool) -> bytes:
    """A path table (9.4) of `(identifier, block, number of the parent)`, ordered by the caller."""
    order = ">" if big else "<"
    parts: list[bytes] = []
    for identifier, block, parent in folders:
        parts.append(struct.pack(f"{order}BBIH", len(identifier), 0, block, parent))
        parts.append(identifier + (b"\0" if len(identifier) % 2 else b""))
    return b"".join(parts)


class DirectoryBytes:
    """One directory as records in whole blocks, with continuation areas of its own behind them.

    Its size is known before any place is; `render` is told the places. `dots` are what Rock Ridge
    says in the records of the directory itself and of its parent, None without Rock Ridge.
    """

    def __init__(
        self,
        records: Iterable[Record],
        *,
        modified: int,
        dots: tuple[Posix, Posix] | None,
        root: bool,
    ) -> None:
        self._modified = modified
        self._areas: list[bytes] = []
        extension = self._store(_EXTENSION) if dots and root else None
        self._dots: list[tuple[bytes, _Area | None]] = [(b"", None), (b"", None)]
        if dots is not None:
            own, parent = (_px(posix) + _tf(modified) for posix in dots)
            start = b"SP\x07\x01\xbe\xef\0" if root else b""
            self._dots = [(start + own, extension), (parent, None)]
        self._rows = [(record, *self._split(record)) for record in records]
        used = sum(_width(b"\0", use, area) for use, area in self._dots)
        for record, use, area in self._rows:
            width = _width(record.identifier, use, area)
            for _ in record.lengths or (0,):
                used += width if used % BLOCK + width <= BLOCK else -used % BLOCK + width
        self.length = -(-used // BLOCK) * BLOCK
        """Bytes of the directory itself."""
        self.blocks = self.length // BLOCK + len(self._areas)
        """Blocks of the directory and of its continuation areas."""

    def render(
        self,
        block: int,
        parent: tuple[int, int],
        places: Mapping[object, int],
        lengths: Mapping[object, int],
    ) -> bytes:
        """The bytes for `block` on. `parent` is its block and length; `places` has the block of
        every key, `lengths` the length of every directory's."""
        data = bytearray()
        areas = block + self.length // BLOCK

        def add(
            identifier: bytes, extent: tuple[int, int], flags: int, date: int, use: bytes
        ) -> None:
            row = directory_record(identifier, *extent, flags=flags, modified=date, use=use)
            if len(data) % BLOCK + len(row) > BLOCK:  # records do not cross blocks (6.8.1.1)
                data.extend(bytes(-len(data) % BLOCK))
            data.extend(row)

        def placed(use: bytes, area: _Area | None) -> bytes:
            return use if area is None else use + _continuation(areas + area[0], *area[1:])

        for identifier, extent, dot in zip(
            (b"\0", b"\1"), ((block, self.length), parent), self._dots, strict=True
        ):
            add(identifier, extent, DIRECTORY, self._modified, placed(*dot))
        for record, use, area in self._rows:
            date, tail = record.modified, placed(use, area)
            start = places[record.key] if record.key is not None else 0
            flags = DIRECTORY if record.directory else 0
            own = lengths[record.key] if record.directory else record.length
            *others, last = record.lengths or (own,)
            for length in others:
                add(record.identifier, (start, length), flags | MORE, date, tail)
                start += length // BLOCK
            add(record.identifier, (start, last), flags, date, tail)
        data.extend(bytes(self.length - len(data)))
        return bytes(data) + b"".join(area.ljust(BLOCK, b"\0") for area in self._areas)

    def _split(self, record: Record) -> tuple[bytes, _Area | None]:
        """The system use entries that fit the record, and where the others are."""
        posix = record.posix
        if posix is None:
            return b"", None
        room = (_LONGEST - _width(record.identifier, b"", None)) // 2 * 2
        entries = [_px(posix), _tf(record.modified), *_nm(posix.name)]
        if posix.target is not None:
            entries += _sl(posix.target)
        if sum(map(len, entries)) <= room:
            return b"".join(entries), None
        kept: list[bytes] = []
        while sum(map(len, kept)) + len(entries[0]) <= room - _CONTINUATION:
            kept.append(entries.pop(0))
        return b"".join(kept), self._store(b"".join(entries))

    def _store(self, data: bytes) -> _Area:
        if not self._areas or len(self._areas[-1]) + len(data) > BLOCK:
            self._areas.append(b"")
        offset = len(self._areas[-1])
        self._areas[-1] += data
        return len(self._areas) - 1, offset, len(data)


_Area = tuple[int, int, int]
"""Number of a continuation area, offset in it, length."""

_EXTENSION = (
    b"ER\xed\x01\x0a\x54\x87\x01RRIP_1991A"
    b"THE ROCK RIDGE INTERCHANGE PROTOCOL PROVIDES SUPPORT FOR POSIX FILE SYSTEM SEMANTICS"
    b"PLEASE CONTACT DISC PUBLISHER FOR SPECIFICATION SOURCE.  SEE PUBLISHER IDENTIFIER IN "
    b"PRIMARY VOLUME DESCRIPTOR FOR CONTACT INFORMATION."
)
"""The ER entry that RRIP 1.09 prescribes word for word (4.3)."""


def _width(identifier: bytes, use: bytes, area: _Area | None) -> int:
    """Length of a record: even, and the system use area begins at an even place."""
    length = 33 + len(identifier) + (len(identifier) + 1) % 2
    length += len(use) + (_CONTINUATION if area else 0)
    return length + length % 2


def _continuation(block: int, offset: int, length: int) -> bytes:
    return b"CE\x1c\x01" + both(block) + both(offset) + both(length)


def _px(posix: Posix) -> bytes:
    return b"PX\x24\x01" + both(posix.mode) + both(posix.links) + both(0) + both(0)


def _tf(modified: int) -> bytes:
    """Modification, access and attribute change (flags 0x0E), short form."""
    return b"TF\x1a\x01\x0e" + record_date(modified) * 3


def _nm(name: bytes) -> list[bytes]:
    pieces = [name[start : start + 200] for start in range(0, len(name), 200)]
    return [
        b"NM" + bytes((5 + len(piece), 1, int(number < len(pieces)))) + piece
        for number, piece in enumerate(pieces, 1)
    ]


def _sl(target: bytes) -> list[bytes]:
    """Symbolic link components (RRIP 4.1.3): root 8, parent 4, current 2, goes on 1."""
    components: list[bytes] = []
    if target.startswith(b"/"):
        components.append(b"\x08\0")
    for name in target.split(b"/"):
        if name in (b".", b".."):
            components.append(bytes((2 * len(name), 0)))
        else:
            pieces = [name[start : start + 200] for start in range(0, len(name), 200)]
            components += [
                bytes((int(number < len(pieces)), len(piece))) + piece
                for number, piece in enumerate(pieces, 1)
            ]
    entries: list[bytes] = []
    current = b""
    for component in components:
        if len(current) + len(component) > 240:
            entries.append(current)
            current = b""
        current += component
    entries.append(current)
    return [
        b"SL" + bytes((5 + len(data), 1, int(number < len(entries)))) + data
        for number, data in enumerate(entries, 1)
    ]
