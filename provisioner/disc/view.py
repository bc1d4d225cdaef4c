"""The files of a disc image as one view: the side that has most, never the README of a UDF disc.

Reads through `media`, which is bounded; names that could lead elsewhere never get here.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from provisioner.errors import FailedError, MediaError, UsageError
from provisioner.frozen import frozen
from provisioner.media.boot import read_catalog
from provisioner.media.facts import BootEntry, Extent
from provisioner.media.iso import read_disc
from provisioner.media.iso9660 import Iso9660, read_descriptors, read_volumes
from provisioner.media.udf import Udf
from provisioner.media.udf_volume import read_volume, recognised
from provisioner.media.walk import Listing, Node, collect
from provisioner.media.window import Damaged, Window, opened

_README = re.compile(r"readme(\.\w+)?|boot\.cat", re.IGNORECASE)
_ORDER = ("Rock Ridge", "UDF", "Joliet", "ISO 9660")
"""Of sides with as many entries, the one that kept most: names in full, links, permissions."""


@frozen
class Item:
    """A file, folder or link. `mode` has the permission bits alone, None where none are recorded;
    `modified` counts seconds since 1970."""

    path: str
    folder: bool = False
    extents: tuple[Extent, ...] = ()
    modified: int | None = None
    mode: int | None = None
    link: str | None = None

    @property
    def file(self) -> bool:
        """Whether it is a file."""
        return not self.folder and self.link is None

    @property
    def size(self) -> int:
        """Bytes of a file; 0 for others."""
        return sum(extent.length for extent in self.extents)


@frozen
class View:
    """An open image. `side` is what its files were read from; `items` are in path order.

    `sides` has the listing of every side that could be read, by name.
    """

    window: Window
    side: str
    label: str
    declared: int
    items: Mapping[str, Item]
    sides: Mapping[str, Listing]
    boot: tuple[BootEntry, ...]
    remarks: tuple[str, ...]
    identity: tuple[int, ...]
    """What of the file's status changes with the file."""

    def require_unchanged(self) -> None:
        """FailedError where the image is another one than when it was opened: what was read from
        it since may be of both."""
        if _identity(self.window.path) != self.identity:
            raise FailedError(
                f"{self.window.path} changed while it was read",
                hint="do not change it meanwhile; try again",
            )

    @property
    def files(self) -> Iterator[Item]:
        """Only the files."""
        return (item for item in self.items.values() if item.file)

    def find(self, path: str) -> Item:
        """One item, by its path; MediaError where there is none. Case matters only in doubt."""
        wanted = "/".join(part for part in path.split("/") if part not in {"", "."})
        exact = self.items.get(wanted)
        if exact is not None:
            return exact
        alike = [item for item in self.items.values() if item.path.casefold() == wanted.casefold()]
        if len(alike) == 1:
            return alike[0]
        raise MediaError(
            f"{self.window.path.name} has no {path}",
            hint=f"provisioner iso ls {self.window.path.name}",
        )


@contextmanager
def opened_view(path: Path) -> Iterator[View]:
    """The image or drive at `path`, read-only. MediaError for what is no disc, or a damaged one."""
    with opened(path) as window:
        yield _read_view(window, _identity(path))


def _read_view(window: Window, identity: tuple[int, ...]) -> View:
    disc = read_disc(window)
    if disc is None:
        raise MediaError(
            f"{window.path.name} is no disc image: it has neither UDF nor ISO 9660",
            hint="provisioner inspect tells what it is",
        )
    sides = dict(_sides(window, disc.richest))
    side = _best(sides, readme_only=disc.readme_only)
    catalog = read_catalog(window, disc.boot_files)
    nodes = sides[side].nodes
    return View(
        window=window,
        side=side,
        label=disc.label,
        declared=disc.declared,
        items={path: _item(path, nodes[path]) for path in sorted(nodes)},
        sides=sides,
        boot=catalog.entries,
        remarks=(*sides[side].remarks, *catalog.remarks),
        identity=identity,
    )


def selected(view: View, patterns: Sequence[str]) -> list[Item]:
    """The items that match one of the patterns, and all below them; all items without patterns.

    `*` and `?` stay within a name, `**` does not; a pattern without a slash matches a name
    anywhere. Case is ignored, as Windows does. UsageError for a pattern that matches nothing.
    """
    if not patterns:
        return list(view.items.values())
    chosen: dict[str, Item] = {}
    for pattern in patterns:
        matches = glob(pattern)
        found = [item for item in view.items.values() if any(map(matches, _upward(item.path)))]
        if not found:
            raise UsageError(
                f"nothing in {view.window.path.name} matches {pattern}",
                hint=f"provisioner iso ls {view.window.path.name}",
            )
        chosen |= {item.path: item for item in found}
    return [chosen[path] for path in sorted(chosen)]


def glob(pattern: str) -> Callable[[str], bool]:
    """A test for paths; see `selected`."""
    given = pattern.strip("/")
    parts = [] if "/" in given else ["(?:.*/)?"]
    at = 0
    while at < len(given):
        if given.startswith("**/", at):
            parts.append("(?:.*/)?")
            at += 3
        elif given.startswith("**", at):
            parts.append(".*")
            at += 2
        elif given[at] == "*":
            parts.append("[^/]*")
            at += 1
        elif given[at] == "?":
            parts.append("[^/]")
            at += 1
        elif given[at] == "[" and (end := given.find("]", at + 2)) > 0:
            inner = given[at + 1 : end].replace("\\", "\\\\")
            parts.append(f"[^{inner[1:]}]" if inner.startswith("!") else f"[{inner}]")
            at = end + 1
        else:
            parts.append(re.escape(given[at]))
            at += 1
    try:
        compiled = re.compile("".join(parts), re.IGNORECASE | re.DOTALL)
    except re.error as err:
        raise UsageError(f"{pattern!r} is not a pattern") from err
    return lambda path: compiled.fullmatch(path) is not None


def only_readme(paths: Iterable[str]) -> bool:
    """Whether these are what stands on the ISO 9660 side beside UDF, and nothing else."""
    return all(_README.fullmatch(path) for path in paths)


def _identity(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _upward(path: str) -> Iterator[str]:
    """The path and every folder it lies in."""
    while path:
        yield path
        path = path.rpartition("/")[0]


def _sides(window: Window, richest: str) -> Iterator[tuple[str, Listing]]:
    """Every side that can be read; `read_disc` has refused an image where that is too little."""
    if recognised(window):
        try:
            udf = Udf(volume=read_volume(window), window=window)
            yield "UDF", collect(udf, window)
        except Damaged:
            if richest.startswith("UDF"):
                raise
    try:
        volumes: Iterable[Iso9660] = read_volumes(window, read_descriptors(window))
    except Damaged:
        return
    for volume in volumes:
        try:
            yield volume.name, collect(volume, window)
        except Damaged:
            if richest == volume.name:
                raise


def _best(sides: Mapping[str, Listing], *, readme_only: bool) -> str:
    others = [sides[name].nodes for name in sides if name != "UDF"]
    beside = "UDF" in sides and (readme_only or not sides["UDF"].nodes)
    if beside and all(map(only_readme, others)):
        return "UDF"  # an empty Windows-shaped disc is empty, too
    return max(sides, key=lambda name: (len(sides[name].nodes), -_ORDER.index(name)))


def _item(path: str, node: Node) -> Item:
    return Item(
        path=path,
        folder=node.directory,
        extents=() if node.directory else node.extents or (),
        modified=node.modified,
        mode=None if node.mode is None else stat.S_IMODE(node.mode),
        link=node.link,
    )
