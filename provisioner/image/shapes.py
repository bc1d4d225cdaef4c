"""The shapes a disc can have, and what every entry is called in each of its views.

`windows`: all in UDF, one README in ISO 9660, as Microsoft's own discs (facts iso-usb §2.1).
`portable`: ISO 9660 with Rock Ridge, and Joliet. `data`: UDF, Rock Ridge and Joliet, all of them
with everything.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import PurePosixPath

from provisioner.errors import Problem
from provisioner.frozen import frozen
from provisioner.image.content import planned_length
from provisioner.image.iso_records import LARGEST_RECORD, LONGEST_TARGET
from provisioner.image.names import Rules, find_problems, folders_of
from provisioner.image.udf_records import LARGEST_FILE, cs0
from provisioner.tree import File, Symlink, Tree


class Shape(StrEnum):
    """What kind of disc is written."""

    WINDOWS = "windows"
    PORTABLE = "portable"
    DATA = "data"

    @property
    def udf(self) -> bool:
        """Whether every file is on a UDF side."""
        return self is not Shape.PORTABLE

    @property
    def iso(self) -> bool:
        """Whether every file is on the ISO 9660 side, with Rock Ridge, and on a Joliet side."""
        return self is not Shape.WINDOWS


WINDOWS_DISC = Rules(
    medium="disc",
    name_units=254,  # UDF 1.02 2.3.4: 255 bytes with the compression id
    path_units=1023,  # UDF 1.02 2.3.4, "Maximum Pathsize"
    file_bytes=LARGEST_FILE,
    total_bytes=0xFFFFFFFF * 2048,
    directories=1 << 30,
)
"""UDF 1.02 as Windows reads it."""

MOST_FOLDERS = 0xFFFF
"""Parent numbers in path tables have 16 bits (ECMA-119 9.4.4)."""

_ISO_NAME, _JOLIET_NAME, _UDF_NAME = 31, 64, 255
_JOLIET_FORBIDDEN = re.compile("[\x00-\x1f*/:;?\\\\\ud800-\udfff]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_NOT_PLAIN = re.compile("[^A-Z0-9_]")


@frozen
class Names:
    """What each path's last component is called in the views a shape has, and what was changed."""

    udf: Mapping[str, str]
    joliet: Mapping[str, str]
    iso: Mapping[str, str]
    renamed: tuple[str, ...]
    """`Joliet: a/b is called c`, one for each name that a reader will see changed."""


def shape_problems(tree: Tree, shape: Shape) -> Iterator[Problem]:
    """Everything that keeps the tree from being a disc of this shape, in the tree's order."""
    if shape is Shape.WINDOWS:
        yield from find_problems(tree, WINDOWS_DISC)
        for path in tree:
            if len(cs0(path.name)) > _UDF_NAME and len(path.name) <= WINDOWS_DISC.name_units:
                yield _problem(
                    "name-length",
                    f"{str(path)!r}: the name is {len(path.name)} characters long; "
                    "beyond Latin letters a disc takes 127",
                    hint="shorten the name",
                )
        return
    for path, entry in tree.items():
        for parent in list(path.parents)[:-1]:
            if isinstance(tree.get(parent), File | Symlink):
                yield _problem(
                    "kind", f"{str(parent)!r} is a file and, for {str(path)!r}, a folder"
                )
        if any(len(os.fsencode(part)) > 255 for part in path.parts):
            yield _problem(
                "name-length",
                f"{str(path)!r}: a name on a disc has at most 255 bytes",
                hint="shorten the name",
            )
        if isinstance(entry, Symlink) and not 0 < len(os.fsencode(entry.target)) <= LONGEST_TARGET:
            yield _problem(
                "symlink", f"{str(path)!r}: the target of the link is longer than a disc takes"
            )
        if isinstance(entry, File) and planned_length(entry) > LARGEST_FILE:
            yield _problem("file-size", f"{str(path)!r} is larger than {LARGEST_FILE} bytes")
    if len(folders_of(tree)) >= MOST_FOLDERS:
        yield _problem("folders", f"a disc has at most {MOST_FOLDERS} folders")


