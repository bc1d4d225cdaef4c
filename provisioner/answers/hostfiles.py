"""Files of this host that travel on the answer disc: which there are, and how large.

`step_files` takes those of steps from here. Those of the settings lie on the disc under numbers, so
that no rule of its file systems about names and depths matters; `provision/files.json` says where
each belongs, and its SHA-256: by that the guest knows that its copy is whole, and `up` that a file
has changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from provisioner.errors import HostError
from provisioner.frozen import frozen
from provisioner.profile.settings import CopiedFile
from provisioner.tree import Entry, File, HostFile, Text

FOLDER = "provision/files"
INDEX = "provision/files.json"
LARGEST = 2**32 - 2**11
"""Bytes: what one extent of an ISO 9660 file holds, in whole blocks."""
MOST = 20_000
"""Files of one source; more is a mistake, such as a home folder."""


class HostFileError(HostError):
    """A file that shall be copied into Windows is not there, or is none."""


@frozen
class Source:
    """One file to take along, and its path inside Windows."""

    path: Path
    size: int
    modified: int
    """Nanoseconds since 1970."""
    to: str


def found(root: Path, to: str, *, most: int = MOST) -> tuple[Source, ...]:
    """The file, or every file below the folder, in order; HostFileError with what to do."""
    with _told(root):
        status = root.stat()
        if not stat.S_ISDIR(status.st_mode):
            return (_source(root, status, to),)
        sources = tuple(_below(root, to, most))
    if not sources:
        raise HostFileError(f"{root} holds no files", hint="leave it out, or name another folder")
    return sources


def one(path: Path, *, to: str = "") -> Source:
    """A single file, whose place inside Windows is its installer's business."""
    with _told(path):
        status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise HostFileError(f"{path} is a folder", hint="name the file itself")
    return _source(path, status, to or path.name)


@contextmanager
def _told(root: Path) -> Iterator[None]:
    """What the system refuses, in words."""
    try:
        yield
    except FileNotFoundError as err:
        raise HostFileError(
            f"there is no file {err.filename or root}",
            hint="relative paths start at the folder of the file that names them",
        ) from err
    except OSError as err:
        raise HostFileError(
            f"cannot read {err.filename or root}: {err.strerror}",
            hint="look at its permissions",
        ) from err


def _below(root: Path, to: str, most: int) -> Iterator[Source]:
    count = 0
    for folder, folders, names in os.walk(root, onerror=_raise):
        folders.sort()
        for name in sorted(names):
            count += 1
            if count > most:
                raise HostFileError(
                    f"{root} holds more than {most} files",
                    hint="name a smaller folder, or take one archive along and unpack it",
                )
            path = Path(folder, name)
            inside = path.relative_to(root).as_posix().replace("/", "\\")
            yield _source(path, path.stat(), f"{to}\\{inside}")


def _raise(err: OSError) -> None:
    raise err


def _source(path: Path, status: os.stat_result, to: str) -> Source:
    if not stat.S_ISREG(status.st_mode):
        raise HostFileError(f"{path} is neither a file nor a folder", hint="leave it out")
    if not os.access(path, os.R_OK):
        raise HostFileError(f"{path} cannot be read by you", hint="change its mode or its owner")
    if status.st_size > LARGEST:
        raise HostFileError(
            f"{path} has {status.st_size} bytes, which no file of an answer disc can have",
            hint="split it, or fetch it from the network in a step",
        )
    try:
        name = to.encode("utf-8") and to.rpartition("\\")[2]
    except UnicodeEncodeError:
        name = ""
    if not name or any(character in '<>:"|?*' or character < " " for character in name):
        raise HostFileError(
            f"{str(path)!a}: Windows can have no file of that name", hint="rename it"
        )
    return Source(path=path, size=status.st_size, modified=status.st_mtime_ns, to=to)


def entries(files: Sequence[CopiedFile]) -> list[tuple[str, Entry]]:
    """The files and their index, as the answer disc has them; empty without files."""
    sources = [source for copied in files for source in found(Path(copied.source), str(copied.to))]
    if not sources:
        return []
    numbered = [(f"{FOLDER}/{number:05}", source) for number, source in enumerate(sources, start=1)]
    index = [
        {"file": path.rpartition("/")[2], "to": source.to, "sha256": _digest(source)}
        for path, source in numbered
    ]
    text = json.dumps(index, indent=0, ensure_ascii=True) + "\n"
    return [
        (INDEX, File(content=(Text(parts=(text,)),))),
        *((path, entry(source)) for path, source in numbered),
    ]


@lru_cache(maxsize=1024)
def _digest(source: Source) -> str:
    """SHA-256, hexadecimal, upper case as Get-FileHash shows it. A plan is made more than once."""
    try:
        with source.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest().upper()
    except OSError as err:
        raise HostFileError(f"cannot read {source.path}: {err.strerror}", hint="try again") from err


def entry(source: Source) -> File:
    """The file as a tree has it."""
    return File(content=(HostFile(path=source.path, size=source.size),))
