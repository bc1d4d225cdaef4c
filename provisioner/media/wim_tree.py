"""The files of a WIM's images, read in place: one directory at a time, one small file at a time.

Layout of the blob table and of directory entries after `ebiggers/wimlib:src/blob_table.c`,
`src/metadata_resource.c` and `src/dentry.c`. Nothing is recursive, and every count is bounded.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator

from provisioner.frozen import frozen
from provisioner.media.wim import Readable, Resource, WimHeader, resource_at
from provisioner.media.wim_resource import SOLID, ResourceReader
from provisioner.media.window import Damaged, Unsupported

BLOB_BYTES = 50
MAX_TABLE = 128 << 20
MAX_ENTRIES = 1 << 16
"""Entries of one directory; WinSxS, the fullest of Windows, has about 20,000."""
MAX_FILE = 1 << 20
_ENTRY_BYTES, _STREAM_BYTES = 102, 38
_AT_ONCE = BLOB_BYTES * 8192
_PIECE = 4096
_METADATA = 0x02
_DIRECTORY, _REPARSE = 0x10, 0x400
_NO_HASH = bytes(20)


@frozen
class Blob:
    """A row of the blob table (also called lookup table)."""

    resource: Resource
    part: int
    references: int
    sha1: bytes


@frozen
class WimEntry:
    """One entry of a directory. `streams` names its alternate data streams.

    `children` is where in the metadata the entries of a directory begin.
    """

    name: str
    directory: bool
    attributes: int
    sha1: bytes
    """Of the content; zeros for an empty file and for a directory."""
    streams: tuple[str, ...]
    children: int


def blobs(file: Readable, header: WimHeader) -> Iterator[Blob]:
    """Every row of the blob table, in order. `Damaged` when the table makes no sense."""
    for data in _table(file, header):
        for at in range(0, len(data) - BLOB_BYTES + 1, BLOB_BYTES):
            yield _blob(data, at)


def _table(file: Readable, header: WimHeader) -> Iterator[bytes]:
    """The blob table in pieces of whole rows."""
    table = ResourceReader(file, header, header.table)
    if table.size > MAX_TABLE:
        raise Damaged(f"the blob table of a WIM has {table.size} bytes")
    for at in range(0, table.size, _AT_ONCE):
        yield table.read(at, min(_AT_ONCE, table.size - at))


def _blob(data: bytes, at: int) -> Blob:
    part, references = struct.unpack_from("<HI", data, at + 24)
    return Blob(
        resource=resource_at(data, at),
        part=part,
        references=references,
        sha1=data[at + 30 : at + BLOB_BYTES],
    )


class WimTree:
    """The directory trees of one WIM file. What was found once is kept."""

    def __init__(self, file: Readable, header: WimHeader) -> None:
        self._file = file
        self._header = header
        self._metadata: dict[int, ResourceReader] = {}
        self._roots: dict[int, int] = {}

    def entries(self, image: int, path: str = "") -> tuple[WimEntry, ...]:
        """What a directory of an image holds; `image` counts from 1, `path` uses `/`.

        `Unsupported` for metadata that cannot be decoded, `Damaged` for damage and for a path
        that is no directory.
        """
        at = self._root(image)
        for name in filter(None, path.split("/")):
            found = next(
                (e for e in self._children(image, at) if e.name.casefold() == name.casefold()),
                None,
            )
            if found is None or not found.directory:
                raise Damaged(f"image {image} has no directory {path}")
            at = found.children
        return tuple(self._children(image, at))

    def exists(self, image: int, path: str) -> bool:
        """Whether an image has a file or directory, looking only at the directories above it."""
        folder, _, name = path.rpartition("/")
        try:
            found = self.entries(image, folder)
        except Unsupported:
            raise
        except Damaged:
            return False
        return any(entry.name.casefold() == name.casefold() for entry in found)

    def read(self, entry: WimEntry, *, limit: int = MAX_FILE) -> bytes:
        """The content of a small file, its SHA-1 checked.

        `Unsupported` for content that cannot be decoded, is not in this file or is larger than
        `limit`.
        """
        if entry.sha1 == _NO_HASH:
            return b""
        reader = self.open(entry)
        if reader.size > limit:
            raise Unsupported(f"it has {reader.size:,} bytes, and up to {limit:,} are read")
        data = reader.read(0, reader.size)
        if hashlib.sha1(data, usedforsecurity=False).digest() != entry.sha1:
            raise Damaged(f"the content of {entry.name} does not fit its SHA-1")
        return data

    def open(self, entry: WimEntry) -> ResourceReader:
        """Random access to a file's content, of which nothing is checked; errors as `read`."""
        blob = self._find(entry.sha1)
        if blob.part != self._header.part:
            raise Unsupported(f"its content is in part {blob.part} of the split set")
        if blob.resource.flags & SOLID:
            raise Unsupported(
                "its content is packed with others in a solid resource, which is not decoded"
            )
        return ResourceReader(self._file, self._header, blob.resource)

    def _find(self, sha1: bytes) -> Blob:
        for data in _table(self._file, self._header):
            at = data.find(sha1)
            while at >= 0 and at % BLOB_BYTES != 30:
                at = data.find(sha1, at + 1)
            if at >= 0:
                return _blob(data, at - 30)
        raise Damaged("a file's content is not in the blob table")

    def _reader(self, image: int) -> ResourceReader:
        known = self._metadata.get(image)
        if known is None:
            header = self._header
            if not 1 <= image <= header.image_count:
                raise Damaged(f"there is no image {image}")
            # The header names the metadata of the image that boots: no search.
            boots = image == header.boot_index and header.boot_metadata.size
            place = header.boot_metadata if boots else self._search(image)
            known = self._metadata[image] = ResourceReader(self._file, header, place)
        return known

    def _search(self, image: int) -> Resource:
        """Metadata of the images stands in the table in their order."""
        number = 0
        for data in _table(self._file, self._header):
            for row, flags in enumerate(data[7::BLOB_BYTES]):
                if flags & _METADATA and (row + 1) * BLOB_BYTES <= len(data):
                    number += 1
                    if number == image:
                        return _blob(data, row * BLOB_BYTES).resource
        raise Unsupported("its metadata is not in this file")

    def _root(self, image: int) -> int:
        """Where the entries of the root directory begin, behind security data and the root."""
        known = self._roots.get(image)
        if known is None:
            metadata = self._reader(image)
            (length,) = struct.unpack("<I", metadata.read(0, 4))
            at = max(length + -length % 8, 8)
            root = self._entry(metadata, at)
            if root is None or not root[0].directory:
                raise Damaged("the metadata of a WIM has no root directory")
            known = self._roots[image] = root[0].children
        return known

    def _children(self, image: int, at: int) -> Iterator[WimEntry]:
        if not at:
            return  # an empty directory
        metadata = self._reader(image)
        for _ in range(MAX_ENTRIES):
            found = self._entry(metadata, at)
            if found is None:
                return
            entry, at = found
            yield entry
        raise Damaged("a directory of a WIM has more entries than any real one")

    def _entry(self, metadata: ResourceReader, at: int) -> tuple[WimEntry, int] | None:
        """The entry at a byte of the metadata and where the next begins; None at the end."""
        if at % 8 or at + 8 > metadata.size:
            raise Damaged("a directory of a WIM leaves its metadata")
        data = metadata.read(at, min(_PIECE, metadata.size - at))
        (length,) = struct.unpack_from("<Q", data)
        if length <= 8:
            return None
        if not _ENTRY_BYTES <= length <= metadata.size - at or length > 1 << 18:
            raise Damaged("a directory entry of a WIM is damaged")
        if length > len(data):
            data = metadata.read(at, length)
        attributes, children = struct.unpack_from("<I4xQ", data, 8)
        streams, short, name = struct.unpack_from("<HHH", data, 96)
        if _ENTRY_BYTES + name + short > length:
            raise Damaged("a name in a WIM is longer than its entry")
        sha1 = data[64:84]
        at += length + -length % 8
        named: list[str] = []
        for _ in range(streams):
            stream, content, at = self._stream(metadata, at)
            if stream:
                named.append(stream)
            elif sha1 == _NO_HASH and not attributes & _REPARSE:
                sha1 = content  # then the content is the stream that has no name
        entry = WimEntry(
            name=data[_ENTRY_BYTES : _ENTRY_BYTES + name].decode("utf-16-le", "replace"),
            directory=bool(attributes & _DIRECTORY) and not attributes & _REPARSE,
            attributes=attributes,
            sha1=sha1,
            streams=tuple(named),
            children=children,
        )
        return entry, at

    def _stream(self, metadata: ResourceReader, at: int) -> tuple[str, bytes, int]:
        """Name and SHA-1 of a stream entry, and where the next begins."""
        data = metadata.read(at, _STREAM_BYTES)
        (length,) = struct.unpack_from("<Q", data)
        (name,) = struct.unpack_from("<H", data, 36)
        if not _STREAM_BYTES + name <= length <= 1 << 18:
            raise Damaged("a stream entry of a WIM is damaged")
        text = metadata.read(at + _STREAM_BYTES, name).decode("utf-16-le", "replace")
        return text, data[16:36], at + length + -length % 8
