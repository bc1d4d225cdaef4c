"""Writes a tree into a new folder, to look at. No disc rules here beyond Windows' names."""

from __future__ import annotations

import os
from pathlib import Path

from provisioner.errors import RefusedError
from provisioner.image.content import Reveal, holds_secret, planned_length, resolve
from provisioner.image.names import FOLDER, check, folders_of
from provisioner.image.output import failure, require_space, working_folder
from provisioner.tree import Tree


def write_folder(tree: Tree, destination: Path, *, reveal: Reveal) -> None:
    """Writes `tree` as the folder `destination`, which must be absent or empty.

    It appears whole or not at all: the files go to a hidden folder beside it, which is renamed.
    Files that hold secrets have mode 0600, others 0644 (less the umask); a file's own `modified`
    becomes its time. Not flushed with fsync: it is a view of something that can be made again.
    Raises RefusedError for a destination with content, ProfileError for names that Windows would
    refuse, and HostError or FailedError where writing or reading a source fails.
    """
    check(tree, FOLDER)
    try:
        _require_empty(destination)
        require_space(destination.parent, sum(planned_length(f) for _, f in tree.files()))
        with working_folder(destination) as temporary:
            _fill(temporary, tree, reveal)
            temporary.rename(destination)  # replaces an empty folder, and no other (rename(2))
    except OSError as err:
        raise failure(err, destination) from err


def _fill(folder: Path, tree: Tree, reveal: Reveal) -> None:
    for name in folders_of(tree):
        (folder / name).mkdir()
    for path, file in tree.files():
        payload = resolve(path, file, reveal)
        mode = 0o600 if holds_secret(file) else 0o644
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(folder / path, flags, mode), "wb") as stream:
            for block in payload.blocks():
                stream.write(block)
        if file.modified is not None:
            os.utime(folder / path, (file.modified, file.modified))


def _require_empty(destination: Path) -> None:
    if destination.is_symlink() or (destination.exists() and not destination.is_dir()):
        raise RefusedError(
            f"{destination} exists and is not a folder",
            hint="name a folder that does not exist yet",
        )
    if destination.is_dir() and any(destination.iterdir()):
        raise RefusedError(
            f"the folder {destination} is not empty",
            hint="name another folder, or empty this one",
        )
