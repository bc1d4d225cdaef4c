"""ISO 9660 with its relatives Joliet and Rock Ridge: one directory at a time, with range reads.

ECMA-119 (descriptors §8, directory records §9.1), Joliet 1.0 for the escape sequences, SUSP 1.12
(IEEE P1281 §5) and RRIP 1.12 (IEEE P1282 §4.1) for names and relocated directories.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Literal

from provisioner.frozen import frozen
from provisioner.media.dates import digits_seconds, record_seconds
from provisioner.media.facts import Extent
from provisioner.media.walk import MAX_DIRECTORY_BYTES, Node
from provisioner.media.window import Damaged, Window, joined

SECTOR = 2048
MAX_DESCRIPTORS = 64
_JOLIET_ESCAPES = (b"%/@", b"%/C", b"%/E")
_DIRECTORY, _ASSOCIATED, _MORE_EXTENTS = 0x02, 0x04, 0x80


@frozen
class _Record:
    """A directory record, §9.1. `use` is the system use area behind the name."""

    name: bytes
    flags: int
    extent: Extent
    interleaved: bool
    modified: int | None
    use: bytes


@frozen
class _RockRidge:
    """What Rock Ridge says about a record; `moved_to` is the block of a directory (CL)."""

    name: str = ""
    moved_to: int | None = None
    moved: bool = False
    mode: int | None = None
    modified: int | None = None
    link: str | None = None


@frozen
class Iso9660:
    """One volume descriptor and the tree under it.

    `declared` is the volume's size in bytes; `skip` the bytes before the first SUSP entry, or None
    without Rock Ridge.
    """

    name: Literal["ISO 9660", "Joliet", "Rock Ridge"]
    label: str
    declared: int
    root: Node
    window: Window
    block: int
    skip: int | None = None

    def children(self, directory: Node) -> Iterator[Node]:
        """Entries of one directory; consecutive records of one file (level 3) become one node."""
        pieces: list[Extent] = []
        broken = False
        for record in _records(self.window, directory, self.block):
            if record.name in {b"\0", b"\1"} or record.flags & _ASSOCIATED:
                continue
            use = self._rock_ridge(record)
            if use.moved:  # its CL entry shows it where it belongs
                continue
            name = use.name or self._plain(record)
            modified = record.modified if use.modified is None else use.modified
            if use.moved_to is not None:
                target = _self_extent(self.window, use.moved_to, self.block)
                yield Node(
                    name=name, directory=True, extents=(target,), modified=modified, mode=use.mode
                )
                continue
            if use.link is not None:
                yield Node(
                    name=name,
                    directory=False,
                    extents=(),
                    modified=modified,
                    mode=use.mode,
                    link=use.link,
                )
                continue
            pieces.append(record.extent)
            broken = broken or record.interleaved
            if record.flags & _MORE_EXTENTS:
                continue
            yield Node(
                name=name,
                directory=bool(record.flags & _DIRECTORY),
                extents=None if broken else joined(pieces),
                modified=modified,
                mode=use.mode,
            )
            pieces, broken = [], False

    def _plain(self, record: _Record) -> str:
        encoding = "utf-16-be" if self.name == "Joliet" else "ascii"
        name = record.name.decode(encoding, "replace")
        return name.partition(";")[0].removesuffix(".") or name

    def _rock_ridge(self, record: _Record) -> _RockRidge:
        """The entries of RRIP 4.1 that matter: NM, PX, TF, SL, CL and RE."""
        if self.skip is None:
            return _RockRidge()
        name = b""
        link: _Link | None = None
        target: int | None = None
        mode: int | None = None
        modified: int | None = None
        moved = False
        for signature, data in _system_use(self.window, record.use[self.skip :], self.block):
            if signature == b"NM" and len(data) >= 1 and not data[0] & 0x06:
                name += data[1:]
            elif signature == b"CL" and len(data) >= 8:
                target = int.from_bytes(data[:4], "little")
            elif signature == b"RE":
                moved = True
            elif signature == b"PX" and len(data) >= 8:
                mode = int.from_bytes(data[:4], "little") & 0o7777
            elif signature == b"TF" and data:
                modified = _modified(data)
            elif signature == b"SL" and data:
                link = link or _Link()
                link.add(data[1:])
            if len(name) > 4096 or (link and len(link.target) > 4096):
                raise Damaged("a Rock Ridge name is longer than 4096 bytes")
        return _RockRidge(
            name=name.decode("utf-8", "replace"),
            moved_to=target,
            moved=moved,
            mode=mode,
            modified=modified,
            link=None if link is None else link.target.decode("utf-8", "replace"),
        )


class _Link:
    """The target of a symbolic link, from its component records (RRIP 4.1.3.1)."""

    def __init__(self) -> None:
        self.target = b""
        self._goes_on = False

    def add(self, data: bytes) -> None:
        """The components of one SL entry."""
        at = 0
        while at + 2 <= len(data):
            flags, length = data[at], data[at + 1]
            text = data[at + 2 : at + 2 + length]
            at += 2 + length
            text = b".." if flags & 4 else b"." if flags & 2 else text
            if flags & 8:
                self.target = b"/"
            else:
                apart = self.target and not self._goes_on and not self.target.endswith(b"/")
                self.target += (b"/" if apart else b"") + text
            self._goes_on = bool(flags & 1)


def _modified(data: bytes) -> int | None:
    """The modification date of a TF entry (RRIP 4.1.6): after that of creation, where both are."""
    flags, width = data[0], 17 if data[0] & 0x80 else 7
    if not flags & 2:
        return None
    start = 1 + width * (flags & 1)
    date = data[start : start + width]
    return digits_seconds(date) if width == 17 else record_seconds(date)


def read_descriptors(window: Window) -> list[bytes]:
    """The volume descriptors from sector 16 up to the terminator; empty when there are none."""
    found: list[bytes] = []
    for number in range(MAX_DESCRIPTORS):
        data = window.read_up_to((16 + number) * SECTOR, SECTOR)
        if len(data) < SECTOR or data[1:6] != b"CD001":
            break
        found.append(data)
        if data[0] == 255:
            break
    return found


def read_volumes(window: Window, descriptors: list[bytes]) -> list[Iso9660]:
    """What the descriptors announce: the primary volume (Rock Ridge if it is), then Joliet."""
    volumes: list[Iso9660] = []
    for data in descriptors:
        joliet = data[0] == 2 and data[88:91] in _JOLIET_ESCAPES
        if (data[0] != 1 and not joliet) or any(v.name == "Joliet" for v in volumes if joliet):
            continue
        if data[0] == 1 and volumes:
            continue  # a copy of the primary descriptor
        (block,) = struct.unpack_from("<H", data, 128)
        if block not in {512, 1024, 2048}:
            raise Damaged(f"the ISO 9660 volume claims blocks of {block} bytes")
        first, length = struct.unpack_from("<I4xI", data, 156 + 2)
        root = Extent(offset=(first + data[156 + 1]) * block, length=length)
        label = data[40:72].decode("utf-16-be" if joliet else "ascii", "replace")
        skip = None if joliet else _rock_ridge_skip(window, root, block)
        volumes.append(
            Iso9660(
                name="Joliet" if joliet else "ISO 9660" if skip is None else "Rock Ridge",
                label=label.rstrip(" \0"),
                declared=int.from_bytes(data[80:84], "little") * block,
                root=Node(name="", directory=True, extents=(root,)),
                window=window,
                block=block,
                skip=skip,
            )
        )
    return volumes


def _records(window: Window, directory: Node, block: int) -> Iterator[_Record]:
    extents = directory.extents or ()
    if sum(extent.length for extent in extents) > MAX_DIRECTORY_BYTES:
        raise Damaged("an ISO 9660 directory is larger than any real one")
    for extent in extents:
        data = window.read(extent.offset, extent.length)
        at = 0
        while at < len(data):
            length = data[at]
            if not length:  # records do not cross sectors: the rest of this one is padding
                at += SECTOR - at % SECTOR
                continue
            if length < 34 or at + length > len(data) or 33 + data[at + 32] > length:
                raise Damaged(
                    f"an ISO 9660 directory record is damaged at byte {extent.offset + at}"
                )
            yield _record(data[at : at + length], block)
            at += length


def _record(data: bytes, block: int) -> _Record:
    first, length = struct.unpack_from("<I4xI", data, 2)
    end = 33 + data[32]
    return _Record(
        name=data[33:end],
        flags=data[25],
        # The extended attribute record, when there is one, stands before the data.
        extent=Extent(offset=(first + data[1]) * block, length=length),
        modified=record_seconds(data[18:25]),
        interleaved=bool(data[26] or data[27]),
        use=data[end + (1 - data[32] % 2) :],
    )


def _self_extent(window: Window, first: int, block: int) -> Extent:
    """Extent of the directory at a block, as its `.` record tells."""
    data = window.read(first * block, 34)
    (length,) = struct.unpack_from("<I", data, 10)
    if data[0] < 34 or data[32:34] != b"\1\0":
        raise Damaged(f"no ISO 9660 directory starts at byte {first * block}")
    return Extent(offset=first * block, length=length)


def _rock_ridge_skip(window: Window, root: Extent, block: int) -> int | None:
    """Bytes to skip in each system use area (SP entry), or None: the volume has no Rock Ridge."""
    data = window.read_up_to(root.offset, min(root.length, 256))
    if len(data) < 34 or not 34 <= data[0] <= len(data) or data[33] or data[32] != 1:
        return None
    use = data[34 : data[0]]
    if use[:2] != b"SP" or len(use) < 7 or use[4:6] != b"\xbe\xef":
        return None
    names = {b"RR", b"PX", b"NM"}  # Rock Ridge proper; SUSP alone may carry other extensions
    found = [(signature, entry) for signature, entry in _system_use(window, use, block)]
    return use[6] if any(s in names or (s == b"ER" and b"RRIP" in e) for s, e in found) else None


def _system_use(window: Window, use: bytes, block: int) -> Iterator[tuple[bytes, bytes]]:
    """(signature, data) of each SUSP entry, following at most 8 continuation areas."""
    for _ in range(8):
        continuation: tuple[int, int] | None = None
        at = 0
        while at + 4 <= len(use) and use[at : at + 2] != b"\0\0":
            signature, length = use[at : at + 2], use[at + 2]
            if length < 4 or at + length > len(use):
                break
            data = use[at + 4 : at + length]
            at += length
            if signature == b"ST":
                break
            if signature == b"CE" and len(data) >= 24:
                where, offset, size = struct.unpack("<I4xI4xI4x", data[:24])
                continuation = (where * block + offset, min(size, SECTOR))
            else:
                yield signature, data
        if continuation is None:
            return
        use = window.read(*continuation)
    raise Damaged("Rock Ridge continuation areas never end")
