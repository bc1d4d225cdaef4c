"""Collects the files of a directory tree, whatever file system it is in.

Iterative and bounded: a disc cannot make it recurse, loop or eat memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Protocol

from provisioner.frozen import frozen
from provisioner.media.facts import Extent
from provisioner.media.window import Damaged, Window

MAX_ENTRIES = 500_000
MAX_DEPTH = 128
MAX_PATH = 4096
MAX_LETTERS = 64 << 20
"""All paths together."""
MAX_DIRECTORY_BYTES = 64 << 20
"""All directories together: 200 bytes for each of 300,000 files."""


_PAST_THE_END = "bytes past the end of the image"


@frozen
class Node:
    """One directory entry. `extents` is None for content that is not bytes of the image.

    `modified` in seconds since 1970 and `mode` (POSIX permission bits) where the file system says;
    `link` is the target of a symbolic link.
    """

    name: str
    directory: bool
    extents: tuple[Extent, ...] | None
    modified: int | None = None
    mode: int | None = None
    link: str | None = None


class FileSystem(Protocol):
    """What a reader of one file system offers; both readers list one directory at a time."""

    @property
    def name(self) -> str:
        """With its revision, as `UDF 1.02`."""
        ...

    @property
    def root(self) -> Node:
        """The root directory."""
        ...

    def children(self, directory: Node) -> Iterable[Node]:
        """Entries of one directory without `.` and `..`; `Damaged` when they make no sense."""
        ...


@frozen
class Listing:
    """Every file of one file system by its path, and what was odd on the way."""

    files: dict[str, tuple[Extent, ...]]
    remarks: tuple[str, ...]
    incomplete: bool
    """Whether some file goes on past the end of the image."""
    directories: tuple[Extent, ...] = ()
    """Where the directories themselves lie."""
    nodes: Mapping[str, Node] = field(default_factory=dict)
    """Folders, links and files by their path; where a name is there twice, the first."""


def collect(filesystem: FileSystem, window: Window) -> Listing:
    """Walk the whole tree, breadth first.

    Files that do not lie inside the image, have holes or an impossible name are left out with a
    remark. `Damaged` for directories in a circle, and for more than the limits above.
    """
    files: dict[str, tuple[Extent, ...]] = {}
    nodes: dict[str, Node] = {}
    odd: dict[str, list[str]] = {}
    seen: set[tuple[Extent, ...]] = set()
    directories: list[Extent] = []
    queue: list[tuple[str, int, Node]] = [("", 0, filesystem.root)]
    entries = total = letters = 0
    while queue:
        prefix, depth, directory = queue.pop()
        extents = directory.extents or ()
        if extents and extents in seen:
            raise Damaged(
                f"directory {prefix or '/'} of the {filesystem.name} side is entered twice"
            )
        seen.add(extents)
        directories += extents
        total += sum(extent.length for extent in extents)
        if depth > MAX_DEPTH or total > MAX_DIRECTORY_BYTES:
            raise Damaged(f"the directories of the {filesystem.name} side are too deep or too big")
        for node in filesystem.children(directory):
            path = prefix + node.name
            entries += 1
            letters += len(path)
            if entries > MAX_ENTRIES or letters > MAX_LETTERS:
                raise Damaged(f"the {filesystem.name} side holds more files than any real one")
            if not _sound(node.name) or len(path) > MAX_PATH:
                odd.setdefault("an impossible name", []).append(path)
            elif node.link is not None:
                nodes.setdefault(path, node)
            elif node.extents is None:
                odd.setdefault("holes or a form that is not read", []).append(path)
            elif node.directory:
                queue.append((path + "/", depth + 1, node))
                nodes.setdefault(path, node)
            elif any(e.offset + e.length > window.size for e in node.extents):
                odd.setdefault(_PAST_THE_END, []).append(path)
            elif path in files:
                odd.setdefault("the name of another file", []).append(path)
            else:
                files[path] = node.extents
                nodes.setdefault(path, node)
    remarks = tuple(
        f"{filesystem.name}: {len(paths)} left out, with {why}: {paths[0][:200]!r}"
        for why, paths in odd.items()
    )
    return Listing(
        files=files,
        remarks=remarks,
        incomplete=_PAST_THE_END in odd,
        directories=tuple(directories),
        nodes=nodes,
    )


def _sound(name: str) -> bool:
    return bool(name) and name not in {".", ".."} and "/" not in name and "\0" not in name
