"""Rules of the target format, checked for a whole tree before a byte is written.

Every violation is reported at once, as `Problem`s with rule ids `disc.*`. Nothing is renamed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from provisioner.errors import Problem, ProfileError
from provisioner.frozen import frozen
from provisioner.image.content import planned_length
from provisioner.tree import Directory, File, Symlink, Tree

_FORBIDDEN = re.compile('[\x00-\x1f\x7f"*/:;<>?\\\\|\ud800-\udfff]')
"""Joliet 1995 "Allowed Character Set" (`* / : ; ? \\` and 00-1F), and those that Windows itself
refuses (Microsoft, "Naming Files, Paths, and Namespaces"); surrogates are undecodable bytes."""

_RESERVED = frozenset(
    ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"]
    + [f"{device}{digit}" for device in ("COM", "LPT") for digit in "123456789¹²³"]
)
"""Windows device names, with any extension (same Microsoft page)."""


@frozen
class Rules:
    """What a format takes. Lengths of names in UTF-16 code units, the rest in bytes or entries."""

    medium: str
    name_units: int
    path_units: int
    file_bytes: int
    total_bytes: int
    directories: int


DISC = Rules(
    medium="disc",
    name_units=64,  # Joliet 1995; a hard error in pycdlib too
    path_units=240,  # xorriso(1) "joliet_long_paths"; also fits Windows' MAX_PATH of 260
    file_bytes=0xFFFFF800,  # one directory record; Windows' CD driver reads no more (iso-usb §3)
    total_bytes=0xFFFFFFFF * 2048,  # block numbers of 32 bits, ECMA-119 8.4.8
    directories=0xFFFF,  # parent numbers of 16 bits in path tables, ECMA-119 9.4.4
)
"""ISO 9660:1999 (level 4) with Joliet level 3."""

FOLDER = Rules(
    medium="folder",
    name_units=255,
    path_units=4095,
    file_bytes=1 << 62,
    total_bytes=1 << 62,
    directories=1 << 30,
)
"""A folder of this host; the characters are still Windows', because the tree is for Windows."""


def check(tree: Tree, rules: Rules) -> None:
    """Raises ProfileError with every problem of the tree, each naming its path."""
    problems = tuple(find_problems(tree, rules))
    if problems:
        raise ProfileError(problems)


def find_problems(tree: Tree, rules: Rules) -> Iterator[Problem]:
    """Everything that keeps the tree from being written by these rules, in the tree's order."""
    entries = {str(path): entry for path, entry in tree.items()}
    spellings: dict[str, str] = {}
    total = 0
    folders = 0
    for path, entry in entries.items():
        end = -1
        while end < len(path):
            start = end + 1
            end = path.find("/", start)
            end = len(path) if end < 0 else end
            place = path[:end]
            known = spellings.setdefault(_folded(place), place)
            if known is place:
                yield from _name_problems(path[start:end], place, rules)
                folders += end < len(path) or isinstance(entry, Directory)
            elif known != place:
                yield _problem(
                    "case",
                    f"{place!r} and {known!r} differ only in upper and lower case",
                    hint="Windows would see one of them only; rename one",
                )
            if end < len(path) and isinstance(entries.get(place), File | Symlink):
                yield _problem(
                    "kind",
                    f"{place!r} is a file and, for {path!r}, a folder at once",
                    hint="rename one of them",
                )
                break
        if (units := _units(path)) > rules.path_units:
            yield _problem(
                "path-length",
                f"{path!r} is {units} characters long; "
                f"a path on a {rules.medium} has at most {rules.path_units}",
                hint="shorten the names of its folders",
            )
        match entry:
            case Symlink():
                yield _problem(
                    "symlink",
                    f"{path!r} is a symbolic link; a {rules.medium} for Windows has none",
                    hint="put the file itself there",
                )
            case File():
                length = planned_length(entry)
                total += length
                if length > rules.file_bytes:
                    yield _problem(
                        "file-size",
                        f"{path!r} has {length} bytes; "
                        f"a file on a {rules.medium} is smaller than 4 GiB",
                        hint="split it, or leave it out",
                    )
            case Directory():
                pass
    if total > rules.total_bytes:
        yield _problem("size", f"{total} bytes do not fit a {rules.medium}")
    if folders > rules.directories:
        yield _problem(
            "folders", f"{folders} folders; a {rules.medium} has at most {rules.directories}"
        )


def folders_of(tree: Tree) -> list[str]:
    """Every folder of the tree, named or implied, each after the one it lies in; no root."""
    found = set()
    for path, entry in tree.items():
        text = str(path)
        end = len(text) if isinstance(entry, Directory) else text.rfind("/")
        while end > 0 and text[:end] not in found:
            found.add(text[:end])
            end = text.rfind("/", 0, end)
    return sorted(found)


def ascii_names(paths: Sequence[str]) -> Mapping[str, str]:
    """What each path is called on the ISO 9660 side of a disc, where names are ASCII.

    `paths` holds the folders before what lies in them. A name that is ASCII stays itself. In
    others, `_` stands for every other character, and `~2`, `~3` ... behind the stem keeps them
    apart. Windows shows the Joliet names.
    """
    renamed = {path: path for path in paths if path.isascii()}
    if len(renamed) == len(paths):
        return renamed
    taken = {path.upper() for path in renamed}
    for path in paths:
        if path in renamed:
            continue
        folder, slash, name = path.rpartition("/")
        prefix = renamed[folder] + slash if slash else ""
        plain = "".join(c if c.isascii() else "_" for c in name)
        stem, dot, suffix = plain.rpartition(".") if "." in plain[1:] else (plain, "", "")
        candidate = prefix + plain
        count = 1
        while candidate.upper() in taken:
            count += 1
            candidate = f"{prefix}{stem}~{count}{dot}{suffix}"
        taken.add(candidate.upper())
        renamed[path] = candidate
    return renamed


def _name_problems(name: str, place: str, rules: Rules) -> Iterator[Problem]:
    if found := _FORBIDDEN.search(name):
        yield _problem(
            "character",
            f"{place!r}: a name must not contain {found.group()!r}",
            hint='Windows refuses control characters and " * / : ; < > ? \\ |',
        )
    elif (units := _units(name)) > rules.name_units:
        yield _problem(
            "name-length",
            f"{place!r}: the name is {units} characters long; "
            f"a {rules.medium} takes {rules.name_units}",
            hint="shorten the name",
        )
    if name[-1] in ". ":
        yield _problem(
            "name-end",
            f"{place!r}: a name must not end in a dot or a space",
            hint="Windows drops it and then does not find the file",
        )
    if name.partition(".")[0].rstrip(" ").upper() in _RESERVED:
        yield _problem(
            "reserved",
            f"{place!r}: Windows keeps this name for a device",
            hint="choose another name",
        )


def _units(text: str) -> int:
    if text.isascii():
        return len(text)
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _folded(text: str) -> str:
    """As Windows compares names: each character by itself, so that `ß` is not `SS`."""
    if text.isascii():
        return text.upper()
    return "".join(up if len(up := c.upper()) == 1 else c for c in text)


def _problem(rule: str, message: str, *, hint: str | None = None) -> Problem:
    return Problem(message=message, rule=f"disc.{rule}", hint=hint)
