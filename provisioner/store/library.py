"""The media library: which discs there are, known by digest, with what is on them.

Files stay where they are; the library remembers them in one JSON file. Reading needs no lock,
changing takes one. Quick checks compare size, time and fingerprint; only `add` and `verify` read a
whole file.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, field, replace
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any

from provisioner.errors import FailedError, HostError, MediaError, UsageError
from provisioner.frozen import frozen
from provisioner.image.output import replacing
from provisioner.media.facts import MediaFacts, MediaKind
from provisioner.media.inspect import inspect
from provisioner.media.members import facts_members
from provisioner.media.page import title
from provisioner.media.window import opened

FORMAT = 1
_PIECE = 4 << 20
_MAX_BYTES = 64 << 20
_ID_LETTERS = 12
_MOST_CANDIDATES = 10_000

Progress = Callable[[int, int], None]
"""Given bytes done and bytes in all."""


class Standing(StrEnum):
    """How a remembered medium is doing."""

    OK = "ok"
    TOUCHED = "touched"
    """Its time changed, its fingerprint did not: `verify` tells for sure."""
    MOVED = "moved"
    CHANGED = "changed"
    MISSING = "missing"


@frozen
class Entry:
    """One medium. `facts` is `media.members.facts_members` of it, at the time it was added."""

    id: str
    """The first letters of the digest."""
    path: str
    sha256: str
    size: int
    modified: int
    """Nanoseconds, as `st_mtime_ns`."""
    fingerprint: str
    added: float
    what: str
    """`Windows 11 24H2 installation disc, build 26100.1742, amd64, en-US`."""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def product(self) -> str | None:
        """`windows-11`; `virtio-win` for a virtio driver disc."""
        if self.facts.get("kind") == MediaKind.VIRTIO_DRIVERS:
            return "virtio-win"
        product = self.facts.get("product")
        return product if self.facts.get("kind") == MediaKind.WINDOWS_SETUP else None

    @property
    def version(self) -> tuple[int, ...]:
        """Build and revision of a Windows, the version of a driver disc; what `newest` compares."""
        if self.product == "virtio-win":
            text = (self.facts.get("driver_version") or "").replace("-", ".")
            return tuple(int(part) for part in text.split(".") if part.isdigit())
        numbers = (self.facts.get("version") or "").split(".")
        return tuple(int(part) for part in numbers[2:4] if part.isdigit())

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages of its images, else of Setup."""
        found = {tag: None for e in self.facts.get("editions", ()) for tag in e["languages"]}
        return tuple(found) or tuple(self.facts.get("languages", ()))


def folder_of(state: Path) -> Path:
    """Where the library lies among the machines; none can have that name, for its full stop."""
    return state / ".library"


