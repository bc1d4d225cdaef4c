"""What a medium holds, before anybody decides how to store it.

A Tree is immutable and lists its entries in byte order of their paths. Rules of a target format
(case-insensitive uniqueness, lengths, characters) belong to that format's writer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from provisioner.frozen import frozen
from provisioner.secret import SecretSlot


@frozen
class Bytes:
    """Literal bytes."""

    data: bytes


@frozen
class Text:
    """Text with slots for secrets. Lines in `parts` end in `\\n`; `newline` is what is written."""

    parts: tuple[str | SecretSlot, ...]
    encoding: str = "ascii"
    newline: str = "\r\n"


@frozen
class HostFile:
    """A whole file of the host, read when the medium is written. `size`: bytes, as planned."""

    path: Path
    size: int


@frozen
class Slice:
    """`length` bytes at `offset` inside another image on the host; never extracted first."""

    image: Path
    offset: int
    length: int


Content = Bytes | Text | HostFile | Slice


@frozen
class Directory:
    """A folder; only needed where it would otherwise be empty, or has a time or mode of its own."""

    modified: int | None = None
    mode: int | None = None


@frozen
class File:
    """A file whose content is the concatenation of `content`. `modified` in seconds since 1970."""

    content: tuple[Content, ...]
    modified: int | None = None
    mode: int | None = None


@frozen
class Symlink:
    """A symbolic link; formats without links refuse it."""

    target: str


Entry = Directory | File | Symlink


class Tree(Mapping[PurePosixPath, Entry]):
    """An immutable, ordered mapping of relative POSIX paths to entries; parents are implied."""

    __slots__ = ("_entries",)

    def __init__(self, entries: Iterable[tuple[str | PurePosixPath, Entry]] = ()) -> None:
        ordered: dict[PurePosixPath, Entry] = {}
        paths = [(PurePosixPath(raw), entry) for raw, entry in entries]
        # `surrogatepass`: a host's file name that is not UTF-8 is refused by the writer, by name.
        for path, entry in sorted(paths, key=lambda p: str(p[0]).encode("utf-8", "surrogatepass")):
            if path.is_absolute() or ".." in path.parts or not path.parts:
                raise ValueError(f"a tree holds relative paths, not {str(path)!r}")
            if path in ordered:
                raise ValueError(f"{path} is in the tree twice")
            ordered[path] = entry
        self._entries: Mapping[PurePosixPath, Entry] = MappingProxyType(ordered)

    def __getitem__(self, path: PurePosixPath) -> Entry:
        try:
            return self._entries[path]
        except KeyError:  # a string, perhaps
            return self._entries[PurePosixPath(path)]

    def __iter__(self) -> Iterator[PurePosixPath]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def files(self) -> Iterator[tuple[PurePosixPath, File]]:
        """Only the files, in order."""
        for path, entry in self._entries.items():
            if isinstance(entry, File):
                yield path, entry

    def slots(self) -> Iterator[SecretSlot]:
        """Every secret slot in every file, in order, repeats included."""
        for _, file in self.files():
            for part in file.content:
                if isinstance(part, Text):
                    yield from (p for p in part.parts if isinstance(p, SecretSlot))

    def merged(self, other: Tree) -> Tree:
        """Both trees in one; a path in both is an error."""
        return Tree([*self.items(), *other.items()])
