"""One view of an answer disc: ISO 9660 with long names, or Joliet. Bytes only, writes nothing.

The layout is that of interchange level 4 as pycdlib lays it out, byte for byte (a test compares):
no version numbers behind names, path tables in pairs of blocks, directories level by level.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from provisioner.image.iso_records import BLOCK, DIRECTORY, directory_record, path_table

_DOTS = 2 * 34
"""Bytes of the two records that a directory begins with."""
_TABLE = 2 * BLOCK


class AnswerSide:
    """`identifier` gives the name of a path's last part in this view.

    `folders` and `files` are paths without a leading slash, a folder before what is in it.
    """

    def __init__(
        self,
        folders: Iterable[str],
        files: Iterable[str],
        identifier: Callable[[str], bytes],
    ) -> None:
        held: dict[str, list[tuple[bytes, str]]] = {"": []}
        for path in folders:
            held[path] = []
        for path in (*held, *files):
            if path:
                held[path.rpartition("/")[0]].append((identifier(path), path))
        self._held = held
        self.folders = [""]
        """Level by level, the parent's order first (ECMA-119 6.9.1)."""
        for folder in self.folders:
            held[folder].sort()
            self.folders += [path for _, path in held[folder] if path in held]
        self.files = [path for folder in self.folders for _, path in held[folder]]
        self.files = [path for path in self.files if path not in held]
        self.blocks: dict[str, int] = {}
        self._lengths = {folder: self._length(folder) for folder in self.folders}
        self._little = self._big = 0
        numbers = {folder: number for number, folder in enumerate(self.folders, 1)}
        names = {path: name for entries in held.values() for name, path in entries}
        self._rows = [
            (names.get(folder, b"\0"), folder, numbers[folder.rpartition("/")[0]])
            for folder in self.folders
        ]

    def _length(self, folder: str) -> int:
        """Whole blocks; a record does not cross from one to the next (6.8.1.1)."""
        end = _DOTS
        for identifier, _ in self._held[folder]:
            size = 33 + len(identifier) + 1 - len(identifier) % 2
            if end % BLOCK + size > BLOCK:
                end = -(-end // BLOCK) * BLOCK
            end += size
        return -(-end // BLOCK) * BLOCK

    def place_tables(self, block: int) -> int:
        """Gives the path tables their blocks, from this one on; the next free block."""
        blocks = -(-self._table_length() // _TABLE) * 2
        self._little, self._big = block, block + blocks
        return block + 2 * blocks

    def place_folders(self, block: int) -> int:
        """Gives the directories their blocks, from this one on; the next free block."""
        for folder in self.folders:
            self.blocks[folder] = block
            block += self._lengths[folder] // BLOCK
        return block

    def tables(self) -> tuple[int, int, int]:
        """Length of the path table, and the block of each byte order, little-endian first."""
        return self._table_length(), self._little, self._big

    def root(self, date: int) -> bytes:
        """The record of the root, as volume descriptors hold it."""
        return self._dot(b"\0", "", date)

    def pieces(
        self,
        files: Mapping[str, tuple[int, int]],
        *,
        date: int,
        dates: Mapping[str, int],
    ) -> Iterable[tuple[int, bytes]]:
        """(block, bytes) of tables and directories. `files`: block and length of each; `date` is
        that of all but those in `dates`, in seconds since 1970."""
        yield self._little, self._table(big=False)
        yield self._big, self._table(big=True)
        for folder in self.folders:
            data = bytearray(self._dot(b"\0", folder, date))
            data += self._dot(b"\1", folder.rpartition("/")[0], date)
            for identifier, path in self._held[folder]:
                if path in self._held:
                    record = self._dot(identifier, path, date)
                else:
                    place, length = files[path]
                    when = dates.get(path, date)
                    record = directory_record(identifier, place, length, flags=0, modified=when)
                if len(data) % BLOCK + len(record) > BLOCK:
                    data += bytes(-len(data) % BLOCK)
                data += record
            yield self.blocks[folder], bytes(data)

    def _dot(self, identifier: bytes, folder: str, date: int) -> bytes:
        return directory_record(
            identifier, self.blocks[folder], self._lengths[folder], flags=DIRECTORY, modified=date
        )

    def _table(self, *, big: bool) -> bytes:
        rows = [(name, self.blocks[folder], parent) for name, folder, parent in self._rows]
        return path_table(rows, big=big)

    def _table_length(self) -> int:
        return sum(8 + len(name) + len(name) % 2 for name, _, _ in self._rows)  # ECMA-119 9.4
