"""What was on a disc image when we last looked, so that the next command need not look again.

Looking takes a tenth of a second, most of it for the readers' own start; nearly every command does
it. An entry counts only while the image is the same file, unchanged: device, inode, size and times,
the change time among them, which no program can set back.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from provisioner import __version__
from provisioner.media.facts import MediaFacts

MOST = 64
"""Entries that are kept; the oldest goes first."""

RACY = 2_000_000_000
"""Nanoseconds: an image changed so shortly before the look may change again within one tick of its
file system's clock, and would look the same (as git's index says of "racy" entries)."""

_OURS = ("provisioner.media.", "provisioner.tree")
_PLAIN = {("pathlib", "PosixPath"), ("datetime", "datetime"), ("datetime", "timezone")}


class KnownMedia:
    """Remembers in `folder`, which nobody else may write to. Without one it only looks."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def inspect(self, path: Path) -> MediaFacts:
        """As `media.inspect.inspect`, from memory where that is as good."""
        entry = self._entry(path)
        key = _key(path)
        if entry is not None and key is not None and (facts := _recall(entry, key)) is not None:
            return facts
        from provisioner.media.inspect import inspect

        facts = inspect(path)
        # What is said of a lone WIM file also depends on the files beside it.
        if entry is not None and key is not None and facts.filesystems and _key(path) == key:
            _remember(entry, key, facts)
        return facts

    def _entry(self, path: Path) -> Path | None:
        if self._folder is None:
            return None
        return self._folder / f"{hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}.pickle"


def _key(path: Path) -> tuple[Any, ...] | None:
    """What must not have changed; None for anything that is not a plain file."""
    try:
        status = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    times = (status.st_mtime_ns, status.st_ctime_ns)
    return (__version__, sys.version, status.st_dev, status.st_ino, status.st_size, *times)


def _recall(entry: Path, key: tuple[Any, ...]) -> MediaFacts | None:
    try:
        with entry.open("rb") as file:
            status = os.fstat(file.fileno())
            if status.st_uid != os.getuid() or status.st_mode & 0o022:
                return None
            if status.st_mtime_ns - max(key[-2:]) < RACY:
                return None
            known, facts = _Unpickler(file).load()
    except Exception:  # whatever an old or damaged entry holds, it is only looked at again
        return None
    return facts if known == key and isinstance(facts, MediaFacts) else None


def _remember(entry: Path, key: tuple[Any, ...], facts: MediaFacts) -> None:
    """Replaces the entry; where that fails it costs the next command a look, and nothing else."""
    temporary = entry.with_suffix(f".{os.getpid()}")
    with suppress(OSError):
        entry.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                pickle.dump((key, facts), file, protocol=pickle.HIGHEST_PROTOCOL)
            temporary.replace(entry)
        finally:
            temporary.unlink(missing_ok=True)
        entries = sorted(entry.parent.glob("*.pickle"), key=lambda each: each.stat().st_mtime_ns)
        for old in entries[:-MOST]:
            old.unlink(missing_ok=True)


class _Unpickler(pickle.Unpickler):
    """Makes our own records and nothing else."""

    def __init__(self, file: io.BufferedReader) -> None:
        super().__init__(file)

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith(_OURS) or (module, name) in _PLAIN:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} has no place here")
