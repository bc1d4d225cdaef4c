"""One ISO 9660 side of a disc: the primary volume with Rock Ridge, or Joliet.

Laid out in two steps: `allocate` takes blocks, `pieces` renders once the files have theirs.
ECMA-119 6.9 (path tables), 9.3 (order of records).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from provisioner.frozen import frozen
from provisioner.image import iso_records
from provisioner.image.iso_records import BLOCK, LARGEST_RECORD, DirectoryBytes, Posix, Record
from provisioner.image.outline import Folder, Leaf
from provisioner.tree import File, Symlink


@frozen
class Extra:
    """A file of the root that is not in the tree: the README of a `windows` disc."""

    identifier: bytes
    key: object


class IsoSide:
    """`names` is what each path is called here; paths that are not in it are not on this side.

    `lengths` tells the size of each content, `recorded` the date of what has none.
    """

    def __init__(
        self,
        folders: Sequence[Folder],
        names: Mapping[str, str],
        *,
        joliet: bool,
        lengths: Mapping[object, int],
        recorded: int,
        extra: Extra | None = None,
    ) -> None:
        self._names = names
        self._joliet = joliet
        self._lengths = lengths
        self._recorded = recorded
        self._extra = extra
        self._folders = self._ordered(folders)
        self._numbers = {folder.path: n for n, folder in enumerate(self._folders, 1)}
        self._directories: list[DirectoryBytes] = []
        self._blocks: dict[str, int] = {}
        self._little = self._big = 0

    def allocate(self, take: Callable[[int], int]) -> None:
        """Takes blocks for the path tables and the directories."""
        length = len(self._path_table(dict.fromkeys(self._numbers, 0), big=False))
        self._little, self._big = (take(-(-length // BLOCK)) for _ in range(2))
        for folder in self._folders:
            directory = DirectoryBytes(
                self._records(folder),
                modified=self._date(folder.modified),
                dots=self._dots(folder),
                root=folder.parent is None,
            )
            self._directories.append(directory)
            self._blocks[folder.path] = take(directory.blocks)

    def descriptor(self, label: str, blocks: int) -> bytes:
        """The volume descriptor, for a disc of so many blocks."""
        root = iso_records.directory_record(
            b"\0",
            *self._extent(self._folders[0]),
            flags=iso_records.DIRECTORY,
            modified=self._date(self._folders[0].modified),
        )
        return iso_records.volume_descriptor(
            label=label,
            blocks=blocks,
            root=root,
            path_table=(len(self._path_table(self._blocks, big=False)), self._little, self._big),
            recorded=self._recorded,
            joliet=self._joliet,
        )

    def pieces(self, places: Mapping[object, int]) -> Iterator[tuple[int, bytes]]:
        """(byte offset, bytes) of path tables and directories; `places`: block by content."""
        yield self._little * BLOCK, self._path_table(self._blocks, big=False)
        yield self._big * BLOCK, self._path_table(self._blocks, big=True)
        known, lengths = dict(places), dict[object, int]()
        for folder in self._folders:
            key = Directory(folder.path)
            known[key], lengths[key] = self._extent(folder)
        for folder, directory in zip(self._folders, self._directories, strict=True):
            block, _ = self._extent(folder)
            parent = self._extent(folder.parent or folder)
            yield block * BLOCK, directory.render(block, parent, known, lengths)

    def _ordered(self, folders: Sequence[Folder]) -> list[Folder]:
        """By depth, then by the parent's number, then by identifier (6.9.1)."""
        root = next(folder for folder in folders if folder.parent is None)
        level, result = [root], [root]
        while level and self._extra is None:
            level = [child for folder in level for child in sorted(folder.folders, key=self._name)]
            result += level
        return result

    def _name(self, entry: Folder | Leaf) -> bytes:
        name = self._names[entry.path]
        if self._joliet:
            return name.encode("utf-16-be")
        if isinstance(entry, Leaf):
            name += ";1" if "." in name else ".;1"
        return name.encode("ascii")

    def _extent(self, folder: Folder) -> tuple[int, int]:
        number = self._numbers[folder.path] - 1
        return self._blocks[folder.path], self._directories[number].length

    def _path_table(self, blocks: Mapping[str, int], *, big: bool) -> bytes:
        rows = [
            (
                self._name(folder) if folder.parent else b"\0",
                blocks[folder.path],
                self._numbers[folder.parent.path] if folder.parent else 1,
            )
            for folder in self._folders
        ]
        return iso_records.path_table(rows, big=big)

    def _records(self, folder: Folder) -> list[Record]:
        if self._extra is not None:
            return [
                Record(
                    identifier=self._extra.identifier,
                    key=self._extra.key,
                    length=self._lengths[self._extra.key],
                    directory=False,
                    modified=self._recorded,
                )
            ]
        records = [self._folder_record(child) for child in folder.folders]
        records += [
            self._leaf_record(leaf)
            for leaf in folder.leaves
            if not (self._joliet and isinstance(leaf.entry, Symlink))
        ]
        return sorted(records, key=lambda record: record.identifier)

    def _folder_record(self, folder: Folder) -> Record:
        return Record(
            identifier=self._name(folder),
            key=Directory(folder.path),
            length=0,
            directory=True,
            modified=self._date(folder.modified),
            posix=None if self._joliet else _folder_posix(folder),
        )

    def _leaf_record(self, leaf: Leaf) -> Record:
        entry = leaf.entry
        posix = None if self._joliet else _leaf_posix(leaf)
        if isinstance(entry, Symlink):
            return Record(
                identifier=self._name(leaf),
                key=None,
                length=0,
                directory=False,
                modified=self._recorded,
                posix=posix,
            )
        length = self._lengths[entry.content]
        whole, rest = divmod(length, LARGEST_RECORD)
        lengths = (LARGEST_RECORD,) * whole + ((rest,) if rest else ())
        return Record(
            identifier=self._name(leaf),
            key=entry.content if length else None,
            length=length,
            directory=False,
            modified=self._date(entry.modified),
            posix=posix,
            lengths=lengths if whole else (),
        )

    def _dots(self, folder: Folder) -> tuple[Posix, Posix] | None:
        if self._joliet or self._extra is not None:
            return None
        return _folder_posix(folder), _folder_posix(folder.parent or folder)

    def _date(self, modified: int | None) -> int:
        return self._recorded if modified is None else modified


@dataclass(frozen=True, slots=True)
class Directory:
    """The key of a directory's place."""

    path: str


def _folder_posix(folder: Folder) -> Posix:
    mode = 0o555 if folder.mode is None else folder.mode & 0o7777
    return Posix(
        name=os.fsencode(folder.name),
        mode=iso_records.DIRECTORY_MODE | mode,
        links=2 + len(folder.folders),
    )


def _leaf_posix(leaf: Leaf) -> Posix:
    name = os.fsencode(leaf.name)
    if isinstance(leaf.entry, Symlink):
        target = os.fsencode(leaf.entry.target)
        return Posix(name=name, mode=iso_records.SYMLINK_MODE | 0o777, links=1, target=target)
    assert isinstance(leaf.entry, File)
    mode = 0o444 if leaf.entry.mode is None else leaf.entry.mode & 0o7777
    return Posix(name=name, mode=iso_records.FILE_MODE | mode, links=1)