class Library:
    """The media of one user, remembered in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "media.json"

    def entries(self) -> tuple[Entry, ...]:
        """Everything remembered, in the order it was added."""
        try:
            if self.file.stat().st_size > _MAX_BYTES:
                raise ValueError("it is larger than any library")
            raw = json.loads(self.file.read_bytes())
            if raw["format"] != FORMAT:
                raise ValueError("written by another version of provisioner")
            return tuple(_entry(item) for item in raw["media"])
        except FileNotFoundError:
            return ()
        except PermissionError as err:
            raise HostError(f"{self.file} belongs to another user", hint="use sudo") from err
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as err:
            raise FailedError(
                f"the media library {self.file} is damaged: {err}",
                hint="remove it, and add your discs again",
            ) from err

    def add(self, path: Path, *, now: float, progress: Progress | None = None) -> Entry:
        """Remembers the medium at an absolute path, with its digest.

        A medium that is known by its digest is kept once, with its new path; one that took the
        place of another at the same path replaces it.
        """
        facts = inspect(path)
        before = path.stat()
        digest = sha256(path, progress)
        after = path.stat()
        if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size):
            raise FailedError(
                f"{path} changed while it was read", hint="wait until it is complete, and try again"
            )
        entry = Entry(
            id=digest[:_ID_LETTERS],
            path=str(path),
            sha256=digest,
            size=after.st_size,
            modified=after.st_mtime_ns,
            fingerprint=facts.fingerprint.digest,
            added=now,
            what=title(facts),
            facts=_kept(facts),
        )
        with self._changing() as entries:
            known = next((e for e in entries if e.sha256 == digest), None)
            if known is not None:
                entry = replace(entry, added=known.added)
            entries[:] = [e for e in entries if e.sha256 != digest and e.path != entry.path]
            entries.append(entry)
        return entry

    def remove(self, identity: str) -> Entry:
        """Forgets a medium; the file stays. `identity` is an id, its start, or a path."""
        entry = self.entry(identity)
        with self._changing() as entries:
            entries[:] = [e for e in entries if e.sha256 != entry.sha256]
        return entry

    def entry(self, identity: str) -> Entry:
        """The one medium meant by an id, the start of a digest, a path, or a file name."""
        entries = self.entries()
        found = [e for e in entries if e.path == identity or e.sha256 == identity.casefold()]
        if not found and len(identity) >= 4:
            found = [e for e in entries if e.sha256.startswith(identity.casefold())]
        found = found or [e for e in entries if Path(e.path).name == identity]
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageError(
                f"{identity!r} means {len(found)} media of the library",
                hint="; ".join(f"{e.id} {e.path}" for e in found),
            )
        raise UsageError(
            f"the library has no medium {identity!r}",
            hint="`provisioner library list` shows what it has",
        )

    def standing(self, entry: Entry) -> tuple[Standing, Path | None]:
        """A quick check: size and time, then the fingerprint; and where a moved file is now."""
        path = Path(entry.path)
        try:
            status = path.stat()
        except OSError:
            moved = self._moved(entry)
            return (Standing.MOVED, moved) if moved else (Standing.MISSING, None)
        if status.st_size != entry.size:
            return Standing.CHANGED, path
        if status.st_mtime_ns == entry.modified:
            return Standing.OK, path
        return (Standing.TOUCHED if _same(path, entry) else Standing.CHANGED), path

    def verify(
        self, entry: Entry, progress: Progress | None = None
    ) -> tuple[Standing, Path | None]:
        """Reads the whole file and compares its digest. A file that moved is found and remembered
        at its new place; `OK` means that every byte is the same."""
        standing, path = self.standing(entry)
        if path is None or standing is Standing.CHANGED:
            return standing, path
        if sha256(path, progress) != entry.sha256:
            return Standing.CHANGED, path
        status = path.stat()
        with self._changing() as entries:
            entries[:] = [
                replace(e, path=str(path), modified=status.st_mtime_ns)
                if e.sha256 == entry.sha256
                else e
                for e in entries
            ]
        return (Standing.MOVED if standing is Standing.MOVED else Standing.OK), path

    def _moved(self, entry: Entry) -> Path | None:
        """The same medium under another name, in the folders where media are known to be."""
        folders = dict.fromkeys(Path(e.path).parent for e in (entry, *self.entries()))
        for folder in folders:
            try:
                with os.scandir(folder) as found:
                    names = [item.name for item in islice(found, _MOST_CANDIDATES)]
            except OSError:
                continue
            for name in sorted(names):
                path = folder / name
                try:
                    fits = path.is_file() and path.stat().st_size == entry.size
                except OSError:
                    continue
                if fits and _same(path, entry):
                    return path
        return None

    @contextmanager
    def _changing(self) -> Iterator[list[Entry]]:
        """The entries to change in place; saved when the block ends well. One at a time."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # Every change is short: waiting is better than failing.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            entries = list(self.entries())
            yield entries
            data = json.dumps(
                {"format": FORMAT, "media": [asdict(entry) for entry in entries]}, indent=1
            ).encode()
            with replacing(self.file, needed=len(data)) as stream:
                stream.write(data)
        finally:
            os.close(descriptor)


def sha256(path: Path, progress: Progress | None = None) -> str:
    """The digest of a whole file, hexadecimal."""
    digest = hashlib.sha256()
    with opened(path) as window:
        at = 0
        while at < window.size:
            piece = window.read(at, min(_PIECE, window.size - at))
            digest.update(piece)
            at += len(piece)
            if progress is not None:
                progress(at, window.size)
    return digest.hexdigest()


def _same(path: Path, entry: Entry) -> bool:
    try:
        return inspect(path).fingerprint.digest == entry.fingerprint
    except (MediaError, OSError):
        return False


def _kept(facts: MediaFacts) -> dict[str, Any]:
    """What `find` and `list` need; the rest is read again when it is wanted."""
    members = facts_members(facts)
    wanted = (
        "kind",
        "label",
        "product",
        "release",
        "version",
        "architecture",
        "languages",
        "evaluation",
        "driver_version",
        "editions",
    )
    return {name: members[name] for name in wanted}


def _entry(raw: dict[str, Any]) -> Entry:
    entry = Entry(**raw)
    texts = (entry.id, entry.path, entry.sha256, entry.fingerprint, entry.what)
    numbers = (entry.size, entry.modified)
    sound = all(isinstance(text, str) for text in texts)
    sound = sound and all(isinstance(number, int) for number in numbers)
    if not sound or not isinstance(entry.facts, dict) or len(entry.sha256) != 64:
        raise ValueError(f"the entry {entry.id!r} makes no sense")
    editions = entry.facts.get("editions", [])
    if any(not isinstance(e.get("languages"), list) for e in editions):
        raise ValueError(f"the editions of {entry.id!r} make no sense")
    # What is made of the facts fails here, where it is told, or nowhere.
    if not all(isinstance(tag, str) for tag in (entry.product or "", *entry.languages)):
        raise ValueError(f"the facts of {entry.id!r} make no sense")
    tuple(entry.version)
    return entry
