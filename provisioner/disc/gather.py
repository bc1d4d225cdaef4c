"""Reads a folder of this host into a tree, and says what it leaves out or changes on the way.

Only names, sizes, modes and times are read here, and bytes where two files may be the same.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from provisioner.errors import FailedError, MediaError, RefusedError, UsageError
from provisioner.frozen import frozen
from provisioner.tree import Directory, Entry, File, HostFile, Symlink, Tree

_HEAD = 64 * 1024


@frozen
class Gathered:
    """A folder's tree. `notes` says what was skipped, one line each; `newest` is the latest
    modification time of a file, in seconds since 1970."""

    tree: Tree
    notes: tuple[str, ...]
    newest: int


@frozen
class Selection:
    """What of a folder goes onto the disc. `links`: the disc can hold symbolic links."""

    exclude: Sequence[str] = ()
    hidden: bool = True
    links: bool = False


def gather(folder: Path, selection: Selection) -> Gathered:
    """The tree of `folder`.

    A pattern without a slash is compared with every name, one with a slash with whole paths, as
    the shell's globs. Symbolic links stay links where the disc has them; otherwise a link to a
    file becomes that file. A link that leads out of the folder raises RefusedError; a file that
    may not be read, FailedError.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder", hint="name the folder that becomes a disc")
    walk = _Walk(folder.resolve(), selection)
    entries = list(walk.entries())
    if walk.unreadable:
        more = len(walk.unreadable) - 1
        raise FailedError(
            f"cannot read {walk.unreadable[0]}" + (f" and {more} more" if more else ""),
            hint="make it readable, or leave it out with --exclude",
        )
    for pattern in selection.exclude:
        if pattern not in walk.used:
            walk.notes.append(f"nothing matches --exclude {pattern}")
    return Gathered(tree=Tree(entries), notes=tuple(walk.notes), newest=walk.newest)


def share_duplicates(
    tree: Tree, *, progress: Callable[[int, int], None] = lambda done, total: None
) -> tuple[Tree, int]:
    """The tree with one content for files that are byte for byte the same; and the bytes saved.

    Compares SHA-256 of files that agree in size and in their first 64 KiB.
    """
    by_size: dict[int, list[PurePosixPath]] = {}
    for path, file in tree.files():
        if len(file.content) == 1 and isinstance(part := file.content[0], HostFile) and part.size:
            by_size.setdefault(part.size, []).append(path)
    alike: dict[tuple[int, bytes], list[PurePosixPath]] = {}
    for size, paths in by_size.items():
        if len(paths) > 1:
            for path in paths:
                alike.setdefault((size, _digest(_source(tree, path), _HEAD)), []).append(path)
    groups = [paths for paths in alike.values() if len(paths) > 1]
    total = sum(_source(tree, path).size for paths in groups for path in paths)
    done = saved = 0
    first: dict[bytes, File] = {}
    changed: dict[PurePosixPath, Entry] = {}
    for paths in groups:
        for path in paths:
            source = _source(tree, path)
            digest = _digest(source, None)
            done += source.size
            progress(done, total)
            file = _file(tree, path)
            known = first.setdefault(digest, file)
            if known.content != file.content:
                changed[path] = replace(file, content=known.content)
                saved += source.size
    if not changed:
        return tree, 0
    return Tree([(path, changed.get(path, entry)) for path, entry in tree.items()]), saved


def _source(tree: Tree, path: PurePosixPath) -> HostFile:
    part = _file(tree, path).content[0]
    assert isinstance(part, HostFile)
    return part


def _file(tree: Tree, path: PurePosixPath) -> File:
    file = tree[path]
    assert isinstance(file, File)
    return file


def _digest(source: HostFile, most: int | None) -> bytes:
    digest = hashlib.sha256()
    try:
        with source.path.open("rb", buffering=0) as stream:
            if most is not None:
                digest.update(stream.read(most))
            else:
                digest = hashlib.file_digest(stream, "sha256")
            size = os.fstat(stream.fileno()).st_size
    except OSError as err:
        raise FailedError(f"cannot read {source.path}: {err.strerror}") from err
    if size != source.size:
        raise FailedError(
            f"{source.path} changed while it was read", hint="do not change it meanwhile; try again"
        )
    return digest.digest()


class _Walk:
    def __init__(self, root: Path, selection: Selection) -> None:
        self._root = root
        self._selection = selection
        self.notes: list[str] = []
        self.unreadable: list[Path] = []
        self.used: set[str] = set()
        self.newest = 0

    def entries(self) -> Iterator[tuple[str, Entry]]:
        """What is below the folder and selected, a folder before what is in it; folders that cannot
        be opened are kept in `unreadable`."""
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            try:
                with os.scandir(self._root / folder) as found:
                    children = sorted(found, key=lambda child: os.fsencode(child.name))
            except OSError:
                self.unreadable.append(self._root / folder)
                continue
            for child in children:
                path = f"{folder}/{child.name}" if folder else child.name
                if self._excluded(path, child.name):
                    continue
                try:
                    entry = self._entry(child, path)
                except OSError as err:
                    raise FailedError(f"cannot read {child.path}: {err.strerror}") from err
                if entry is None:
                    continue
                if isinstance(entry, Directory):
                    waiting.append(path)
                yield path, entry

    def _entry(self, child: os.DirEntry[str], path: str) -> Entry | None:
        status = child.stat(follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            return self._link(Path(child.path), path)
        if stat.S_ISDIR(status.st_mode):
            return Directory(modified=int(status.st_mtime), mode=stat.S_IMODE(status.st_mode))
        if not stat.S_ISREG(status.st_mode):
            self.notes.append(f"{path} is skipped: it is no file, folder or link")
            return None
        return self._file(Path(child.path), status)

    def _file(self, source: Path, status: os.stat_result) -> File:
        if not os.access(source, os.R_OK):
            self.unreadable.append(source)
        self.newest = max(self.newest, int(status.st_mtime))
        return File(
            content=(HostFile(path=source, size=status.st_size),),
            modified=int(status.st_mtime),
            mode=stat.S_IMODE(status.st_mode),
        )

    def _link(self, source: Path, path: str) -> Entry | None:
        target = str(source.readlink())
        try:
            resolved = source.resolve(strict=False)
        except (OSError, RuntimeError) as err:
            raise MediaError(
                f"{path} is a symbolic link that leads to itself",
                hint=f"remove it, or leave it out: --exclude {path}",
            ) from err
        if not resolved.is_relative_to(self._root) or Path(target).is_absolute():
            raise RefusedError(
                f"{path} is a symbolic link out of the folder, to {target}",
                hint=f"put the file itself there, or leave it out: --exclude {path}",
            )
        if self._selection.links:
            return Symlink(target=target)
        if resolved.is_file():
            return self._file(resolved, resolved.stat())
        reason = "to a folder" if resolved.is_dir() else "that leads nowhere"
        self.notes.append(f"{path} is skipped: it is a symbolic link {reason}")
        return None

    def _excluded(self, path: str, name: str) -> bool:
        if not self._selection.hidden and name.startswith("."):
            self.notes.append(f"{path} is skipped: it is hidden")
            return True
        for pattern in self._selection.exclude:
            if fnmatch.fnmatchcase(path if "/" in pattern else name, pattern.rstrip("/")):
                self.used.add(pattern)
                return True
        return False