def large_files(tree: Tree, shape: Shape) -> list[str]:
    """Remarks on files that only some systems can read from a disc of this shape."""
    if shape is not Shape.PORTABLE:
        return []
    return [
        f"{path} has more than 4 GiB: Windows does not read it from a {shape} disc"
        for path, file in tree.files()
        if planned_length(file) > LARGEST_RECORD
    ]


def name_views(tree: Tree, shape: Shape) -> Names:
    """Names for all views; in each, no two in a folder differ only in case."""
    paths = [*folders_of(tree)]
    known = set(paths)
    paths += [str(path) for path in tree if str(path) not in known]
    if shape is Shape.WINDOWS:
        own = {path: path.rpartition("/")[2] for path in paths}
        return Names(udf=own, joliet={}, iso={}, renamed=())
    folders = frozenset(folders_of(tree))
    joliet = _distinct(
        paths, folders, _JOLIET_NAME, _units, lambda n: _JOLIET_FORBIDDEN.sub("_", n)
    )
    udf: Mapping[str, str] = {}
    views = [("Joliet", joliet)]
    if shape.udf:
        # Links are in Rock Ridge only; UDF 1.02 has no sound way to say one (UDF 2.3.14).
        files = [path for path in paths if not isinstance(tree.get(PurePosixPath(path)), Symlink)]
        udf = _distinct(
            files, folders, _UDF_NAME, lambda n: len(cs0(n)), lambda n: _SURROGATES.sub("_", n)
        )
        views.insert(0, ("UDF", udf))
    iso = _distinct(paths, folders, _ISO_NAME, len, _plain)
    renamed = [
        f"{view}: {path} is called {name}"
        for view, names in views
        for path, name in names.items()
        if name != path.rpartition("/")[2]
    ]
    return Names(udf=udf, joliet=joliet, iso=iso, renamed=tuple(renamed))


def _plain(name: str) -> str:
    """d-characters (ECMA-119 7.4.1) and one dot; accents go, what is left over becomes `_`."""
    letters = unicodedata.normalize("NFKD", name.encode("utf-8", "replace").decode()).upper()
    letters = "".join(c for c in letters if not unicodedata.combining(c))
    stem, dot, suffix = letters.rpartition(".") if "." in letters[1:] else (letters, "", "")
    return _NOT_PLAIN.sub("_", stem) + dot + _NOT_PLAIN.sub("_", suffix)


def _units(name: str) -> int:
    return len(name.encode("utf-16-be", "surrogatepass")) // 2


def _distinct(
    paths: Iterable[str],
    folders: frozenset[str],
    longest: int,
    measure: Callable[[str], int],
    clean: Callable[[str], str],
) -> dict[str, str]:
    """Names that fit, different in each folder whatever the case; `_2` and so on where needed."""
    taken: set[tuple[str, str]] = set()
    counts: dict[tuple[str, str], int] = {}
    result: dict[str, str] = {}
    for path in paths:
        folder, _, own = path.rpartition("/")
        plain = clean(own)
        stem, dot, suffix = plain.rpartition(".") if "." in plain[1:] else (plain, "", "")
        if path in folders or measure(suffix) > 16:
            stem, dot, suffix = plain, "", ""
        if path in folders and clean is _plain:
            stem = stem.replace(".", "_")  # a folder's name has no dot (ECMA-119 7.6.3)
        name = _shortened(stem, "", dot + suffix, longest, measure)
        first = (folder, name.upper())
        while (folder, name.upper()) in taken:
            counts[first] = counts.get(first, 1) + 1
            name = _shortened(stem, f"_{counts[first]}", dot + suffix, longest, measure)
        taken.add((folder, name.upper()))
        result[path] = name
    return result


def _shortened(
    stem: str, mark: str, ending: str, longest: int, measure: Callable[[str], int]
) -> str:
    while measure(stem + mark + ending) > longest:
        stem = stem[:-1]
    return stem + mark + ending


def _problem(rule: str, message: str, *, hint: str | None = None) -> Problem:
    return Problem(message=message, rule=f"disc.{rule}", hint=hint)
