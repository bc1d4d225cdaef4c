"""`iso extract`: files of an image into a folder, with their times and permissions.

Content goes through the kernel. Nothing is ever written outside the folder, whatever an image or
a link that lies in the folder says. What is there already, whole, is not written again.
"""

from __future__ import annotations

import errno
import os
import stat
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from provisioner.disc.view import Item, View
from provisioner.errors import FailedError, RefusedError
from provisioner.frozen import frozen
from provisioner.image.content import opened_untouched
from provisioner.image.output import created, failure, remove_abandoned, require_space
from provisioner.image.transfer import copy_range

_TEMPORARY = r"\.[0-9a-f]{8}\."


@frozen
class Extracted:
    """What was done. `kept`: files that were there already; `notes`: links that were left out."""

    files: int
    size: int
    kept: int
    notes: tuple[str, ...]


def extract(
    view: View,
    items: Sequence[Item],
    folder: Path,
    *,
    force: bool = False,
    writable: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Extracted:
    """Writes the items below `folder`, which is made where it is missing.

    A file with the name, size and time of the disc's counts as extracted; any other that is in
    the way raises RefusedError, unless `force`. Each file appears complete or not at all, so that
    an extraction that was stopped goes on where it was. `writable` lets the owner write.
    """
    return _Extraction(view, folder, force=force, writable=writable, progress=progress).run(items)


class _Extraction:
    def __init__(
        self,
        view: View,
        folder: Path,
        *,
        force: bool,
        writable: bool,
        progress: Callable[[int, int], None],
    ) -> None:
        self._view = view
        self._folder = folder
        self._force = force
        self._writable = writable
        self._progress = progress
        self._made: set[str] = set()
        self._plain: set[str] = set()
        self._image = -1
        self._done = 0

    def run(self, items: Sequence[Item]) -> Extracted:
        """Extracts what is not there yet; FailedError where a disc or the host stops it."""
        files = [item for item in items if item.file]
        missing = [item for item in files if not self._is_there(item)]
        total = sum(item.size for item in missing)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            remove_abandoned(self._folder, _TEMPORARY)
            require_space(self._folder, total)
            for item in items:
                if item.folder:
                    self._make_folder(item.path)
            with opened_untouched(self._view.window.path) as (self._image, _):
                for item in missing:
                    self._make_folder(item.path.rpartition("/")[0])
                    self._write(item, total)
            # Links come last: no name that is written goes through one of them.
            notes = [note for item in items if item.link is not None if (note := self._link(item))]
            for item in reversed([item for item in items if item.folder]):
                self._finish_folder(item)
            self._view.require_unchanged()
        except OSError as err:
            if err.errno == errno.ENAMETOOLONG:
                raise FailedError(
                    f"a name is too long for the file system: {err.filename}"
                ) from err
            raise failure(err, self._folder / "files") from err
        return Extracted(
            files=len(missing),
            size=total,
            kept=len(files) - len(missing),
            notes=tuple(notes),
        )

    def _is_there(self, item: Item) -> bool:
        """Whether the file is extracted already; RefusedError where another one is in the way."""
        self._check_way(item.path)
        target = self._folder / item.path
        try:
            status = target.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        same = stat.S_ISREG(status.st_mode) and status.st_size == item.size
        if same and item.modified is not None and int(status.st_mtime) == item.modified:
            return True
        if self._force and not stat.S_ISDIR(status.st_mode):
            return False
        raise RefusedError(
            f"{target} is there already and is another file",
            hint="extract into another folder, or replace it with --force",
        )

    def _check_way(self, path: str) -> None:
        """RefusedError where a folder on the way to `path` is a link: it may lead anywhere."""
        unknown = []
        while (path := path.rpartition("/")[0]) and path not in self._plain:
            unknown.append(path)
        for each in reversed(unknown):
            self._refuse_link(self._folder / each)
            self._plain.add(each)

    def _refuse_link(self, folder: Path) -> None:
        if folder.is_symlink():
            raise RefusedError(
                f"{folder} is a symbolic link, and files would go through it",
                hint="extract into an empty folder",
            )

    def _make_folder(self, path: str) -> None:
        missing = []
        while path and path not in self._made:
            missing.append(path)
            path = path.rpartition("/")[0]
        for each in reversed(missing):
            target = self._folder / each
            try:
                target.mkdir()
            except FileExistsError:
                self._refuse_link(target)  # it may be new there
                if not target.is_dir():
                    raise
                if not os.access(target, os.W_OK | os.X_OK):  # left read-only by an earlier run
                    target.chmod(0o700)
                remove_abandoned(target, _TEMPORARY)
            self._made.add(each)

    def _write(self, item: Item, total: int) -> None:
        target = self._folder / item.path
        # Hashed, so that a name of 255 bytes has room for its temporary one.
        temporary = target.with_name(
            f".{zlib.crc32(os.fsencode(item.path)):08x}.{os.getpid()}.part"
        )
        image = self._view.window.path

        def moved(count: int) -> None:
            self._done += count
            self._progress(self._done, total)

        try:
            out = created(temporary, 0o600)
            try:
                offset = 0
                for extent in item.extents:
                    source, target_place = (self._image, extent.offset), (out, offset)
                    copy_range(item.path, image, source, target_place, extent.length, moved)
                    offset += extent.length
                if item.mode is not None:
                    os.fchmod(out, item.mode & 0o777 | (0o200 if self._writable else 0))
                else:
                    os.fchmod(out, 0o644)
                if item.modified is not None:
                    os.utime(out, (item.modified, item.modified))
            finally:
                os.close(out)
            temporary.replace(target)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise

    def _link(self, item: Item) -> str | None:
        """Makes a link that stays inside the folder; a note for one that does not."""
        assert item.link is not None
        depth = item.path.count("/")
        for part in item.link.split("/"):
            depth += 0 if part in {"", "."} else -1 if part == ".." else 1
            if depth < 0:
                break
        if depth < 0 or item.link.startswith("/"):
            return f"{item.path} is left out: it is a link out of the disc, to {item.link}"
        target = self._folder / item.path
        self._check_way(item.path)
        self._make_folder(item.path.rpartition("/")[0])
        if target.is_symlink():
            target.unlink()
        target.symlink_to(item.link)
        return None

    def _finish_folder(self, item: Item) -> None:
        target = self._folder / item.path
        if item.mode is not None:
            target.chmod(item.mode & 0o777 | (0o700 if self._writable else 0))
        if item.modified is not None:
            os.utime(target, (item.modified, item.modified))
