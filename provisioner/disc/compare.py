"""`iso diff`: what differs between two images, or an image and a folder, by content."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from provisioner.disc.view import Item, View, opened_view
from provisioner.errors import FailedError
from provisioner.frozen import frozen
from provisioner.media.window import Extents

_BLOCK = 4 * 1024 * 1024

Read = Callable[[int, int], bytes]


class Change(StrEnum):
    """What became of a path, from the first side to the second."""

    ADDED = "added"
    REMOVED = "removed"
    CONTENT = "content"
    KIND = "kind"
    LINK = "link"


@frozen
class Difference:
    """One path that differs. `offset`: the first byte that does, where both are files."""

    path: str
    change: Change
    offset: int | None = None


@frozen
class Side:
    """One of two things to compare: kinds of paths (`folder`, `file`, `link`), and how to read."""

    kinds: Mapping[str, str]
    size: Callable[[str], int]
    link: Callable[[str], str]
    reader: Callable[[str], Read]


@contextmanager
def opened_side(path: Path) -> Iterator[Side]:
    """A folder or an image."""
    if path.is_dir():
        yield _folder_side(path)
        return
    with opened_view(path) as view:
        yield _view_side(view)


def differences(
    first: Side,
    second: Side,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[Difference]:
    """What differs, in path order. Times and permissions are not compared."""
    common = [
        path
        for path, kind in first.kinds.items()
        if kind == "file" == second.kinds.get(path) and first.size(path) == second.size(path)
    ]
    total = sum(first.size(path) for path in common)
    done = 0
    for path in sorted(first.kinds.keys() | second.kinds.keys()):
        before, after = first.kinds.get(path), second.kinds.get(path)
        if before is None:
            yield Difference(path=path, change=Change.ADDED)
        elif after is None:
            yield Difference(path=path, change=Change.REMOVED)
        elif before != after:
            yield Difference(path=path, change=Change.KIND)
        elif before == "link" and first.link(path) != second.link(path):
            yield Difference(path=path, change=Change.LINK)
        elif before == "file":
            sizes = first.size(path), second.size(path)
            reads = first.reader(path), second.reader(path)
            offset = _first_difference(reads, min(sizes))
            if offset is None and sizes[0] != sizes[1]:
                offset = min(sizes)
            if sizes[0] == sizes[1]:
                done += sizes[0]
                progress(done, total)
            if offset is not None:
                yield Difference(path=path, change=Change.CONTENT, offset=offset)


def first_difference(first: bytes, second: bytes) -> int | None:
    """The index of the first byte that differs; where one is longer, the other's length."""
    if first == second:
        return None
    low, high = 0, min(len(first), len(second))
    if first[:high] == second[:high]:
        return high
    while high - low > 1:  # the first difference is in [low, high)
        middle = (low + high) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle
    return low


def _first_difference(reads: tuple[Read, Read], length: int) -> int | None:
    for start in range(0, length, _BLOCK):
        size = min(_BLOCK, length - start)
        found = first_difference(reads[0](start, size), reads[1](start, size))
        if found is not None:
            return start + found
    return None


def _view_side(view: View) -> Side:
    def item(path: str) -> Item:
        return view.items[path]

    return Side(
        kinds={
            path: "folder" if each.folder else "file" if each.file else "link"
            for path, each in view.items.items()
        },
        size=lambda path: item(path).size,
        link=lambda path: item(path).link or "",
        reader=lambda path: Extents(view.window, item(path).extents).read,
    )


def _folder_side(folder: Path) -> Side:
    kinds: dict[str, str] = {}
    sizes: dict[str, int] = {}
    waiting = [""]
    while waiting:
        here = waiting.pop()
        try:
            with os.scandir(folder / here) as found:
                for child in found:
                    path = f"{here}/{child.name}" if here else child.name
                    if child.is_symlink():
                        kinds[path] = "link"
                    elif child.is_dir():
                        kinds[path] = "folder"
                        waiting.append(path)
                    elif child.is_file():
                        kinds[path] = "file"
                        sizes[path] = child.stat().st_size
        except OSError as err:
            raise FailedError(f"cannot read {folder / here}: {err.strerror}") from err
    return Side(
        kinds=kinds,
        size=lambda path: sizes[path],
        link=lambda path: str((folder / path).readlink()),
        reader=lambda path: _file_reader(folder / path),
    )


def _file_reader(path: Path) -> Read:
    def read(offset: int, length: int) -> bytes:
        try:
            with path.open("rb", buffering=0) as stream:
                stream.seek(offset)
                parts = []
                while length and (part := stream.read(length)):
                    parts.append(part)
                    length -= len(part)
                return b"".join(parts)
        except OSError as err:
            raise FailedError(f"cannot read {path}: {err.strerror}") from err

    return read
