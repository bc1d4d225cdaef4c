"""The UDF side of a disc: laid out by `allocate`, rendered by `pieces` once the files have places.

The same for a new disc and for one whose metadata is written anew behind an untouched image.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence

from provisioner.image import udf_records
from provisioner.image.iso_records import BLOCK
from provisioner.image.outline import Folder, Leaf
from provisioner.tree import Content, File

Extents = Sequence[tuple[int, int]]
"""(block of the disc, bytes) of a content, in order; empty for an empty file."""


class UdfSide:
    """`names` is what each path is called; links are not on this side.

    `partition` is the block where the partition starts; `recorded` dates what has no date.
    """

    def __init__(
        self,
        folders: Sequence[Folder],
        names: Mapping[str, str],
        *,
        partition: int,
        label: str,
        recorded: int,
    ) -> None:
        self._folders = folders
        self._names = names
        self._partition = partition
        self._label = label
        self._recorded = recorded
        self._blocks: dict[str, int] = {}
        self._data: dict[str, int] = {}
        self._file_set = self._integrity = 0

    def allocate(self, take: Callable[[int], int]) -> None:
        """Takes blocks for the file set, the directories and the file entries."""
        self._file_set = take(2)
        for folder in self._folders:
            self._blocks[folder.path] = take(1)
            names = [self._names[entry.path] for entry in self._entries(folder)]
            self._data[folder.path] = take(-(-udf_records.identifiers_length(names) // BLOCK))
        for folder in self._folders:
            for leaf in _files(folder):
                self._blocks[leaf.path] = take(1)

    def pieces(
        self,
        extents: Callable[[tuple[Content, ...]], Extents],
        *,
        last: int,
        sequences: tuple[int, int],
        integrity: int,
    ) -> Iterator[tuple[int, bytes]]:
        """(byte offset, bytes) of everything but the recognition sequence and the first anchor.

        `last` is the disc's last block, for the second anchor; `sequences` the blocks of both
        volume descriptor sequences; `integrity` that of the integrity sequence.
        """
        start = self._partition
        metadata = list(self._metadata(extents))
        digest = hashlib.sha256(f"{self._label}\0{self._recorded}\0".encode())
        for block, data in metadata:
            digest.update(block.to_bytes(8, "big") + data)
        volume = udf_records.Volume(
            label=self._label,
            identifier=digest.hexdigest()[:16],
            recorded=self._recorded,
            partition_start=start,
            partition_blocks=last - start,
            file_set=self._file_set - start,
            integrity=integrity,
            files=sum(len(_files(folder)) for folder in self._folders),
            directories=len(self._folders),
            next_unique=last,
        )
        main, reserve = sequences
        for block, data in (
            (main, udf_records.volume_sequence(volume, main)),
            (reserve, udf_records.volume_sequence(volume, reserve)),
            (integrity, udf_records.integrity(volume, integrity)),
            (last, udf_records.anchor(last, main, reserve)),
            *metadata,
        ):
            yield block * BLOCK, data

    def _entries(self, folder: Folder) -> list[Folder | Leaf]:
        return [*folder.folders, *_files(folder)]

    def _unique(self, path: str) -> int:
        """0 for the root; others are above 15 (UDF 3.2.1.1)."""
        return self._blocks[path] if path else 0

    def _metadata(
        self, extents: Callable[[tuple[Content, ...]], Extents]
    ) -> Iterator[tuple[int, bytes]]:
        start = self._partition
        set_block = self._file_set - start
        file_set = udf_records.file_set(
            label=self._label,
            recorded=self._recorded,
            location=set_block,
            root=self._blocks[""] - start,
        )
        yield self._file_set, file_set + udf_records.terminator(set_block + 1)
        for folder in self._folders:
            yield from self._folder(folder)
        for folder in self._folders:
            for leaf in _files(folder):
                block = self._blocks[leaf.path]
                assert isinstance(leaf.entry, File)
                entry = udf_records.Entry(
                    kind=udf_records.BYTES,
                    extents=[(at - start, length) for at, length in extents(leaf.entry.content)],
                    links=1,
                    unique=block,
                    modified=self._date(leaf.entry.modified),
                    mode=leaf.entry.mode,
                )
                yield block, udf_records.file_entry(entry, block - start)

    def _folder(self, folder: Folder) -> Iterator[tuple[int, bytes]]:
        start = self._partition
        block, data = self._blocks[folder.path], self._data[folder.path]
        parent = folder.parent.path if folder.parent else ""
        rows = [
            (
                self._names[entry.path],
                self._blocks[entry.path] - start,
                self._unique(entry.path),
                isinstance(entry, Folder),
            )
            for entry in self._entries(folder)
        ]
        content = udf_records.file_identifiers(
            rows,
            parent=(self._blocks[parent] - start, self._unique(parent)),
            start=data - start,
        )
        entry = udf_records.Entry(
            kind=udf_records.DIRECTORY,
            extents=[(data - start, len(content))],
            links=1 + len(folder.folders),
            unique=self._unique(folder.path),
            modified=self._date(folder.modified),
            mode=folder.mode,
        )
        yield block, udf_records.file_entry(entry, block - start)
        yield data, content

    def _date(self, modified: int | None) -> int:
        return self._recorded if modified is None else modified


def _files(folder: Folder) -> list[Leaf]:
    return [leaf for leaf in folder.leaves if isinstance(leaf.entry, File)]
